"""Where runs take place: how a fork server is started, by sandbox tier and by who we are.

    tier         walls
    full         namespaces, read-only root, seccomp, limits, no capability, and Landlock
    ns-only      the same without Landlock
    landlock     no namespaces: Landlock, seccomp, limits, no capability, in plain folders of the host

What the tier `landlock` does not promise: that a program cannot *see* the host. Names, sizes, times and attributes of
files, process numbers and the machine's name can be asked for; what is in a file, folder, process or socket cannot.
There is no quota of disk space: what a program writes is looked at all the time (see `guest.folders`).

What really holds is found out by the probe.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.guest import folders
from kitty_sandbox.guest.seccomp import has_filter
from kitty_sandbox.policy import DEVICES, ENVIRONMENT, GUEST_DIR, Privilege, bwrap_argv, guest_argv
from kitty_sandbox.port import Profile, SandboxTier
from kitty_sandbox.python_env import MODULES_DIR, PythonEnv, readable_parts

Layer = Literal[
    "capabilities", "identity", "landlock", "limits", "network", "processes", "read-only", "scopes", "seccomp"
]
"""What `without` may leave out, for the tests that show what each layer is good for."""


@dataclass(frozen=True)
class Start:
    """What one fork server is started with."""

    argv: tuple[str, ...]
    """The last word is its settings."""
    cwd: str = "/"
    environment: Mapping[str, str] | None = None
    folder: str | None = None
    """Of this server alone; whoever ends the server removes it."""


@dataclass(frozen=True)
class Place:
    """Settled by the probe, the same for every run of a sandbox."""

    argv: tuple[str, ...]
    settings: Mapping[str, Any]
    env: PythonEnv
    privilege: Privilege
    tier: SandboxTier

    def furnish(self) -> Start:
        """Everything ready for one fork server. Raises OSError where a folder cannot be made."""
        if self.tier != "landlock":
            return Start((*self.argv, json.dumps(self.settings)))
        folder = os.path.realpath(tempfile.mkdtemp(prefix="kitty-run-"))
        try:
            return _furnish(self, folder)
        except OSError:
            folders.remove(folder)
            raise


def make_place(
    bwrap: str, env: PythonEnv, privilege: Privilege, tier: SandboxTier, without: frozenset[Layer] = frozenset()
) -> Place:
    """The place for `tier`, less the layers of `without`. The tier `landlock` takes no `bwrap`.

    Raises:
        SandboxUnavailable: the guest, another user, could not read the interpreter.
    """
    settings: dict[str, Any] = {
        "namespaces": tier != "landlock",
        "landlock": tier != "ns-only",
        "private": None,
        "work": "/work",
        "tmp": "/tmp",
        "devices": list(DEVICES),
        "readable": ["/"],
        "listable": [],
        "paths": [MODULES_DIR],
        "site_dirs": list(env.site_dirs),
        "without": sorted(without),
    }
    if tier == "landlock":
        argv = guest_argv(env)
        settings.update(devices=[])
        if privilege == "setuid":
            _refuse_closed(env)
    else:
        argv = bwrap_argv(bwrap, env, privilege)
    if "network" in without:
        argv = _with_network(argv)
    if "processes" in without:
        argv = _with_processes(argv)
    return Place(tuple(argv), settings, env, privilege, tier)


def check_profile(place: Place, profile: Profile) -> None:
    """Raises `SandboxUnavailable` where a run of this profile would not be contained."""
    if profile == "pure":
        return
    if place.tier == "landlock":
        raise SandboxUnavailable(
            "The profile proc needs a process tree of its own, which the tier landlock does not have.",
            "Use the profile pure, or let this machine give namespaces (`kitty_sandbox.diagnosis` says how).",
        )
    if place.privilege == "userns" and os.getuid() == 0:
        raise SandboxUnavailable(
            "The profile proc needs a bound on the number of processes, and the kernel sets none for root.",
            "Set SANDBOX_PY_PATH to an interpreter that everybody can read, or run as an ordinary user.",
        )


def privileges() -> tuple[Privilege, ...]:
    """The ways to try with namespaces, best first.

    Root becomes an unused user; a user namespace is everybody else's way, and root's second choice where the
    interpreter cannot be read by others.
    """
    if os.getuid() != 0:
        return ("userns",)
    return ("setuid", "userns") if has_filter() else ("setuid",)


def privileges_without_namespaces() -> tuple[Privilege, ...]:
    """The way to try for the tier `landlock`; none without seccomp, which is half of its walls.

    Root must be able to become another user: the kernel bounds the threads of everybody but root.
    """
    if not has_filter():
        return ()
    return ("setuid",) if os.getuid() == 0 else ("own",)


def _furnish(place: Place, folder: str) -> Start:
    """`guest` is found in the working folder, pytest in `site`; a run sees `work` and writes to `tmp`."""
    work, tmp, site, start = (os.path.join(folder, name) for name in ("work", "tmp", "site", "start"))
    for path in (work, site, start):
        os.mkdir(path, 0o755)
    os.mkdir(tmp, 0o700)
    os.symlink(GUEST_DIR, os.path.join(start, "guest"))
    sources = {name: source for source, name in place.env.modules}
    for name, source in sources.items():
        if name.startswith(f"{MODULES_DIR}/"):
            os.symlink(source, os.path.join(site, os.path.basename(name)))
    if place.privilege == "setuid":
        for path in (folder, work, site):
            os.chmod(path, 0o711 if path == folder else 0o755)
    readable, listable = readable_parts(place.env)
    settings = {
        **place.settings,
        "private": folder,
        "work": work,
        "tmp": tmp,
        "readable": [*readable, work, site, *DEVICES],
        "listable": listable,
        "paths": [site],
        "site_dirs": [sources.get(path, path) for path in place.env.site_dirs],
    }
    environment = {**ENVIRONMENT, "HOME": tmp, "TMPDIR": tmp}
    return Start((*place.argv, json.dumps(settings)), start, environment, folder)


def _refuse_closed(env: PythonEnv) -> None:
    """Raises `SandboxUnavailable` where another user could not get to the interpreter or to its own folder."""
    sources = [*env.binds, *(source for source, _ in env.modules)]
    for paths, what_helps in (
        (sources, "SANDBOX_PY_PATH to an interpreter that everybody can read, such as /usr/bin/python3"),
        ([os.path.join(tempfile.gettempdir(), "x")], "TMPDIR to a folder that everybody may enter"),
    ):
        for folder in sorted({parent for path in paths for parent in Path(os.path.realpath(path)).parents}):
            if folder.exists() and not folder.stat().st_mode & 0o001:
                raise SandboxUnavailable(
                    f"Without namespaces the program runs as another user, and {folder} is closed to others.",
                    f"Set {what_helps}.",
                )


def _with_processes(argv: list[str]) -> list[str]:
    """In the process tree of the host."""
    all_others = ("--unshare-user", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
    others = [new for word in argv for new in (all_others if word == "--unshare-all" else (word,))]
    return [
        word for word in others if word != "--unshare-pid" and not (word == "--unshare-net" and "--share-net" in argv)
    ]


def _with_network(argv: list[str]) -> list[str]:
    if "--unshare-all" in argv:
        at = argv.index("--unshare-all") + 1
        return [*argv[:at], "--share-net", *argv[at:]]
    return [word for word in argv if word != "--unshare-net"]
