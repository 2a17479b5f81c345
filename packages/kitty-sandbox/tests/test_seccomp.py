"""The filter, judged by a small machine that runs its lines as the kernel would, for both processors.

`test_syscalls` shows that the kernel of this machine takes it.
"""

import errno
import re
from pathlib import Path

import pytest

from kitty_sandbox.guest import seccomp
from kitty_sandbox.guest.seccomp import assemble, has_filter

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
KILL, ALLOW, IGNORE = "kill", "allow", "ignore"
EPERM, ENOSYS = errno.EPERM, errno.ENOSYS
FILTERS = [
    (machine, profile, host_files)
    for machine in ARCHITECTURES
    for profile, host_files in (("pure", "hidden"), ("proc", "hidden"), ("pure", "visible"), ("pure", "own"))
]
every_filter = pytest.mark.parametrize(("machine", "profile", "host_files"), FILTERS)
# What an interpreter lives on: (x86-64, 64-bit Arm; None where that has no such call).
LIVING = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "openat": (257, 56), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "pread64": (17, 67),
    "pipe2": (293, 59), "poll": (7, None), "ppoll": (271, 73), "futex": (202, 98), "getpid": (39, 172),
    "exit": (60, 93), "exit_group": (231, 94), "wait4": (61, 260), "kill": (62, 129), "tgkill": (234, 131),
    "getdents64": (217, 61), "newfstatat": (262, 79), "statx": (332, 291), "unlinkat": (263, 35), "mkdirat": (258, 34),
    "renameat2": (316, 276), "symlinkat": (266, 36), "ftruncate": (77, 46), "clock_gettime": (228, 113),
    "nanosleep": (35, 101), "getrandom": (318, 278), "eventfd2": (290, 19), "epoll_create1": (291, 20),
    "epoll_pwait": (281, 22), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "dup3": (292, 24),
    "set_robust_list": (273, 99), "sigaltstack": (131, 132), "getrusage": (98, 165), "rseq": (334, 293),
    "setitimer": (38, 103), "madvise": (28, 233), "getcwd": (79, 17), "chdir": (80, 49), "umask": (95, 166),
}  # fmt: skip
# The calls that are judged by their arguments.
JUDGED = {
    "clone": (56, 220), "socketpair": (53, 199), "prlimit64": (302, 261), "sched_setaffinity": (203, 122),
    "prctl": (157, 167), "fcntl": (72, 25), "ioctl": (16, 29),
}  # fmt: skip
THREAD = 0x3D0F00  # as the C library makes one
FORK = 0x01200011
NAMESPACES = {
    "time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip


def run_filter(lines, arch, number, arguments=()):
    """What the kernel does for a call with these 64-bit arguments, as one of the words above or an error number."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = number.to_bytes(4, "little") + arch.to_bytes(4, "little") + bytes(8)
    data += b"".join((value % 2**64).to_bytes(8, "little") for value in values)
    assert len(data) == 64
    at = accumulator = 0
    while True:
        code, yes, no, constant = lines[at]
        if code == 0x20:  # load a word of 32 bits
            assert constant % 4 == 0
            accumulator = int.from_bytes(data[constant : constant + 4], "little")
            assert 0 <= constant <= 60
        elif code == 0x06:
            return read_action(constant)
        else:
            is_true = {
                0x15: accumulator == constant,
                0x25: accumulator > constant,
                0x35: accumulator >= constant,
                0x45: bool(accumulator & constant),
            }[code]
            at += yes if is_true else no
        at += 1


def read_action(constant):
    if constant == 0x80000000:
        return KILL
    if constant == 0x7FFF0000:
        return ALLOW
    assert constant & 0xFFFF0000 == 0x00050000
    return constant & 0xFFFF or IGNORE


class Judge:
    """One filter, asked about calls of its own machine."""

    def __init__(self, machine, profile="pure", host_files="hidden"):
        self.lines = assemble(profile, machine, host_files)
        self.arch, self.column = ARCHITECTURES[machine], list(ARCHITECTURES).index(machine)

    def __call__(self, call, *arguments):
        number = call if isinstance(call, int) else (LIVING | JUDGED)[call][self.column]
        return run_filter(self.lines, self.arch, number, arguments)


@every_filter
def test_the_lines_are_a_program_that_the_kernel_takes(machine, profile, host_files):
    lines = assemble(profile, machine, host_files)
    assert len(lines) < 4096
    for at, (code, yes, no, constant) in enumerate(lines):
        assert code in {0x20, 0x15, 0x25, 0x35, 0x45, 0x06}
        assert 0 <= constant < 2**32
        assert 0 <= yes < 256, "a jump has eight bits"
        assert 0 <= no < 256, "a jump has eight bits"
        if code not in {0x20, 0x06}:
            assert max(yes, no) + at + 1 < len(lines)
    assert lines[-1][0] == 0x06


@every_filter
def test_another_instruction_set_kills(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    for arch in (0x40000003, 0x40000028, *set(ARCHITECTURES.values()) - {judge.arch}):
        for number in (0, 1, 63, 400):
            assert run_filter(judge.lines, arch, number) == KILL


@pytest.mark.parametrize("profile", ["pure", "proc"])
def test_the_32_bit_face_of_x86_64_kills(profile):
    judge = Judge("x86_64", profile)
    assert {judge(0x40000000 | number) for number in range(600)} == {KILL}
    assert judge(0xFFFFFFFF) == KILL


@every_filter
def test_calls_newer_than_the_filter_are_not_there(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    assert {judge(number) for number in range(444, 1000)} == {ENOSYS}
    assert judge(0x3FFFFFFF) == ENOSYS
    assert judge(435) == ENOSYS, "clone3: its flags lie in memory"


@every_filter
def test_each_call_on_the_list_is_refused(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    _, denied, _ = seccomp._MACHINES[machine]
    processes = {"fork", "vfork", "execve", "execveat"}
    for name, number in denied.items():
        expected = ALLOW if profile == "proc" and name in processes else EPERM
        assert judge(number) == expected, name
    assert {"ptrace", "mount", "unshare", "setns", "bpf", "socket", "connect", "io_uring_setup"} <= denied.keys()


@every_filter
def test_what_an_interpreter_lives_on_is_allowed(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    numbers = {name: pair[judge.column] for name, pair in LIVING.items() if pair[judge.column] is not None}
    assert {name for name, number in numbers.items() if judge(number) != ALLOW} == set()


@every_filter
def test_nothing_else_is_decided_by_a_number(machine, profile, host_files):
    """Every call up to the newest known is refused, ignored, judged by its arguments, or allowed."""
    judge = Judge(machine, profile, host_files)
    _, denied, judged = seccomp._MACHINES[machine]
    tables = (seccomp._TIMES, seccomp._ATTRIBUTES, seccomp._MODES, seccomp._OWNERS)
    visible = {number for table in tables for number in table[machine].values()}
    for number in set(range(444)) - set(denied.values()) - set(judged.values()) - visible - {435}:
        assert judge(number, 2**64 - 1, 2**64 - 1, 0) == ALLOW, number


@every_filter
def test_a_thread_may_be_made_a_process_only_in_proc(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    assert judge("clone", THREAD) == ALLOW
    assert judge("clone", FORK) == (ALLOW if profile == "proc" else EPERM)
    assert judge("clone", 0) == (ALLOW if profile == "proc" else EPERM)
    for name, flag in NAMESPACES.items():
        assert judge("clone", flag | FORK) == EPERM, name
        assert judge("clone", flag | THREAD) == EPERM, name


@every_filter
def test_of_sockets_only_a_connected_pair_is_made(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    for kind, expected in ((1, ALLOW), (5, ALLOW), (2, EPERM), (3, EPERM), (4, EPERM), (6, EPERM), (10, EPERM)):
        for flags in (0, 0x800, 0x80000, 0x80800):
            assert judge("socketpair", 1, kind | flags, 0, 1234) == expected
    assert {judge("socketpair", family, 1) for family in range(50) if family != 1} == {EPERM}


@every_filter
def test_only_its_own_limits_and_processors_may_be_set(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    for name in ("prlimit64", "sched_setaffinity"):
        assert judge(name, 0, 7, 1234, 5678) == ALLOW
        assert judge(name, 1, 7, 1234, 5678) == EPERM
        assert judge(name, 2**64 - 1, 7) == EPERM


@every_filter
def test_what_was_asked_of_the_kernel_cannot_be_taken_back(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    assert {judge("prctl", option) for option in (1, 4)} == {EPERM}
    assert {judge("prctl", option) for option in (2, 3, 15, 16, 22, 38, 0x53564D41)} == {ALLOW}


@every_filter
def test_leases_watches_and_larger_pipes_are_refused(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    assert {judge("fcntl", 3, command) for command in (1024, 1026, 1031)} == {EPERM}
    assert {judge("fcntl", 3, command) for command in (0, 1, 2, 3, 4, 5, 36, 1030, 1032)} == {ALLOW}
    locks = {judge("fcntl", 3, command) for command in (6, 7, 37, 38)}
    assert locks == {IGNORE if profile == "pure" else ALLOW}


@every_filter
def test_only_the_lower_half_of_an_argument_counts_as_in_the_kernel(machine, profile, host_files):
    """The kernel reads these arguments as 32 bits; what lies above is nothing to it."""
    judge, above = Judge(machine, profile, host_files), 1 << 32
    assert judge("socketpair", above | 1, above | 1) == ALLOW
    assert judge("socketpair", above | 2, above | 1) == EPERM
    assert judge("prlimit64", above) == ALLOW
    assert judge("prctl", above | 1) == EPERM
    assert judge("clone", above | NAMESPACES["user"] | FORK) == EPERM


FILE_CALLS = {
    "utimensat": ((280, 88), {"hidden": ALLOW, "visible": IGNORE, "own": IGNORE}),
    "utime": ((132, None), {"hidden": ALLOW, "visible": IGNORE, "own": IGNORE}),
    "setxattr": ((188, 5), {"hidden": ALLOW, "visible": EPERM, "own": EPERM}),
    "fsetxattr": ((190, 7), {"hidden": ALLOW, "visible": EPERM, "own": EPERM}),
    "removexattr": ((197, 14), {"hidden": ALLOW, "visible": EPERM, "own": EPERM}),
    "chmod": ((90, None), {"hidden": ALLOW, "visible": ALLOW, "own": IGNORE}),
    "fchmod": ((91, 52), {"hidden": ALLOW, "visible": ALLOW, "own": IGNORE}),
    "fchmodat": ((268, 53), {"hidden": ALLOW, "visible": ALLOW, "own": IGNORE}),
    "fchown": ((93, 55), {"hidden": ALLOW, "visible": ALLOW, "own": EPERM}),
    "fchownat": ((260, 54), {"hidden": ALLOW, "visible": ALLOW, "own": EPERM}),
}


@every_filter
def test_files_that_no_mount_hides_keep_their_modes_owners_times_and_attributes(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    for name, (numbers, expected) in FILE_CALLS.items():
        if numbers[judge.column] is not None:
            assert judge(numbers[judge.column], 3, 4, 5) == expected[host_files], name


@every_filter
def test_flags_of_the_users_own_files_stay(machine, profile, host_files):
    judge = Judge(machine, profile, host_files)
    asks_about_terminals_and_pipes = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
    assert {judge("ioctl", 1, request) for request in asks_about_terminals_and_pipes} == {ALLOW}
    sets_flags_or_seals_or_types = (0x40086602, 0x401C5820, 0x40806685, 0x5412)
    expected = EPERM if host_files == "own" else ALLOW
    assert {judge("ioctl", 3, request) for request in sets_flags_or_seals_or_types} == {expected}


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_numbers_are_the_kernels(machine):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", HEADERS[machine].read_text(), re.MULTILINE)
    numbers = {name: int(number) for name, number in found}
    numbers.setdefault("newfstatat", numbers.get("fstatat", 0))  # one call, two names
    _, denied, judged = seccomp._MACHINES[machine]
    tables = (seccomp._TIMES, seccomp._ATTRIBUTES, seccomp._MODES, seccomp._OWNERS)
    column = list(ARCHITECTURES).index(machine)
    mine = {name: pair[column] for name, pair in (LIVING | JUDGED).items() if pair[column] is not None}
    ours = {**denied, **judged, **{name: n for table in tables for name, n in table[machine].items()}, **mine}
    assert {name: number for name, number in ours.items() if numbers.get(name) != number} == {}


def test_other_processors_have_no_filter():
    assert has_filter("x86_64")
    assert has_filter("aarch64")
    assert not has_filter("riscv64")
    with pytest.raises(KeyError):
        assemble("pure", "riscv64")
