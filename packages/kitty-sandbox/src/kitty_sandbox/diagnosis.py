"""From what bubblewrap said to what a person can do about it."""

import os
from pathlib import Path

_INSTALL = {
    "debian": "apt install bubblewrap",
    "ubuntu": "apt install bubblewrap",
    "fedora": "dnf install bubblewrap",
    "rhel": "dnf install bubblewrap",
    "arch": "pacman -S bubblewrap",
    "alpine": "apk add bubblewrap",
    "suse": "zypper install bubblewrap",
    "opensuse": "zypper install bubblewrap",
    "nixos": "nix-env -iA nixos.bubblewrap",
}
_CONTAINER_FIX = "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined … (podman: the same)"
_SWITCHES = (
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
)
_REFUSALS = ("namespace", "uid map", "gid map", "Operation not permitted", "Permission denied", "RTM_NEWADDR", "cap")


def install_fix(os_release: str) -> str:
    """The command that installs bubblewrap, for the text of /etc/os-release."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    names = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "").split()
    return next((_INSTALL[name] for name in names if name in _INSTALL), _INSTALL["debian"])


def read_os_release() -> str:
    try:
        return Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return ""


def explain(stderr: str) -> tuple[str, str]:
    """(reason, fix) for a sandbox that did not start."""
    said = stderr.strip().splitlines()[-1][:300] if stderr.strip() else "it said nothing"
    if "Unknown option" in stderr:
        return f"This bubblewrap is too old ({said}).", install_fix(read_os_release()) + "  # 0.5 or newer"
    if any(word in stderr for word in _REFUSALS):
        return f"This machine refuses the namespaces that the sandbox needs ({said}).", _namespace_fix()
    return f"The sandbox did not start ({said}).", "Run `bwrap --unshare-all --ro-bind / / true` and mend what it says."


def _namespace_fix() -> str:
    for path, refused, setting in _SWITCHES:
        try:
            value = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value == refused:
            return f"sysctl -w {setting}"
    if any(os.path.exists(path) for path in ("/.dockerenv", "/run/.containerenv")):
        return _CONTAINER_FIX
    return f"sysctl -w {_SWITCHES[0][2]}   or, in a container: {_CONTAINER_FIX}"
