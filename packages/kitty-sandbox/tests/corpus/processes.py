"""Other processes: made, met, watched or outlived."""

import contextlib
import ctypes
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import threading
import time
from fcntl import ioctl

from corpus import attack, bait

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD = 0x100, 0x200, 0x400, 0x800, 0x10000
CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWPID = 0x40000000, 0x10000000, 0x20000000
TIOCLINUX = 0x541C


@attack()
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


@attack()
def fork_past_the_library():
    """The system call itself: no hook of the C library is asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = libc.syscall(ctypes.c_long({"x86_64": 56, "aarch64": 220}[os.uname().machine]), signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return pid > 0 and os.waitpid(pid, 0)


@attack()
def daemon_by_double_fork():
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write, b"alive")
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(read, 10)


@attack()
def program_by_subprocess():
    return subprocess.run([sys.executable, "-c", "print(1)"], check=True, capture_output=True).stdout


@attack()
def program_by_posix_spawn():
    return os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}), 0)


@attack()
def program_by_system():
    return os.system("true") == 0


@attack(alone=True)
def program_instead_of_ours():
    """What it runs says itself that it does."""
    line = """print('@["processes.program_instead_of_ours", true, "another program"]')"""
    os.execv(sys.executable, [sys.executable, "-c", line])


@attack()
def program_through_the_loader():
    loader = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}[os.uname().machine]
    pid = os.posix_spawn(loader, [loader, sys.executable, "-c", ""], {})
    return os.waitpid(pid, 0)


@attack()
def program_in_memory():
    program = os.memfd_create("program")
    with open(sys.executable, "rb") as file:
        os.sendfile(program, file.fileno(), 0, 1 << 30)
    return os.waitpid(os.posix_spawn(f"/proc/self/fd/{program}", ["x", "-c", ""], {}), 0)


@attack(open_in=("landlock",))
def signal_to_everybody():
    """Signal 0 asks only. Without a process tree of its own the kernel says yes even where each one is refused."""
    os.kill(-1, 0)
    return "somebody is there"


@attack()
def signal_to_the_host():
    os.kill(bait("pid"), 0)
    return bait("pid")


@attack()
def signal_to_the_parent():
    """In a tree of its own the parent is nobody, or the first process of this very run."""
    os.kill(os.getppid() or bait("pid"), 0)
    return os.getppid() != 1


@attack()
def handle_of_a_host_process():
    return os.pidfd_open(bait("pid")) >= 0


@attack()
def limits_of_a_host_process():
    return resource.prlimit(bait("pid"), resource.RLIMIT_NOFILE)


@attack(open_in=("landlock",))
def priority_of_a_host_process():
    return f"priority {os.getpriority(os.PRIO_PROCESS, bait('pid'))}"


@attack(open_in=("landlock",))
def session_of_a_host_process():
    """In a container the leader may be outside and its number 0: the answer counts, not the number."""
    return f"session {os.getsid(bait('pid'))}"


@attack(open_in=("landlock",))
def cores_of_a_host_process():
    return os.sched_getaffinity(bait("pid"))


@attack()
def limits_raised():
    """Each limit to infinity; memory, processes and file size are the ones that bind."""
    raised = []
    for name in ("AS", "FSIZE", "NOFILE", "NPROC", "CPU", "CORE", "MEMLOCK", "MSGQUEUE", "RTPRIO", "NICE"):
        kind = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(kind)
        with contextlib.suppress(OSError, ValueError):
            if hard == resource.RLIM_INFINITY and name in {"AS", "FSIZE", "NPROC", "CPU"}:
                raised.append(name)  # nothing to raise: it never was limited
            else:
                resource.setrlimit(kind, (soft, hard + 1))
                raised.append(name)
    return raised


@attack("as root")
def another_user():
    mine = os.getuid()
    for user in (0, 1, 1000, 65534):
        with contextlib.suppress(OSError):
            os.setresuid(user, user, user)
            if os.getuid() != mine:
                return user
    return None


@attack("as root")
def another_group():
    mine = os.getgid()
    for group in (0, 1, 6, 1000):
        with contextlib.suppress(OSError):
            os.setresgid(group, group, group)
            if os.getgid() != mine:
                return group
    with contextlib.suppress(OSError):
        os.setgroups([6])
        return "more groups"
    return None


@attack()
def rights_by_a_program():
    """Whether a set-uid program would gain its rights: no_new_privs says no."""
    return ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 0


@attack("as root")
def rights_given_back():
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))
    has = (ctypes.c_uint32 * 6)()
    libc.capget(header, has)
    return any(has)


@attack(open_in=("landlock any",))
def rights_that_a_program_could_be_given():
    """The bounding set: what is not in it, no program can gain whatever its bits."""
    libc = ctypes.CDLL(None)
    return [number for number in range(38) if libc.prctl(23, number, 0, 0, 0) == 1]


@attack("depends")
def user_namespace():
    """In a fork outside; inside it is asked of this very process, which is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.unshare(CLONE_NEWUSER) == 0


@attack("depends")
def process_in_a_user_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    pid = libc.syscall(ctypes.c_long(number), CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return pid > 0 and os.waitpid(pid, 0)


@attack()
def process_by_clone3():
    """Its flags lie in memory, where a filter cannot look: it must be refused altogether."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_uint64 * 8)(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = libc.syscall(ctypes.c_long(435), arguments, ctypes.c_long(64))
    if pid == 0:
        os._exit(0)
    return pid > 0 and os.waitpid(pid, 0)


@attack("as root")
def thread_in_other_namespaces():
    """Threads are allowed: one that asks for a network of its own must not get it."""
    libc = ctypes.CDLL(None)
    done = []

    def ask():
        done.append(libc.unshare(CLONE_NEWNET))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return done == [0]


@attack("as root")
def namespace_of_another_process():
    with open(f"/proc/{bait('pid')}/ns/net") as file:
        return ctypes.CDLL(None).setns(file.fileno(), CLONE_NEWNET) == 0


@attack()
def traced_by_ptrace():
    return ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0


@attack("as root")
def memory_of_another_process():
    """Read from the parent: outside it forked us, so the same object lies at the same place."""
    word = b"something of ours in memory"
    found = ctypes.create_string_buffer(200)
    own = (ctypes.c_void_p * 2)(ctypes.addressof(found), 200)
    theirs = (ctypes.c_void_p * 2)(id(word), 200)
    target = os.getppid() or os.getpid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.process_vm_readv(target, own, ctypes.c_ulong(1), theirs, ctypes.c_ulong(1), ctypes.c_ulong(0)) < 0:
        raise OSError(ctypes.get_errno(), "process_vm_readv")
    return word in found.raw


@attack("as root")
def memory_written_in_another_process():
    word = ctypes.create_string_buffer(b"x")
    both = (ctypes.c_void_p * 2)(ctypes.addressof(word), 1)
    libc = ctypes.CDLL(None)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    return libc.process_vm_writev(os.getpid(), both, one, both, one, none) == 1


@attack("depends")
def keys_typed_for_others():
    """TIOCSTI puts characters into the terminal of whoever started us."""
    master, terminal = pty.openpty()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.getsid(0) != os.getpid():
        os.setsid()
    ioctl(terminal, termios.TIOCSCTTY, 1)
    ioctl(terminal, termios.TIOCSTI, b"x")
    return os.close(master) or "typed"


@attack("depends")
def console_of_the_machine():
    with open("/dev/tty0", "r+b", 0) as console:
        ioctl(console, TIOCLINUX, bytearray(b"\x0c"))
        return "the foreground console"


@attack("as root")
def real_time_priority():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return "before all others"


@attack("as root")
def better_priority():
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    return "before others"


@attack("as root")
def memory_that_never_leaves():
    return ctypes.CDLL(None).mlockall(3) == 0


@attack(None, alone=True)
def fork_bomb():
    made = 0
    for _ in range(100):
        if os.fork() == 0:
            time.sleep(60)
        made += 1
    return f"{made} processes"


@attack(None, profile="proc")
def fork_bomb_where_processes_are_allowed():
    made = 0
    with contextlib.suppress(OSError):
        while made < 200:
            if os.fork() == 0:
                time.sleep(60)
            made += 1
    return made > 40 and f"{made} processes"


@attack(None, profile="proc", ends=("timeout",), limits={"timeout_sec": 0.7})
def fork_bomb_that_never_gives_up():
    while True:
        with contextlib.suppress(OSError):
            os.fork()


@attack(None, profile="proc")
def daemon_where_processes_are_allowed():
    """It outlives its test, not its run: `arena` looks for what is left. It may not hold up the end either."""
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 65):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(0)


@attack(None, profile="proc")
def namespace_where_processes_are_allowed():
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    for flag in (CLONE_NEWUSER, CLONE_NEWUSER | CLONE_NEWPID, CLONE_NEWNET):
        pid = libc.syscall(ctypes.c_long(number), flag | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        if pid > 0 or libc.unshare(flag) == 0:
            return flag
    return None


@attack(None, profile="proc", limits={"timeout_sec": 10})
def memory_of_many_processes():
    """Each takes less than one may have. Where no cgroup counts them together, four times the limit is the promise."""
    made, megabytes = 0, 0
    read, write = os.pipe()
    with contextlib.suppress(OSError):
        while made < 40:
            if os.fork() == 0:
                with contextlib.suppress(MemoryError):
                    held = bytearray(100 << 20)
                    os.write(write, b"x" * len(held[:1]))
                    time.sleep(60)
                os._exit(0)
            made += 1
    os.set_blocking(read, False)
    for _ in range(50):
        with contextlib.suppress(BlockingIOError):
            megabytes += 100 * len(os.read(read, 100))
        time.sleep(0.01)
    return megabytes > 4 * 512 and f"{megabytes} MB"
