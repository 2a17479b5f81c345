"""The direct system calls that Python 3.11 does not offer: namespaces, mounts, capabilities, Landlock, seccomp.

Each raises OSError with the kernel's error number where the kernel refuses. Nothing here decides; see `confine`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Sequence

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x08000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
_CAPABILITY_VERSION_3, _CAPABILITIES = 0x20080522, 64
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

# Landlock's file rights by the ABI that brought them: 1 the first thirteen, 2 REFER, 3 TRUNCATE, 5 IOCTL_DEV.
_FILE_RIGHTS = ((5, 16), (3, 15), (2, 14), (1, 13))
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE = 1, 2, 4, 8, 64, 2048, 16384
_NET_TCP, _SCOPES = 3, 3  # bind and connect (ABI 4); abstract sockets and signals of others (ABI 6)
_libc = ctypes.CDLL(None, use_errno=True)


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def unshare(flags: int) -> None:
    """New namespaces of the kinds in `flags` (CLONE_NEW…); NEWPID counts for children only."""
    _check(_libc.unshare(flags), "unshare")


def set_namespace(pidfd: int, flags: int) -> None:
    """Enter the namespaces of another process; NEWPID counts for children only (Linux 5.8)."""
    _check(_libc.setns(pidfd, flags), "setns")


def mount_tmpfs(path: str, options: str) -> None:
    """A fresh file system in memory over `path`; `options` as in `mount -o`."""
    flags = ctypes.c_ulong(_NOSUID | _NODEV | _NOEXEC)
    _check(_libc.mount(b"tmpfs", path.encode(), b"tmpfs", flags, options.encode()), f"mount {path}")


def remount_read_only(path: str) -> None:
    """Make what `mount_tmpfs` mounted read-only."""
    flags = ctypes.c_ulong(_REMOUNT | _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    _check(_libc.mount(None, path.encode(), None, flags, None), f"remount {path}")


def bind_read_only(path: str) -> None:
    """Make the bind mount at `path` read-only: a device still takes data, but keeps its mode, owner and times."""
    flags = ctypes.c_ulong(_REMOUNT | _BIND | _RDONLY | _NOSUID | _NOEXEC)
    _check(_libc.mount(None, path.encode(), None, flags, None), f"remount {path}")


def unmount(path: str) -> None:
    """Take away what was mounted last at `path`."""
    _check(_libc.umount2(path.encode(), 0), f"unmount {path}")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """This signal for this process when the thread that started it ends; a change of user undoes it."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0), "pdeathsig")


def leave_no_core() -> None:
    """A crash of this process writes no core dump and starts no program of the host that would; an exec undoes it."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0), "dumpable")


def trim_memory() -> None:
    """Give memory that was freed back to the kernel, where the C library can (glibc)."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def drop_bounding_set() -> None:
    """No program that is started from here gains a capability; where CAP_SETPCAP is missing nothing happens."""
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)


def drop_capabilities() -> None:
    """Empty this process's own capability sets; what is already empty is fine."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def set_no_new_privileges() -> None:
    """From now on no program started here gains a privilege."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "no_new_privs")


def landlock_abi() -> int:
    """The kernel's Landlock ABI; 0 where it has none or it is switched off."""
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)))


def restrict_files(
    readable: Sequence[str], writable: str, *, execute: bool, listable: Sequence[str] = (), scoped: bool = True
) -> None:
    """Landlock, for good: read below `readable`, write below `writable` and to /dev/null, no TCP; needs no_new_privs.

    Args:
        execute: whether programs below `readable` may be started.
        listable: folders below which names can be listed, though files need not be readable.
        scoped: no signal to a process and no connection to an abstract socket outside either, where the ABI has that.

    Raises:
        OSError: the kernel has no Landlock (ENOSYS), or refuses.
    """
    abi = landlock_abi()
    if abi < 1:
        raise OSError(errno.ENOSYS, "landlock is missing")
    handled = (1 << next(bits for least, bits in _FILE_RIGHTS if abi >= least)) - 1
    attributes = (ctypes.c_uint64 * 3)(handled, _NET_TCP if abi >= 4 else 0, _SCOPES if abi >= 6 and scoped else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = int(_libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0))
    _check(min(ruleset, 0), "landlock_create_ruleset")
    read = _READ_FILE | _READ_DIR | (_EXECUTE if execute else 0)
    of_a_file = _READ_FILE | _WRITE_FILE | _TRUNCATE | _EXECUTE
    rules = [(path, read) for path in readable] + [(path, _READ_DIR) for path in listable]
    rules += [(writable, handled & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK))]
    rules += [("/dev/null", handled & (_READ_FILE | _WRITE_FILE | _TRUNCATE))]
    for path, allowed in rules:
        _allow(ruleset, path, allowed if os.path.isdir(path) else allowed & of_a_file)
    _check(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(rights, parent)
        _check(_libc.syscall(_LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), 0), f"landlock_add_rule {path}")
    finally:
        os.close(parent)


def install_filter(lines: Sequence[tuple[int, int, int, int]]) -> None:
    """Install a seccomp filter (see `seccomp.assemble`) for good; needs no_new_privs."""
    array = (_Instruction * len(lines))(*(_Instruction(*line) for line in lines))
    program = _Program(len(lines), array)
    _check(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(program), 0, 0), "seccomp")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
