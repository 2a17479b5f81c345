"""A cgroup for one run, where one can be had: version 2, with the controllers for memory and processes.

It is made beside the group of the service, in the first folder above it that we may write to and that hands both
controllers on; that is so where the service runs in a systemd user session, or below a folder with `Delegate=`. Root
could write to every folder, and keeps to those that are marked as delegated.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from kitty_sandbox.port import MIB, SandboxLimits

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = {"memory", "pids"}


@contextlib.contextmanager
def run_cgroup(limits: SandboxLimits) -> Iterator[tuple[int, ...]]:
    """An open `cgroup.procs` (a process that writes 0 to it enters), or nothing where no group can be had.

    All processes of the group together have `memory_mb`, their files in /tmp included. It ends with the run.
    """
    parent = find_parent()
    made = make_group(parent, limits) if parent else None
    if made is None:
        yield ()
        return
    folder, entrance = made
    try:
        yield (entrance,)
    finally:
        os.close(entrance)
        remove_group(folder)


def find_parent(root: Path = _ROOT, membership: Path = Path("/proc/self/cgroup")) -> Path | None:
    """The folder to make groups in."""
    try:
        lines = membership.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::/")), None)
    if own is None or not (root / "cgroup.controllers").exists():
        return None
    folder = root / own.lstrip("/")
    while folder != root:
        folder = folder.parent
        if _is_ours(folder):
            return folder
    return None


def _is_ours(folder: Path) -> bool:
    try:
        handed_on = set((folder / "cgroup.subtree_control").read_text(encoding="ascii").split())
    except OSError:
        return False
    writable = os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
    return handed_on >= _CONTROLLERS and writable and (os.getuid() != 0 or _is_delegated(folder))


def _is_delegated(folder: Path) -> bool:
    """As systemd marks it."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def make_group(parent: Path, limits: SandboxLimits) -> tuple[Path, int] | None:
    """The new folder and its open `cgroup.procs`; None where the kernel does not take all of it."""
    folder = parent / f"kitty-run-{secrets.token_hex(8)}"
    try:
        folder.mkdir()
        (folder / "memory.max").write_text(str(limits.memory_mb * MIB))
        (folder / "memory.oom.group").write_text("1")
        (folder / "pids.max").write_text(str(limits.processes))
        with contextlib.suppress(OSError):  # a kernel without swap accounting
            (folder / "memory.swap.max").write_text("0")
        return folder, os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        remove_group(folder)
        return None


def remove_group(folder: Path) -> None:
    """Its processes have ended with their process tree; the kernel may need a moment to notice."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            folder.rmdir()
        if not folder.exists():
            return
        time.sleep(0.005)
