"""Giving up power, in this order: namespaces, files, descriptors, limits, identity, capabilities, Landlock, seccomp.

After `confine` the process sees a few folders read-only, has a small temporary folder, its report pipe and its output.
`settings` say what this machine can do (see `kitty_sandbox.place`); `without` leaves out layers: only our tests use it.

Without namespaces (tier `landlock`) the process tree is the host's. There the process is the only one of its run, so it
is bound to its parent's life; seccomp keeps it from undoing that, and Landlock's scope from reaching other processes.
"""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import signal
from collections.abc import Iterable, Mapping
from typing import Any

from . import seccomp, syscalls

_MIB = 1024 * 1024
_RLIMIT_SIGPENDING = 11  # the module `resource` does not name it
_NOBODY = 65534
_LEAST_MB = 128
"""Address space below which an interpreter is not much use: one alone takes 20 to 50 MB."""
_TIMES = 4
"""Processes of one run that nobody counts together may use this many times `memory_mb`."""


def enter_namespaces(settings: Mapping[str, Any]) -> None:
    """Mounts, IPC and network of this process's own. Its process tree is new already: it was forked into it."""
    if not settings["namespaces"]:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        return
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC
    syscalls.unshare(flags if "network" in settings["without"] else flags | syscalls.CLONE_NEWNET)


def place_files(settings: Mapping[str, Any], files: Mapping[str, Any], tmpfs_mb: int | None) -> None:
    """Fill the work folder with `files` (text, or {"base64": …}) and go there.

    With namespaces both folders are fresh file systems, the first read-only; else plain folders, which must be empty.
    `tmpfs_mb` None: the temporary folder is there already.
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
        if tmpfs_mb is not None:
            syscalls.mount_tmpfs(settings["tmp"], f"size={tmpfs_mb}m,nr_inodes=4096,mode=1777")
    os.chdir(work)


def confine(settings: Mapping[str, Any], run: Mapping[str, Any], keep: Iterable[int]) -> None:
    """Give up everything but the descriptors in `keep`. Raises OSError where a step is refused."""
    without = settings["without"]
    _close_others(keep)
    if "limits" not in without:
        others = 0 if run["uid"] is not None else _threads_of_user(settings)
        _limit(run["limits"], run["profile"], fenced=run.get("fenced", False), others=others)
    if run["uid"] is not None and "identity" not in without:
        _become(run["uid"], settings)
    syscalls.leave_no_core()
    if not settings["namespaces"]:
        syscalls.die_with_parent()
        if os.getppid() != settings["server"]:
            raise ProcessLookupError("the fork server has gone")
    if "capabilities" not in without:
        syscalls.drop_capabilities()
    syscalls.set_no_new_privileges()
    if settings["landlock"] and "landlock" not in without:
        syscalls.restrict_files(
            settings["readable"],
            settings["tmp"],
            execute=run["profile"] == "proc",
            listable=settings["listable"],
            scoped="scopes" not in without,
        )
    if settings["seccomp"] and "seccomp" not in without:
        host_files = "own" if run["uid"] in (None, _NOBODY) else "visible"
        kind = run["profile"] if settings["namespaces"] else host_files
        syscalls.install_filter(settings["filters"][kind])


def filters() -> dict[str, list[tuple[int, int, int, int]]]:
    """The seccomp filters, made once, by profile and for where files are not hidden; empty where none is known."""
    if not seccomp.has_filter():
        return {}
    return {
        "pure": seccomp.assemble("pure"),
        "proc": seccomp.assemble("proc"),
        "visible": seccomp.assemble("pure", host_files="visible"),
        "own": seccomp.assemble("pure", host_files="own"),
    }


def share(memory_mb: int, processes: int) -> tuple[int, int]:
    """(address space of each process in MB, number of processes) where the profile is `proc` and no cgroup counts.

    The two multiply to at most 4 times `memory_mb`. Address space is divided first, down to 128 MB each; from there on
    there are fewer processes: 16 of 128 MB for the default of 32 processes and 512 MB.
    """
    each = min(memory_mb, max(_LEAST_MB, _TIMES * memory_mb // processes))
    return each, min(processes, _TIMES * memory_mb // each)


def _become(uid: int, settings: Mapping[str, Any]) -> None:
    """RLIMIT_NPROC does not bind the real uid 0, so root turns into a uid that nothing else on the machine has."""
    if not settings["namespaces"]:
        os.chmod(settings["tmp"], 0o700)
        os.chown(settings["tmp"], uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _bytes_of(content: Any) -> bytes:
    return content.encode() if isinstance(content, str) else base64.b64decode(content["base64"])


def _close_others(keep: Iterable[int]) -> None:
    start = 3
    for fd in sorted(keep):
        os.closerange(start, fd)
        os.set_inheritable(fd, False)
        start = fd + 1
    os.closerange(start, 4096)


def _threads_of_user(settings: Mapping[str, Any]) -> int:
    """Threads that this user runs besides: RLIMIT_NPROC counts them with those of the run."""
    if settings["namespaces"]:
        return 2  # counted within the user namespace: bubblewrap's process there and the fork server
    user, threads = os.getuid(), 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                threads += len(os.listdir(f"/proc/{entry.name}/task")) if entry.stat().st_uid == user else 0
    return threads


def _limit(limits: Mapping[str, Any], profile: str, *, fenced: bool, others: int) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    memory_mb, threads = limits["memory_mb"], limits["threads"]
    if profile == "proc":
        threads = limits["processes"]
        memory_mb, threads = (memory_mb, threads) if fenced else share(memory_mb, threads)
    # The wall clock is sharper; this one holds where nobody watches any more.
    cpu = int(used + limits["timeout_sec"]) + 2
    for kind, value in (
        (resource.RLIMIT_AS, memory_mb * _MIB),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * _MIB),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NPROC, threads + others),
        (resource.RLIMIT_STACK, 8 * _MIB),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_CORE, 0),
        (_RLIMIT_SIGPENDING, 256),  # timers count with it
    ):
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))
