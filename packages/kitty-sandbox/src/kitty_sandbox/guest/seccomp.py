"""The seccomp filter, as lines of BPF. Pure: nothing is installed here (`syscalls.install_filter` does).

Profile `pure` stops: new processes and programs, every socket but a pair, namespaces, mounts, ptrace, bpf, io_uring,
keyrings, memory that RLIMIT_AS does not count (memfd, System V, large socket buffers), and locks and watches on files
that are shared with the host. Profile `proc` lets processes and programs start,
without new namespaces. Neither stops: threads, signals to itself. A filter sees numbers, not paths.
"""

from __future__ import annotations

import ctypes
import errno
import platform

_CLONE_THREAD, _AF_UNIX = 0x10000, 1
_CLONE_NEW = 0x7E020080  # every kind of namespace
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
    "socket": 41, "setsockopt": 54, "flock": 73, "inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "open_by_handle_at": 304, "name_to_handle_at": 303, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "add_key": 248, "request_key": 249, "keyctl": 250,
    "memfd_create": 319, "shmget": 29, "shmat": 30, "msgget": 68, "semget": 64, "mq_open": 240,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320,
    "iopl": 172, "ioperm": 173, "modify_ldt": 154, "personality": 135, "lookup_dcookie": 212,
    "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "acct": 163,
    "quotactl": 179, "syslog": 103, "vhangup": 153,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
}  # fmt: skip
_AARCH64 = {
    "execve": 221, "execveat": 281,
    "socket": 198, "setsockopt": 208, "flock": 32, "inotify_init1": 26, "fanotify_init": 262,
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268,
    "open_by_handle_at": 265, "name_to_handle_at": 264, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
    "add_key": 217, "request_key": 218, "keyctl": 219,
    "memfd_create": 279, "shmget": 194, "shmat": 196, "msgget": 186, "semget": 190, "mq_open": 180,
    "init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294,
    "personality": 92, "lookup_dcookie": 18,
    "swapon": 224, "swapoff": 225, "reboot": 142, "sethostname": 161, "setdomainname": 162, "acct": 89,
    "quotactl": 60, "syslog": 116, "vhangup": 58,
    "settimeofday": 170, "clock_settime": 112, "adjtimex": 171, "clock_adjtime": 266,
}  # fmt: skip

# machine -> (AUDIT_ARCH, denied, clone, clone3, socketpair)
_MACHINES = {
    "x86_64": (0xC000003E, {**_BOTH, **_X86_64}, 56, 435, 53),
    "aarch64": (0xC00000B7, {**_BOTH, **_AARCH64}, 220, 435, 199),
}

_LOAD, _EQUAL, _GREATER, _GREATER_EQUAL, _BITS, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16


def has_filter(machine: str | None = None) -> bool:
    """Whether a filter is known for this machine's instruction set."""
    return (machine or platform.machine()) in _MACHINES and ctypes.sizeof(ctypes.c_void_p) == 8


def assemble(profile: str, machine: str | None = None) -> list[tuple[int, int, int, int]]:
    """BPF lines (code, jump if true, jump if false, constant) for profile `pure` or `proc`.

    Jumps name a return or a check and are resolved last. Raises KeyError where `has_filter` is false.
    """
    machine = machine or platform.machine()
    arch, denied, clone, clone3, socketpair = _MACHINES[machine]
    refused = {number for name, number in denied.items() if profile == "pure" or name not in _PROCESSES}
    lines: list[tuple[int, str, str, int]] = [
        (_LOAD, "", "", _ARCH),
        (_EQUAL, "", "kill", arch),
        (_LOAD, "", "", _NUMBER),
    ]
    if machine == "x86_64":
        lines.append((_GREATER_EQUAL, "kill", "", _X32_BIT))
    lines.append((_GREATER, "enosys", "", _NEWEST_KNOWN))
    lines.append((_EQUAL, "enosys", "", clone3))  # its flags lie in memory, where a filter cannot look
    lines += [(_EQUAL, "deny", "", number) for number in sorted(refused)]
    lines.append((_EQUAL, "clone", "", clone))
    lines.append((_EQUAL, "socketpair", "allow", socketpair))
    labels = {"clone": len(lines), "socketpair": len(lines) + 2}
    lines.append((_LOAD, "", "", _FIRST_ARGUMENT))
    if profile == "pure":
        lines.append((_BITS, "allow", "deny", _CLONE_THREAD))
    else:
        lines.append((_BITS, "deny", "allow", _CLONE_NEW))
    lines.append((_LOAD, "", "", _FIRST_ARGUMENT))
    lines.append((_EQUAL, "allow", "deny", _AF_UNIX))
    for name, value in (
        ("allow", _ALLOW),
        ("deny", _ERRNO | errno.EPERM),
        ("enosys", _ERRNO | errno.ENOSYS),
        ("kill", _KILL),
    ):
        labels[name] = len(lines)
        lines.append((_RETURN, "", "", value))
    return [
        (code, labels[yes] - at - 1 if yes else 0, labels[no] - at - 1 if no else 0, constant)
        for at, (code, yes, no, constant) in enumerate(lines)
    ]
