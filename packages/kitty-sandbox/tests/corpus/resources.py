"""More than a run may use: memory, time, processors, output, disk, descriptors; and programs that break themselves.

The evidence is an amount beyond the limit. Where a program has no end of its own, the deadline must end its run.
"""

import contextlib
import ctypes
import fcntl
import functools
import mmap
import os
import re
import signal
import socket
import sys
import threading
import time

from corpus import attack, bait
from corpus.files import is_locked_for_others

MIB = 1024 * 1024
MAP_NORESERVE, F_SETPIPE_SZ = 0x4000, 1031
_alone = functools.partial(attack, alone=True)
_endless = functools.partial(attack, None, ends=("timeout",), limits={"timeout_sec": 0.4})


def _fill(step, most=10_000):
    """How often `step` went well."""
    done = 0
    with contextlib.suppress(OSError, MemoryError, RuntimeError):
        while done < most:
            step(done)
            done += 1
    return done


@_alone()
def memory_at_once():
    return len(bytearray(1 << 30))


@_alone(None)
def memory_that_creeps():
    held = []
    return _fill(lambda _: held.append(bytearray(10 * MIB)), 100) > 51 and "1 GB"


@_alone()
def memory_mapped():
    with mmap.mmap(-1, 1 << 30) as memory:
        return len(memory)


@_alone()
def memory_shared():
    with mmap.mmap(-1, 1 << 30, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) as memory:
        return len(memory)


@_alone()
def memory_reserved_only():
    with mmap.mmap(-1, 1 << 34, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE) as memory:
        return len(memory)


@_alone(None)
def memory_of_text():
    return len("x" * (1 << 30)) and "1 GB of text"


@_alone(None)
def memory_of_a_list():
    return len([None] * (1 << 28)) and "a list of 2 GB"


@_alone(None)
def memory_of_a_file_in_memory():
    memory = os.memfd_create("memory")
    return _fill(lambda _: os.write(memory, b"x" * MIB), 1000) and "memory that is no address space"


@_alone(None)
def memory_of_pipes():
    """128 descriptors, at most 1 MB a pipe and in sum what fs.pipe-user-pages-soft gives."""
    filled = 0

    def step(_):
        nonlocal filled
        _, write = os.pipe()
        os.set_blocking(write, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(write, F_SETPIPE_SZ, MIB)
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += os.write(write, b"x" * 65536)

    _fill(step)
    return filled > 100 * MIB and f"{filled // MIB} MB"


@_alone(None)
def memory_of_sockets():
    filled = 0

    def step(_):
        nonlocal filled
        for link in socket.socketpair():
            link.setblocking(False)
            keep.append(link)
            with contextlib.suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
            with contextlib.suppress(BlockingIOError):
                while True:
                    filled += link.send(b"x" * 65536)

    keep = []
    _fill(step)
    return filled > 64 * MIB and f"{filled // MIB} MB"


@_alone(None)
def memory_of_sockets_in_sockets():
    """Descriptors in flight count for nobody's limit of open files."""
    sent = 0

    def step(_):
        nonlocal sent
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.setblocking(False)
        with one, other:
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += one.send(b"x" * 60000)
            socket.send_fds(carrier[0], [b"x"], [one.fileno(), other.fileno()])

    carrier = socket.socketpair()
    carrier[0].setblocking(False)
    _fill(step)
    return sent > 64 * MIB and f"{sent // MIB} MB"


@_alone(None)
def memory_of_watches():
    libc = ctypes.CDLL(None)
    watcher = libc.inotify_init1(0)
    paths = [os.path.join(place, name) for place, _, names in os.walk("/usr/lib") for name in names]
    return sum(libc.inotify_add_watch(watcher, path.encode(), 2) >= 0 for path in paths)


@_alone(None)
def memory_of_landlock_rules():
    libc = ctypes.CDLL(None)
    ruleset = libc.syscall(444, (ctypes.c_uint64 * 2)(0, 3), ctypes.c_size_t(16), 0)
    rule = (ctypes.c_uint64 * 2)(3, 0)
    made = 0
    for port in range(1000):
        rule[1] = port
        made += ruleset >= 0 and libc.syscall(445, ruleset, 2, ctypes.byref(rule), 0) == 0
    return made


@_alone(None)
def memory_of_record_locks():
    """A lock on every second byte is a piece of kernel memory each."""
    paths = [f"{bait('folder')}/lock-{number}" for number in range(50)]
    files = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    deadline = time.monotonic() + 0.5
    made = 0
    while time.monotonic() < deadline:
        for file in files:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, made // 25)
            made += 1
    return is_locked_for_others(paths[0]) and f"{made} locks"


@_alone()
def timers():
    """Each is kernel memory; RLIMIT_SIGPENDING counts them, and is as large as the machine by itself."""
    libc, timer = ctypes.CDLL(None), ctypes.c_void_p()
    made = 0
    while made < 5000 and libc.timer_create(1, None, ctypes.byref(timer)) == 0:
        made += 1
    return made == 5000 and f"{made} timers"


@_alone(None)
def threads():
    gate = threading.Event()
    made = _fill(lambda _: threading.Thread(target=gate.wait, daemon=True).start(), 1000)
    gate.set()
    return made > 200 and f"{made} threads"


@_alone()
def open_files():
    made = _fill(lambda _: os.dup(0), 500)
    return made > 128 and f"{made} descriptors"


@_alone()
def disk():
    def step(number):
        with open(f"{bait('folder')}/part{number}", "wb") as file:
            file.write(b"x" * MIB)

    made = _fill(step, 40)
    return made > 32 and f"{made} MB"


@_alone()
def one_large_file():
    with open(f"{bait('folder')}/one", "wb", 0) as file:
        made = _fill(lambda _: file.write(b"x" * MIB), 20)
    return made > 16 and f"{made} MB"


@_alone()
def sparse_file():
    with open(f"{bait('folder')}/sparse", "wb") as file:
        file.truncate(1 << 30)
    return "1 GB"


@_alone()
def inodes():
    made = _fill(lambda number: os.close(os.open(f"{bait('folder')}/n{number}", os.O_CREAT)), 4500)
    return made > 4200 and f"{made} files"


@_alone(None)
def deep_folders():
    os.chdir(bait("folder"))

    def step(_):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)

    made = _fill(step, 4500)
    os.chdir("/")  # to name the place where it is now takes the C library minutes
    return made > 4200 and f"{made} folders"


@attack(None, ends=("killed", "timeout"), limits={"timeout_sec": 1})
def recursion():
    """A deep stack is an error of its own, or the end of the process; never of the machine."""
    sys.setrecursionlimit(10**9)

    def deeper():
        return deeper() + 1

    with contextlib.suppress(RecursionError):
        deeper()


@_endless()
def spin_that_ignores_signals():
    for number in range(1, 65):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        pass


@_endless()
def spin_in_many_threads():
    for _ in range(50):
        threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
    while True:
        pass


@_endless()
def sleep():
    time.sleep(3600)


@_endless()
def stopped_by_itself():
    """The first process of a tree is immune to SIGSTOP from within; where it is not, the deadline still holds."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)


@_endless()
def lock_that_is_never_given():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@_endless()
def pattern_without_end():
    re.match(r"(a+)+$", "a" * 60 + "b")


@_endless()
def pattern_that_holds_the_interpreter():
    """No other thread of the process runs meanwhile, so a deadline kept inside would never come."""
    re.match(r"(.*)*x", "a" * 5000)


@_endless()
def power_without_end():
    return str(7 ** (7**10))[:10]


@_endless()
def read_that_never_ends():
    read, _ = os.pipe()
    os.read(read, 1)


@_endless()
def alarm_that_never_rings():
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pause()


@attack(None, ends=("killed",), limits={"timeout_sec": 10})
def output_flood():
    while True:
        os.write(1, b"x" * 65536)


@attack(None, ends=("killed",), limits={"timeout_sec": 10})
def error_flood():
    while True:
        os.write(2, b"x" * 65536)


@attack(None, ends=("tampered", "killed"), limits={"timeout_sec": 10})
def report_flood():
    while True:
        for fd in range(3, 128):
            with contextlib.suppress(OSError):
                os.write(fd, b"x" * 65536)


@attack(None, ends=("tampered", "failed"))
def every_descriptor_closed():
    os.closerange(0, 1024)


@attack(None, ends=("killed",))
def segmentation_fault():
    ctypes.string_at(0)


@attack(None, ends=("killed",))
def abort():
    os.abort()


@attack(None, ends=("killed",))
def illegal_instruction():
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(b"\x0f\x0b" if os.uname().machine == "x86_64" else b"\0\0\0\0")
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()


@attack(None, ends=("contained", "killed"))
def kill_itself():
    """The first process of a tree is immune to itself."""
    os.kill(os.getpid(), signal.SIGKILL)


@attack(None, ends=("failed",))
def bytes_that_are_no_text():
    os.write(1, b"\xff\xfe\x80")
    os.write(2, "\udce4".encode("utf-8", "surrogateescape"))
    print("\ud800")
    raise ValueError("\ud800")


@attack(None, profile="proc")
def zombies():
    """Children that nobody waits for go with the tree; until then they count."""

    def step(_):
        if os.fork() == 0:
            os._exit(0)

    made = _fill(step, 200)
    return made > 40 and f"{made} zombies"


@attack(None, alone=True)
def text_on_every_stream():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        print("x" * 100_000, file=stream)
    sys.stdout.close()
    sys.stderr.close()
