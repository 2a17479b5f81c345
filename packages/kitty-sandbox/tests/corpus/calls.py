"""System calls that a program has no need for. Getting past the filter is enough: the kernel looks at the arguments.

The arguments are ones that the kernel refuses in itself, so that nothing happens outside either. The numbers are
written out here once more, from the kernel's own tables, so that a wrong number in the filter shows.
"""

import ctypes
import errno
import mmap
import platform

from corpus import attack

_REFUSED = {errno.EPERM, errno.ENOSYS, errno.EACCES}
_NOWHERE = 1  # no address at all: EFAULT
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_IS_X86 = platform.machine() == "x86_64"

# name -> (x86_64, aarch64 (None: not there), arguments, whether it works outside)
_CALLS = {
    "acct": (163, 89, (_NOWHERE,), "as root"),
    "add_key": (248, 217, (_NOWHERE, 0, 0, 0, 0), "works"),
    "adjtimex": (159, 171, (_NOWHERE,), "works"),
    "bpf": (321, 280, (0, 0, 0), "as root"),
    "cachestat": (451, 451, (-1, 0, 0, 0), "depends"),
    "chroot": (161, 51, (_NOWHERE,), "works"),
    "clock_adjtime": (305, 266, (0, _NOWHERE), "works"),
    "clock_settime": (227, 112, (0, _NOWHERE), "works"),
    "delete_module": (176, 106, (_NOWHERE, 0), "depends"),
    "fanotify_init": (300, 262, (-1, 0), "as root"),
    "finit_module": (313, 273, (-1, _NOWHERE, 0), "depends"),
    "fsconfig": (431, 431, (-1, 99, 0, 0, 0), "works"),
    "fsmount": (432, 432, (-1, 99, 0), "as root"),
    "fsopen": (430, 430, (_NOWHERE, 0), "as root"),
    "fspick": (433, 433, (-1, _NOWHERE, 0), "as root"),
    "futex_waitv": (449, 449, (0, 0, 1, 0, 0), "depends"),
    "init_module": (175, 105, (_NOWHERE, 0, _NOWHERE), "depends"),
    "inotify_init1": (294, 26, (-1,), "works"),
    "io_setup": (206, 0, (0, _NOWHERE), "works"),
    "io_uring_enter": (426, 426, (-1, 0, 0, 0, 0, 0), "depends"),
    "io_uring_register": (427, 427, (-1, 0, 0, 0), "depends"),
    "io_uring_setup": (425, 425, (0, _NOWHERE), "depends"),
    "ioperm": (173, None, (1 << 20, 1, 1), "depends"),
    "iopl": (172, None, (9,), "depends"),
    "kcmp": (312, 272, (0, 0, 99, 0, 0), "depends"),
    "kexec_load": (246, 104, (0, 0, 0, 0x7FFFFFFF), "depends"),
    "keyctl": (250, 219, (0, -3, 0), "works"),
    "landlock_create_ruleset": (444, 444, (0, 0, 1), "depends"),
    "memfd_create": (319, 279, (_NOWHERE, 0), "works"),
    "memfd_secret": (447, 447, (-1,), "depends"),
    "mlock_above_the_limit": (149, 228, (id(_LIBC) & ~4095, 4096), "works"),
    "modify_ldt": (154, None, (99, 0, 0), "depends"),
    "mount": (165, 40, (0, _NOWHERE, 0, 0, 0), "works"),
    "mount_setattr": (442, 442, (-1, 0, -1, 0, 0), "depends"),
    "move_mount": (429, 429, (-1, 0, -1, 0, -1), "as root"),
    "mq_open": (240, 180, (_NOWHERE, 0, 0, 0), "works"),
    "msgget": (68, 186, (0x7E57, 0), "works"),
    "mseal": (462, 462, (1, 1, 1), "depends"),
    "open_by_handle_at": (304, 265, (-1, _NOWHERE, 0), "as root"),
    "open_tree": (428, 428, (-1, _NOWHERE, 0), "works"),
    "open_tree_attr": (467, 467, (-1, _NOWHERE, 0, 0, 0), "depends"),
    "perf_event_open": (298, 241, (_NOWHERE, 0, -1, -1, 0), "depends"),
    "personality": (135, 92, (0xFFFFFFFF,), "works"),
    "pidfd_getfd": (438, 438, (-1, 0, 0), "works"),
    "pidfd_open": (434, 434, (-1, 0), "works"),
    "pivot_root": (155, 41, (_NOWHERE, _NOWHERE), "as root"),
    "process_vm_readv": (310, 270, (1, _NOWHERE, 1, _NOWHERE, 1, 1), "works"),
    "ptrace": (101, 117, (99, -1, 0, 0), "works"),
    "quotactl": (179, 60, (0xFFFFFFFF, 0, 0, 0), "works"),
    "quotactl_fd": (443, 443, (-1, 0xFFFFFFFF, 0, 0), "depends"),
    "reboot": (169, 142, (1, 2, 3, 0), "as root"),
    "request_key": (249, 218, (_NOWHERE, 0, 0, 0), "works"),
    "semget": (64, 190, (0x7E57, 1, 0), "works"),
    "setdomainname": (171, 162, (_NOWHERE, -1), "as root"),
    "sethostname": (170, 161, (_NOWHERE, -1), "as root"),
    "setns": (308, 268, (-1, 0), "works"),
    "settimeofday": (164, 170, (_NOWHERE, 0), "works"),
    "shmat": (30, 196, (-1, 0, 0), "works"),
    "shmget": (29, 194, (0x7E57, 0, 0), "works"),
    "swapon": (167, 224, (_NOWHERE, -1), "as root"),
    "syslog": (103, 116, (10, 0, 0), "depends"),
    "umount": (166, 39, (_NOWHERE, 0), "works"),
    "unshare": (272, 97, (1,), "works"),
    "userfaultfd": (323, 282, (0x7FFFFFFF,), "depends"),
    "vhangup": (153, 58, (), None),  # outside it would hang up the terminal
}


def _call(number, arguments):
    """Whether the filter let the call through, by what the kernel says of it."""
    ctypes.set_errno(0)
    result = _LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    if result >= 0:
        return f"answered {result}"
    return "" if ctypes.get_errno() in _REFUSED else errno.errorcode[ctypes.get_errno()]


def _enter(name, number, arguments, outside):
    @attack(outside, name=f"calls.{name}")
    def attempt():
        return _call(number, arguments)


for _name, (_x86, _arm, _arguments, _outside) in _CALLS.items():
    if (_IS_X86 or _arm is not None) and platform.machine() in {"x86_64", "aarch64"}:
        _enter(_name, _x86 if _IS_X86 else _arm, _arguments, _outside)


@attack("depends")
def unknown_calls():
    """Numbers beyond what any kernel knows, and those that are new since the filter was written."""
    numbers = (*range(452, 480), 500, 1000)
    found = {number: _call(number, (-1, 0, 0, 0, 0, 0)) for number in numbers}
    return {number: answer for number, answer in found.items() if answer}


if _IS_X86:

    @attack("depends", ends=("killed",))
    def socket_by_an_x32_number():
        return _call(0x40000000 | 41, (2, 1, 0)) or None

    @attack("depends", ends=("killed",))
    def socket_by_the_32_bit_entry():
        """`int 0x80` has numbers of its own: 359 is socket(). A filter that looks at numbers alone is fooled."""
        # push rbx; mov eax, 359; mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; pop rbx; ret
        code = bytes.fromhex("53 b867010000 bb02000000 b901000000 31d2 cd80 5b c3")
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        return f"descriptor {result}" if result >= 0 else None


@attack()
def asynchronous_reads_of_the_whole_machine():
    """fs.aio-max-nr is one number for all: whoever takes it all stops the databases of the host."""
    number = 206 if _IS_X86 else 0
    taken, context = 0, ctypes.c_ulong(0)
    while taken < 4096 and not _LIBC.syscall(ctypes.c_long(number), 128, ctypes.byref(context)):
        taken, context = taken + 128, ctypes.c_ulong(0)
    return taken and f"{taken} taken"
