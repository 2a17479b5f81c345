"""Giving up power, in this order: mounts, descriptors, limits, identity, capabilities, Landlock, system calls.

After `confine` the process has a read-only view of a few folders, a small /tmp, its report pipe and its output.
"""

from __future__ import annotations

import os
import resource
from typing import Any

from . import syscalls

WORK, TMP = "/work", "/tmp"
_MIB = 1024 * 1024


def confine(config: dict[str, Any], report_fd: int) -> bool:
    """Returns whether the seccomp filter is in force. Raises OSError where a step is refused."""
    _place_files(config["files"])
    limits = config["limits"]
    syscalls.mount_tmpfs(TMP, f"size={limits['tmpfs_mb']}m,nr_inodes=4096,mode=1777")
    os.closerange(3, report_fd)
    os.closerange(report_fd + 1, 4096)
    os.set_inheritable(report_fd, False)
    _limit(limits)
    _become(config["uid"])
    syscalls.drop_capabilities()
    syscalls.set_no_new_privileges()
    if config["landlock"]:
        syscalls.restrict_files(TMP)
    return syscalls.install_filter()


def _place_files(files: dict[str, str]) -> None:
    size = sum(len(text.encode()) + 8192 for text in files.values())
    syscalls.mount_tmpfs(WORK, f"size={size // 1024 + 1024}k,nr_inodes={16 * len(files) + 64},mode=0755")
    for path, text in files.items():
        place = os.path.join(WORK, path)
        os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
        with open(place, "x", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(place, 0o444)
    syscalls.remount_read_only(WORK)


def _limit(limits: dict[str, Any]) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    # Importing pytest still lies ahead and is not the guest's: some seconds of grace. The wall clock is sharper.
    cpu = int(used + limits["timeout_sec"]) + 4
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory_mb"] * _MIB),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * _MIB),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NPROC, limits["threads"]),
        (resource.RLIMIT_STACK, 8 * _MIB),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))


def _become(uid: int | None) -> None:
    """RLIMIT_NPROC does not bind the real uid 0, so root turns into a uid that nothing else on the machine has."""
    if uid is None:
        return
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
