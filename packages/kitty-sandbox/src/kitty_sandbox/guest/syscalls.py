"""The direct system calls: mounts, capabilities, Landlock, and the seccomp filter.

The filter stops: new processes and programs, network sockets, namespaces, mounts, ptrace, bpf, io_uring, keyrings and
memory that RLIMIT_AS does not count (memfd, System V). It does not stop: AF_UNIX sockets, threads, signals to itself.
A filter sees numbers, not paths: files are the mount namespace's business.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 22, 24, 38
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_THREAD, _AF_UNIX = 0x10000, 1
_X32_BIT = 0x40000000
_NEWEST_KNOWN = 450  # later system calls answer ENOSYS, as on an older kernel

_BOTH = {
    "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
}  # fmt: skip
_X86_64 = {
    "fork": 57, "vfork": 58, "execve": 59, "execveat": 322,
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

# machine -> (AUDIT_ARCH, denied, clone, clone3, socket, socketpair)
_MACHINES = {
    "x86_64": (0xC000003E, {**_BOTH, **_X86_64}, 56, 435, 41, 53),
    "aarch64": (0xC00000B7, {**_BOTH, **_AARCH64}, 220, 435, 198, 199),
}

_LOAD, _EQUAL, _GREATER, _GREATER_EQUAL, _BITS, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount_tmpfs(path: str, options: str) -> None:
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _check(_libc.mount(b"tmpfs", path.encode(), b"tmpfs", ctypes.c_ulong(flags), options.encode()), f"mount {path}")


def remount_read_only(path: str) -> None:
    flags = MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    _check(_libc.mount(None, path.encode(), None, ctypes.c_ulong(flags), None), f"remount {path}")


def drop_capabilities() -> None:
    """Empty every capability set of this process; what is already empty is fine."""
    for capability in range(64):
        _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def set_no_new_privileges() -> None:
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "no_new_privs")


# Access rights by the Landlock ABI that brought them: 1 the first thirteen, 2 REFER, 3 TRUNCATE, 5 IOCTL_DEV.
_FS_RIGHTS = ((5, 16), (3, 15), (2, 14), (1, 13))
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE = 1, 2, 4, 8, 64, 2048, 16384
_NET_TCP, _SCOPES = 3, 3  # bind and connect (ABI 4); abstract sockets and signals of others (ABI 6)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """The kernel's Landlock ABI; 0 where it has none or it is switched off."""
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)))


def restrict_files(writable: str) -> None:
    """Landlock, for good: read anywhere, write below `writable` and to /dev/null, execute nothing; no TCP.

    Needs no_new_privs. Raises OSError where the kernel has no Landlock.
    """
    abi = landlock_abi()
    if abi < 1:
        raise OSError(errno.ENOSYS, "landlock is missing")
    handled = (1 << next(bits for least, bits in _FS_RIGHTS if abi >= least)) - 1
    attributes = (ctypes.c_uint64 * 3)(handled, _NET_TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0)
    _check(min(ruleset, 0), "landlock_create_ruleset")
    below = handled & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK)
    for path, allowed in (
        ("/", _READ_FILE | _READ_DIR),
        (writable, below),
        ("/dev/null", handled & (_READ_FILE | _WRITE_FILE | _TRUNCATE)),
    ):
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = _PathBeneath(allowed, parent)
        _check(_libc.syscall(_LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), 0), f"landlock_add_rule {path}")
        os.close(parent)
    _check(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def has_filter(machine: str | None = None) -> bool:
    """Whether a filter is known for this machine's instruction set."""
    return (machine or platform.machine()) in _MACHINES and ctypes.sizeof(ctypes.c_void_p) == 8


def install_filter() -> bool:
    """Install the filter for good; false where this instruction set is unknown. Needs no_new_privs."""
    if not has_filter():
        return False
    instructions = [_Instruction(*line) for line in _assemble(platform.machine())]
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    _check(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(program), 0, 0), "seccomp")
    return True


def _assemble(machine: str) -> list[tuple[int, int, int, int]]:
    """BPF lines (code, jump if true, jump if false, constant). Jumps name a return or a check and are resolved last."""
    arch, denied, clone, clone3, socket, socketpair = _MACHINES[machine]
    lines: list[tuple[int, str, str, int]] = [
        (_LOAD, "", "", _ARCH),
        (_EQUAL, "", "kill", arch),
        (_LOAD, "", "", _NUMBER),
    ]
    if machine == "x86_64":
        lines.append((_GREATER_EQUAL, "kill", "", _X32_BIT))
    lines.append((_GREATER, "enosys", "", _NEWEST_KNOWN))
    lines.append((_EQUAL, "enosys", "", clone3))
    lines += [(_EQUAL, "deny", "", number) for number in sorted(denied.values())]
    lines.append((_EQUAL, "clone", "", clone))
    lines.append((_EQUAL, "socket", "", socket))
    lines.append((_EQUAL, "socket", "allow", socketpair))
    labels = {"clone": len(lines), "socket": len(lines) + 2}
    lines.append((_LOAD, "", "", _FIRST_ARGUMENT))
    lines.append((_BITS, "allow", "deny", _CLONE_THREAD))
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
