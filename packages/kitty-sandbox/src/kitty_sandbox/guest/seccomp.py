"""The seccomp filter, as lines of BPF. Pure: nothing is installed here (`syscalls.install_filter` does).

Profile `pure` stops: new processes and programs, every socket but a connected pair, namespaces, mounts, ptrace, bpf,
io_uring, keyrings, what other processes have (their limits, priority, System V objects), memory that RLIMIT_AS does
not count (memfd, System V, large buffers of sockets and pipes), locks, leases and watches on files that are shared
with the host, and undoing what `confine` asked of the kernel for this process (to end with its parent, no core dump).
Profile `proc` lets processes and programs start, without new namespaces.
Neither stops: threads, signals (a process tree or Landlock does). A filter sees numbers, not paths.

Where no mount hides the files of the host (`HostFiles`), what Landlock does not look at is closed too: attributes are
refused, and setting times (`own` files: modes as well) is said to work and does nothing, as on file systems without
them. Refusing it would break honest programs: copying a file with `shutil` is enough.
"""

from __future__ import annotations

import ctypes
import errno
import platform
from typing import Literal

_PROCESSES = {"fork", "vfork", "execve", "execveat"}
_X32_BIT = 0x40000000
_NEWEST_KNOWN = 443  # later system calls (Landlock among them) answer ENOSYS, as on an older kernel

_BOTH = {
    "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
}  # fmt: skip
_X86_64 = {
    "fork": 57, "vfork": 58, "execve": 59, "execveat": 322,
    "socket": 41, "connect": 42, "accept": 43, "accept4": 288, "bind": 49, "listen": 50, "setsockopt": 54,
    "flock": 73, "inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "open_by_handle_at": 304, "name_to_handle_at": 303, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "add_key": 248, "request_key": 249, "keyctl": 250,
    "memfd_create": 319, "shmget": 29, "shmat": 30, "shmctl": 31, "mq_open": 240, "mq_unlink": 241,
    "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71,
    "io_setup": 206, "setpriority": 141, "ioprio_set": 251,
    "sched_setparam": 142, "sched_setscheduler": 144, "sched_setattr": 314,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320,
    "iopl": 172, "ioperm": 173, "modify_ldt": 154, "personality": 135, "lookup_dcookie": 212,
    "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "acct": 163,
    "quotactl": 179, "syslog": 103, "vhangup": 153,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
}  # fmt: skip
_AARCH64 = {
    "execve": 221, "execveat": 281,
    "socket": 198, "connect": 203, "accept": 202, "accept4": 242, "bind": 200, "listen": 201, "setsockopt": 208,
    "flock": 32, "inotify_init1": 26, "fanotify_init": 262,
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268,
    "open_by_handle_at": 265, "name_to_handle_at": 264, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
    "add_key": 217, "request_key": 218, "keyctl": 219,
    "memfd_create": 279, "shmget": 194, "shmat": 196, "shmctl": 195, "mq_open": 180, "mq_unlink": 181,
    "semget": 190, "semop": 193, "semctl": 191, "semtimedop": 192, "msgget": 186, "msgsnd": 189, "msgrcv": 188,
    "msgctl": 187, "io_setup": 0, "setpriority": 140, "ioprio_set": 30,
    "sched_setparam": 118, "sched_setscheduler": 119, "sched_setattr": 274,
    "init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294,
    "personality": 92, "lookup_dcookie": 18,
    "swapon": 224, "swapoff": 225, "reboot": 142, "sethostname": 161, "setdomainname": 162, "acct": 89,
    "quotactl": 60, "syslog": 116, "vhangup": 58,
    "settimeofday": 170, "clock_settime": 112, "adjtimex": 171, "clock_adjtime": 266,
}  # fmt: skip

_TIMES = {
    "x86_64": {"utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280},
    "aarch64": {"utimensat": 88},
}
_ATTRIBUTES = {
    "x86_64": {
        "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190,
        "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199,
    },
    "aarch64": {
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
    },
}  # fmt: skip
_MODES = {
    "x86_64": {"chmod": 90, "fchmod": 91, "fchmodat": 268},
    "aarch64": {"fchmod": 52, "fchmodat": 53},
}
_OWNERS = {
    "x86_64": {"chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260},
    "aarch64": {"fchownat": 54, "fchown": 55},
}
# machine -> (AUDIT_ARCH, always denied, allowed for some arguments only)
_MACHINES = {
    "x86_64": (
        0xC000003E,
        {**_BOTH, **_X86_64},
        {"clone": 56, "socketpair": 53, "prlimit64": 302, "sched_setaffinity": 203, "prctl": 157, "fcntl": 72,
         "ioctl": 16},
    ),
    "aarch64": (
        0xC00000B7,
        {**_BOTH, **_AARCH64},
        {"clone": 220, "socketpair": 199, "prlimit64": 261, "sched_setaffinity": 122, "prctl": 167, "fcntl": 25,
         "ioctl": 29},
    ),
}  # fmt: skip

_LOAD, _EQUAL, _GREATER, _GREATER_EQUAL, _BITS, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCH = 0, 4
_CLONE3 = 435
_CLONE_NEW, _CLONE_THREAD = 0x7E020080, 0x10000  # every kind of namespace; a thread
HostFiles = Literal["hidden", "visible", "own"]
"""Behind mounts; or there, and only Landlock before them; or there, and some of them the guest's user's own."""
_Line = tuple[int, str, str, int]
"""Code, where to go if it is true and if it is false (a label; empty: the next line), constant."""


def _load(argument: int) -> _Line:
    """The lower half of an argument: all that the kernel looks at in the calls below."""
    return (_LOAD, "", "", 16 + 8 * argument)


_ONLY_ITSELF = [_load(0), (_EQUAL, "allow", "deny", 0)]
_CHECKS: dict[str, list[_Line]] = {
    # AF_UNIX and SOCK_STREAM or SOCK_SEQPACKET: a datagram socket of a pair can still be sent to any address.
    "socketpair": [_load(0), (_EQUAL, "", "deny", 1), _load(1), (_BITS, "deny", "", 2), (_BITS, "allow", "deny", 1)],
    "prlimit64": _ONLY_ITSELF,
    "sched_setaffinity": _ONLY_ITSELF,
    # PR_SET_PDEATHSIG, PR_SET_DUMPABLE
    "prctl": [_load(0), (_EQUAL, "deny", "", 1), (_EQUAL, "deny", "allow", 4)],
}
# F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ
_REFUSED_FCNTL = [_load(1), (_EQUAL, "deny", "", 1024), (_EQUAL, "deny", "", 1026)]
_FCNTL = {
    # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW: a lone process locks out nobody but the host, so it is told that it
    # has its lock and has none.
    "pure": [
        *_REFUSED_FCNTL,
        *[(_EQUAL, "ignore", "", command) for command in (6, 7, 37, 38)],
        (_EQUAL, "deny", "allow", 1031),
    ],
    "proc": [*_REFUSED_FCNTL, (_EQUAL, "deny", "allow", 1031)],
}
_CLONE = {
    "pure": [_load(0), (_BITS, "deny", "", _CLONE_NEW), (_BITS, "allow", "deny", _CLONE_THREAD)],
    "proc": [_load(0), (_BITS, "deny", "allow", _CLONE_NEW)],
}
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: others change flags of a file that only its owner may.
_IOCTL = [
    _load(1),
    *[(_EQUAL, "allow", "", request) for request in (0x5401, 0x5413, 0x541B, 0x5421, 0x5450)],
    (_EQUAL, "allow", "deny", 0x5451),
]


def has_filter(machine: str | None = None) -> bool:
    """Whether a filter is known for this machine's instruction set."""
    return (machine or platform.machine()) in _MACHINES and ctypes.sizeof(ctypes.c_void_p) == 8


def assemble(
    profile: str, machine: str | None = None, host_files: HostFiles = "hidden"
) -> list[tuple[int, int, int, int]]:
    """BPF lines (code, jump if true, jump if false, constant) for profile `pure` or `proc`.

    Jumps name a return or a check and are resolved last. Raises KeyError where `has_filter` is false.
    """
    machine = machine or platform.machine()
    arch, denied, conditional = _MACHINES[machine]
    refused = {number for name, number in denied.items() if profile == "pure" or name not in _PROCESSES}
    ignored: set[int] = set()
    checks = {**_CHECKS, "clone": _CLONE[profile], "fcntl": _FCNTL[profile]}
    if host_files != "hidden":
        refused |= set(_ATTRIBUTES[machine].values())
        ignored |= set(_TIMES[machine].values())
    if host_files == "own":
        refused |= set(_OWNERS[machine].values())
        ignored |= set(_MODES[machine].values())
        checks["ioctl"] = _IOCTL
    lines: list[_Line] = [
        (_LOAD, "", "", _ARCH),
        (_EQUAL, "", "kill", arch),
        (_LOAD, "", "", _NUMBER),
    ]
    if machine == "x86_64":
        lines.append((_GREATER_EQUAL, "kill", "", _X32_BIT))
    lines.append((_GREATER, "enosys", "", _NEWEST_KNOWN))
    lines.append((_EQUAL, "enosys", "", _CLONE3))  # its flags lie in memory, where a filter cannot look
    lines += [(_EQUAL, name, "", conditional[name]) for name in checks]
    lines += [(_EQUAL, "deny", "", number) for number in sorted(refused)]
    lines += [(_EQUAL, "ignore", "", number) for number in sorted(ignored)]
    lines.append((_RETURN, "", "", _ALLOW))
    labels = {}
    for name, check in checks.items():
        labels[name] = len(lines)
        lines += check
    for name, value in (
        ("allow", _ALLOW),
        ("deny", _ERRNO | errno.EPERM),
        ("enosys", _ERRNO | errno.ENOSYS),
        ("ignore", _ERRNO),
        ("kill", _KILL),
    ):
        labels[name] = len(lines)
        lines.append((_RETURN, "", "", value))
    return [
        (code, labels[yes] - at - 1 if yes else 0, labels[no] - at - 1 if no else 0, constant)
        for at, (code, yes, no, constant) in enumerate(lines)
    ]
