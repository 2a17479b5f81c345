"""The guard of one command: a process of its own that starts it, watches it, and leaves nothing of it alive.

    broker ── order (JSON line on stdin, which stays open) ──> guard ── fork ──> command ──> children, daemons
           <── report (JSON on a pipe) ─────────────────────── guard <── every orphan of them (subreaper) ──

Started as `python -I -S -B guard.py SYSCALLS REPORT_FD`; the standard library only. SYSCALLS is the file of
`kitty_sandbox.guest.syscalls`. stdin ends when the broker cancels or dies: both end the command at once.

Stops: processes that outlive the command, also after a double fork and setsid (whoever loses its parent becomes the
guard's child); more than the limits; privileges by setuid programs; reading outside the workspace and TCP, where the
kernel has Landlock; killing this guard, where the command is another user or Landlock has signal scopes (Linux 6.12).
Does not stop: what a `confined: false` command does as its user, which is why such a command wants a person's word.
"""

import ctypes
import importlib.util
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from types import ModuleType
from typing import Any, NoReturn

PR_SET_CHILD_SUBREAPER = 36
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
KILL_AGAIN_SEC = 0.01
NOT_STARTED = 127
LIMITS = {
    "cpu_sec": resource.RLIMIT_CPU,
    "memory": resource.RLIMIT_AS,
    "file_bytes": resource.RLIMIT_FSIZE,
    "open_files": resource.RLIMIT_NOFILE,
    "core": resource.RLIMIT_CORE,
}


def main() -> None:
    """One order, one report."""
    syscalls = _load(sys.argv[1])
    report = int(sys.argv[2])
    os.set_inheritable(report, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0) != 0:
        raise OSError("this kernel has no subreapers")
    syscalls.leave_no_core()
    broker = os.getppid()
    order = json.loads(_line(0))
    if order["cwd_fd"] is not None:
        os.set_inheritable(order["cwd_fd"], False)
    ending = _run(order, syscalls)
    if os.getppid() != broker:  # it was killed: nobody else takes the home away
        shutil.rmtree(order["env"]["HOME"])
        return
    os.write(report, json.dumps(ending).encode())


def _run(order: dict[str, Any], syscalls: ModuleType) -> dict[str, Any]:
    problem_end, problem_start = os.pipe()
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(order, syscalls, guard, problem_start)
    os.close(problem_start)
    try:
        timed_out = _watch(pid, order)
    finally:
        status = _kill_all(pid)
    problem = os.read(problem_end, 2000).decode() if os.waitstatus_to_exitcode(status) == NOT_STARTED else ""
    return {"exit_code": os.waitstatus_to_exitcode(status), "timed_out": timed_out, "problem": problem}


def _watch(pid: int, order: dict[str, Any]) -> bool:
    """Wait for the command's end, its deadline, or the broker's. Whether it was the deadline."""
    ended = os.pidfd_open(pid)
    watched = select.poll()
    watched.register(ended, select.POLLIN)
    watched.register(0, select.POLLHUP)
    try:
        if watched.poll(order["timeout_sec"] * 1000):
            return False
        _kill(-pid, signal.SIGTERM)
        watched.poll(order["grace_sec"] * 1000)
        return True
    finally:
        os.close(ended)


def _kill_all(command: int) -> int:
    """Kill and reap until nobody is left; the command's wait status. A forking tree is killed faster than it grows."""
    status = 0
    while True:
        for pid in _descendants(os.getpid()):
            _kill(pid)
        try:
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                status = reaped[1] if reaped[0] == command else status
        except ChildProcessError:
            return status
        time.sleep(KILL_AGAIN_SEC)


def _descendants(top: int) -> list[int]:
    parents = {int(name): _parent(name) for name in os.listdir("/proc") if name.isdecimal()}
    found: list[int] = []
    newest = {top}
    while newest:
        newest = {pid for pid, parent in parents.items() if parent in newest}
        found += newest
    return found


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _become(order: dict[str, Any], syscalls: ModuleType, guard: int, problem: int) -> NoReturn:
    """In the child: give up what the command must not have, then be the command."""
    try:
        os.setsid()
        _give_up(order, syscalls)
        if os.getppid() != guard:
            os._exit(NOT_STARTED)
        for number in (*IGNORED, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.set_inheritable(problem, False)
        os.closerange(3, problem)
        os.closerange(problem + 1, os.sysconf("SC_OPEN_MAX"))
        os.execve(order["argv"][0], order["argv"], order["env"])
    except (OSError, ValueError) as error:
        os.write(problem, f"{error} ({order['argv'][0]})".encode())
    finally:
        os._exit(NOT_STARTED)


def _give_up(order: dict[str, Any], syscalls: ModuleType) -> None:
    os.umask(0o077)
    if order["cwd_fd"] is None:
        os.chdir(order["env"]["HOME"])
    else:
        os.fchdir(order["cwd_fd"])
    account = order["account"]
    processes = _processes_of(account["uid"] if account else os.getuid()) + order["processes"]
    limits = {LIMITS[name]: value for name, value in order["limits"].items()} | {resource.RLIMIT_NPROC: processes}
    for limit, value in limits.items():
        most = resource.getrlimit(limit)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (value, value))
    syscalls.set_no_new_privileges()
    if order["readable"] is not None:
        readable = [path for path in order["readable"] if os.path.exists(path)]
        syscalls.restrict_files(readable, order["env"]["HOME"], execute=True)
    if account:
        os.setgroups([])
        os.setgid(account["gid"])
        os.setuid(account["uid"])
    syscalls.die_with_parent()  # a change of user undoes it


def _processes_of(uid: int) -> int:
    """Threads that count against the limit of a user's processes already."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue  # it ended meanwhile
    return count


def _line(handle: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(handle, 65536)
        if not piece:
            sys.exit(0)  # cancelled before it began
        line += piece
    return line


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("syscalls", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
