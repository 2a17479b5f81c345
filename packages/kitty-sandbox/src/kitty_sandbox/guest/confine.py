"""Giving up power, in this order: namespaces, files, descriptors, limits, identity, capabilities, Landlock, seccomp.

After `confine` the process sees a few folders read-only, has a small temporary folder, its report pipe and its output.
`settings` say what this machine can do (see `kitty_sandbox.place`); `without` leaves out layers: only our tests use it.
"""

from __future__ import annotations

import base64
import os
import resource
from collections.abc import Iterable, Mapping
from typing import Any

from . import seccomp, syscalls

_MIB = 1024 * 1024


def enter_namespaces(settings: Mapping[str, Any]) -> None:
    """Mounts, IPC and network of this process's own. Its process tree is new already: it was forked into it."""
    if not settings["namespaces"]:
        return
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC
    syscalls.unshare(flags if "network" in settings["without"] else flags | syscalls.CLONE_NEWNET)


def place_files(settings: Mapping[str, Any], files: Mapping[str, Any], tmpfs_mb: int) -> None:
    """Fill the work folder with `files` (text, or {"base64": …}) and go there.

    With namespaces both folders are fresh file systems, the first read-only; else plain folders, which must be empty.
    """
    contents = {path: _bytes_of(content) for path, content in files.items()}
    work, mounts = settings["work"], settings["namespaces"]
    if mounts:
        size = sum(len(content) + 8192 for content in contents.values())
        syscalls.mount_tmpfs(work, f"size={size // 1024 + 1024}k,nr_inodes={16 * len(files) + 64},mode=0755")
    for path, content in contents.items():
        place = os.path.join(work, path)
        if "/" in path:
            os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        while content:
            content = content[os.write(file, content) :]
        os.close(file)
    if mounts:
        if "read-only" not in settings["without"]:
            syscalls.remount_read_only(work)
        syscalls.mount_tmpfs(settings["tmp"], f"size={tmpfs_mb}m,nr_inodes=4096,mode=1777")
    os.chdir(work)


def confine(settings: Mapping[str, Any], run: Mapping[str, Any], keep: Iterable[int]) -> None:
    """Give up everything but the descriptors in `keep`. Raises OSError where a step is refused."""
    without = settings["without"]
    _close_others(keep)
    if "limits" not in without:
        _limit(run["limits"], run["profile"])
    if run["uid"] is not None and "identity" not in without:
        # RLIMIT_NPROC does not bind the real uid 0, so root turns into a uid that nothing else on the machine has.
        os.setgroups([])
        os.setresgid(run["uid"], run["uid"], run["uid"])
        os.setresuid(run["uid"], run["uid"], run["uid"])
    if "capabilities" not in without:
        syscalls.drop_capabilities()
    syscalls.set_no_new_privileges()
    if settings["landlock"] and "landlock" not in without:
        syscalls.restrict_files(settings["readable"], settings["tmp"], execute=run["profile"] == "proc")
    if settings["seccomp"] and "seccomp" not in without:
        syscalls.install_filter(settings["filters"][run["profile"]])


def filters() -> dict[str, list[tuple[int, int, int, int]]]:
    """The seccomp filters by profile, made once; empty where this processor has none."""
    return {profile: seccomp.assemble(profile) for profile in ("pure", "proc")} if seccomp.has_filter() else {}


def _bytes_of(content: Any) -> bytes:
    return content.encode() if isinstance(content, str) else base64.b64decode(content["base64"])


def _close_others(keep: Iterable[int]) -> None:
    start = 3
    for fd in sorted(keep):
        os.closerange(start, fd)
        os.set_inheritable(fd, False)
        start = fd + 1
    os.closerange(start, 4096)


def _limit(limits: Mapping[str, Any], profile: str) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    threads = limits["processes"] if profile == "proc" else limits["threads"]
    # The wall clock is sharper; this one holds where nobody watches any more.
    cpu = int(used + limits["timeout_sec"]) + 2
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory_mb"] * _MIB),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * _MIB),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NPROC, threads),
        (resource.RLIMIT_STACK, 8 * _MIB),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))
