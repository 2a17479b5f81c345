"""Where runs take place: the command that starts a fork server, by sandbox tier and by who we are.

    tier         walls
    full         namespaces, read-only root, seccomp, limits, no capability, and Landlock
    ns-only      the same without Landlock

Pure but for `privileges`; what really holds is found out by the probe.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Literal

from kitty_sandbox.guest.seccomp import has_filter
from kitty_sandbox.policy import DEVICES, Privilege, bwrap_argv
from kitty_sandbox.port import SandboxTier
from kitty_sandbox.python_env import MODULES_DIR, PythonEnv

Layer = Literal["capabilities", "identity", "landlock", "limits", "network", "read-only", "seccomp"]
"""What `without` may leave out, for the tests that show what each layer is good for."""


@dataclass(frozen=True)
class Place:
    """Settled by the probe, the same for every run of a sandbox."""

    argv: tuple[str, ...]
    """Starts a fork server; the last word is its settings."""
    env: PythonEnv
    privilege: Privilege
    tier: SandboxTier


def make_place(
    bwrap: str, env: PythonEnv, privilege: Privilege, tier: SandboxTier, without: frozenset[Layer] = frozenset()
) -> Place:
    """The place for `tier`, less the layers of `without`."""
    settings: dict[str, Any] = {
        "namespaces": True,
        "landlock": tier == "full",
        "work": "/work",
        "tmp": "/tmp",
        "devices": list(DEVICES),
        "readable": ["/"],
        "paths": [MODULES_DIR],
        "site_dirs": list(env.site_dirs),
        "without": sorted(without),
    }
    argv = bwrap_argv(bwrap, env, privilege)
    if "network" in without:
        argv = _with_network(argv)
    return Place((*argv, json.dumps(settings)), env, privilege, tier)


def privileges() -> tuple[Privilege, ...]:
    """The ways to try, best first.

    Root becomes an unused user; a user namespace is everybody else's way, and root's second choice where the
    interpreter cannot be read by others.
    """
    if os.getuid() != 0:
        return ("userns",)
    return ("setuid", "userns") if has_filter() else ("setuid",)


def _with_network(argv: list[str]) -> list[str]:
    if "--unshare-all" in argv:
        at = argv.index("--unshare-all") + 1
        return [*argv[:at], "--share-net", *argv[at:]]
    return [word for word in argv if word != "--unshare-net"]
