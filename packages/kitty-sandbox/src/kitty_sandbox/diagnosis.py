"""From what went wrong at the start of a sandbox to what a person can do about it."""

import os
from collections.abc import Sequence
from pathlib import Path

from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.guest.syscalls import landlock_abi
from kitty_sandbox.port import SandboxResult, SandboxTier

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
_CLUSTER_FIX = "securityContext: {seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}}"
_OTHER_WAY = "or SANDBOX_TIER=landlock, which needs no namespaces (Linux 6.12 or newer)"
_SWITCHES = (
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
)
_REFUSALS = ("namespace", "uid map", "gid map", "Operation not permitted", "Permission denied", "RTM_NEWADDR", "cap")
_SIGNALS = "test_other_processes_are_out_of_reach"


def install_fix(os_release: str) -> str:
    """The command that installs bubblewrap, for the text of /etc/os-release."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    names = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "").split()
    return next((_INSTALL[name] for name in names if name in _INSTALL), _INSTALL["debian"])


def read_os_release() -> str:
    return _read("/etc/os-release")


def explain(stderr: str) -> tuple[str, str]:
    """(reason, fix) for a sandbox with namespaces that did not start."""
    said = _last_line(stderr)
    if "Unknown option" in stderr:
        return f"This bubblewrap is too old ({said}).", install_fix(read_os_release()) + "  # 0.5 or newer"
    if any(word in stderr for word in _REFUSALS):
        by = container_walls()
        reason = f"This machine refuses the namespaces that the sandbox needs ({said})."
        return (f"{reason} It is a container with {by}." if by else reason), _namespace_fix()
    return f"The sandbox did not start ({said}).", "Run `bwrap --unshare-all --ro-bind / / true` and mend what it says."


def explain_landlock(stderr: str) -> tuple[str, str]:
    """(reason, fix) for a sandbox of the tier `landlock` that did not start."""
    said = _last_line(stderr)
    if "landlock" in stderr:
        return (
            f"This kernel has no Landlock, or refuses it ({said}).",
            "Linux 6.12 or newer, started with lsm=landlock,…",
        )
    if "setres" in stderr or "setgroups" in stderr or "chown" in stderr:
        return (
            f"Root may not become another user here ({said}).",
            "docker run --cap-add SETUID --cap-add SETGID --cap-add CHOWN …, or --user with an ordinary user",
        )
    return f"The sandbox did not start without namespaces ({said}).", "Report this with what it said."


def why_not(result: SandboxResult, tier: SandboxTier, wanted: SandboxTier) -> SandboxUnavailable:
    """What a probe of `tier` that did not pass means; `wanted` is SANDBOX_TIER."""
    if result.outcome == "infrastructure":
        reason, fix = explain_landlock(result.stderr) if tier == "landlock" else explain(result.stderr)
        if wanted != "landlock" and _is_container():
            fix += f"   {_OTHER_WAY}"
        return SandboxUnavailable(reason, fix)
    failed = next((case for case in result.cases if case.outcome != "passed"), None)
    name = failed.id.partition("::")[2] if failed else ""
    detail = f" ({name}: {failed.message.splitlines()[0]})" if failed and failed.message else ""
    reason = f"The walls of the sandbox did not hold: {result.reason}{detail}"
    if tier == "landlock" and name == _SIGNALS:
        return SandboxUnavailable(reason, f"Linux 6.12 or newer (Landlock ABI 6; this kernel has {landlock_abi()}).")
    return SandboxUnavailable(reason, "Report this; runs are refused here.")


def summarize(refusals: Sequence[SandboxUnavailable]) -> tuple[str, str]:
    """(reason, fix) from the refusals that tell most, in order."""
    if not refusals:
        return "No seccomp filter is known for this processor.", "Install bubblewrap, or use x86-64 or 64-bit Arm."
    return " ".join(refusal.reason for refusal in refusals), "   or: ".join(refusal.fix for refusal in refusals)


def container_walls() -> str:
    """What of this process's own confinement may refuse namespaces, in words; empty where it is none."""
    walls = []
    if "\nSeccomp:\t2" in _read("/proc/self/status"):
        walls.append("a seccomp filter")
    profile = _read("/proc/self/attr/current").strip("\0\n")
    if profile.endswith("(enforce)"):
        walls.append(f"the AppArmor profile {profile.removesuffix(' (enforce)')}")
    return " and ".join(walls) if _is_container() else ""


def _is_container() -> bool:
    marks = ("/.dockerenv", "/run/.containerenv")
    return any(os.path.exists(path) for path in marks) or "KUBERNETES_SERVICE_HOST" in os.environ


def _namespace_fix() -> str:
    for path, refused, setting in _SWITCHES:
        if _read(path).strip() == refused:
            return f"sysctl -w {setting}"
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return _CLUSTER_FIX
    if _is_container():
        return _CONTAINER_FIX
    return f"sysctl -w {_SWITCHES[0][2]}   or, in a container: {_CONTAINER_FIX}"


def _last_line(stderr: str) -> str:
    return stderr.strip().splitlines()[-1][:300] if stderr.strip() else "it said nothing"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
