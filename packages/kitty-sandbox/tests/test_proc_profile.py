"""The profile `proc`: programs may start processes and programs, as many as allowed, and none outlives its run."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_soak import descendants_of

from kitty_sandbox import BubblewrapSandbox, SandboxLimits, SandboxRun, SandboxUnavailable, launch
from kitty_sandbox import cgroup as under_test
from kitty_sandbox import supervisor as chooses
from kitty_sandbox.guest.confine import share
from kitty_sandbox.port import MIB

NO_CGROUP = under_test.find_parent() is None


def make_run(tests, profile="proc", **limits):
    limits = SandboxLimits(**{"timeout_sec": 20, **limits})
    return SandboxRun({"test_a.py": tests}, ("test_a.py",), limits, profile)


HONEST = {
    "subprocess": """
import subprocess, sys
def test_a():
    argv = [sys.executable, "-c", "import sys; print(sys.argv[1]); sys.exit(3)", "hello"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "hello\\n")
""",
    "a script in tmp": """
import subprocess, sys
def test_a(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sqlite3, sys; print(sys.flags.hash_randomization)")
    assert subprocess.run([sys.executable, str(script)], capture_output=True).stdout == b"0\\n"
""",
    "pipes": """
import subprocess, sys
def test_a():
    loud = subprocess.Popen([sys.executable, "-c", "print('a' * 100000)"], stdout=subprocess.PIPE)
    count = [sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"]
    assert subprocess.run(count, stdin=loud.stdout, capture_output=True).stdout == b"100001\\n"
    assert loud.wait() == 0
    loud.stdout.close()
""",
    "fork": """
import os
def test_a():
    pid = os.fork()
    if pid == 0: os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
""",
    "pool": """
import multiprocessing, concurrent.futures
def test_pool():
    with multiprocessing.get_context("fork").Pool(3) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]
def test_executor():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool: assert list(pool.map(abs, [-1])) == [1]
def test_queue():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=queue.put, args=(5,))
    child.start()
    assert queue.get(timeout=5) == 5
    child.join()
""",
    "asyncio": """
import asyncio, sys
async def work():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(5)", stdout=asyncio.subprocess.PIPE)
    return await child.communicate()
def test_a(): assert asyncio.run(work()) == (b"5\\n", None)
""",
}


async def test_threads_share_one_malloc_arena(sandbox):
    """A second one takes 64 MB of address space in one process of 32, by chance of its place: too rare to wait for."""
    tests = 'import os\ndef test_a(): assert os.environ["MALLOC_ARENA_MAX"] == "1"\n'
    assert (await sandbox.run(make_run(tests))).passed


@pytest.mark.parametrize("tests", HONEST.values(), ids=HONEST)
async def test_an_honest_program_with_processes_passes(sandbox, tests):
    result = await sandbox.run(make_run(tests))
    assert result.passed, [case.message for case in result.cases]


async def test_the_same_is_refused_in_the_profile_pure(sandbox):
    result = await sandbox.run(make_run(HONEST["subprocess"], profile="pure"))
    assert (result.outcome, result.cases[0].exception) == ("failed", "PermissionError")


async def test_a_child_is_as_confined_as_its_parent(sandbox):
    program = """
import ctypes, json, os, socket
libc, seen = ctypes.CDLL(None, use_errno=True), []
def attempt(name, what):
    try: result = what()
    except OSError: return
    if result not in (-1, None): seen.append(name)
attempt("network", lambda: socket.socket(socket.AF_INET))
attempt("unix socket", lambda: socket.socket(socket.AF_UNIX))
attempt("datagrams", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt("proc", lambda: os.listdir("/proc"))
attempt("file", lambda: open("/etc/passwd"))
attempt("work", lambda: open("/work/new", "w"))
attempt("user namespace", lambda: libc.unshare(0x10000000))
attempt("mount namespace", lambda: libc.unshare(0x20000))
for name, flags in (("clone user", 0x10000000), ("clone net", 0x40000000), ("clone time", 0x80)):
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    attempt(name, lambda: libc.syscall(number, flags | 17, 0, 0, 0, 0))
attempt("clone3", lambda: libc.syscall(435, 0, 0))
attempt("ptrace", lambda: libc.ptrace(16, os.getppid(), 0, 0))
attempt("limits of the parent", lambda: __import__("resource").prlimit(os.getppid(), 7))
print(json.dumps(seen))
"""
    tests = f"""
import json, os, socket, subprocess, sys
def test_a():
    done = subprocess.run([sys.executable, "-c", {program!r}], capture_output=True, text=True)
    assert json.loads(done.stdout) == [], done
def test_a_pair_of_sockets_is_allowed():
    one, other = socket.socketpair()
    if os.fork() == 0:
        other.sendall(b"x")
        os._exit(0)
    assert one.recv(1) == b"x"
"""
    result = await sandbox.run(make_run(tests))
    assert result.passed, result


async def test_only_programs_that_are_visible_can_be_started_and_none_from_tmp(sandbox):
    tests = """
import os, shutil, subprocess, sys, pytest
def test_a():
    for argv in (["/bin/sh", "-c", "true"], ["ls"], ["/usr/bin/env"]):
        with pytest.raises(OSError): subprocess.run(argv)
def test_tmp():
    with open("/tmp/script", "w") as file: file.write(f"#!{sys.executable}\\n")
    shutil.copy(sys.executable, "/tmp/python")
    for path in ("/tmp/script", "/tmp/python"):
        os.chmod(path, 0o755)
        with pytest.raises(PermissionError): subprocess.run([path])
"""
    result = await sandbox.run(make_run(tests, file_mb=32))
    assert result.passed, result


def started_by(pid):
    """Living processes below `pid`: their ids and the memory they hold, in bytes."""
    held = {}
    for one in descendants_of(pid):
        with contextlib.suppress(OSError):
            held[one] = int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return held


async def watch(task):
    """The most processes and bytes that a run had beyond what there was before."""
    before, most, bytes_ = started_by(os.getpid()), 0, 0
    while not task.done():
        now = {pid: size for pid, size in started_by(os.getpid()).items() if pid not in before}
        most, bytes_ = max(most, len(now)), max(bytes_, sum(now.values()))
        await asyncio.sleep(0.02)
    return before, most, bytes_


async def test_a_fork_bomb_makes_only_so_many_processes_and_none_is_left(sandbox):
    tests = """
import os, time
def test_a():
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError: time.sleep(0.001)
    os._exit(0)
"""
    assert (await sandbox.run(make_run(HONEST["fork"]))).passed
    task = asyncio.create_task(sandbox.run(make_run(tests)))
    before, most, _ = await watch(task)
    result = task.result()
    assert not result.passed
    assert most == (16 if NO_CGROUP else 32)
    assert started_by(os.getpid()).keys() == before.keys()
    assert (await sandbox.run(make_run(HONEST["fork"]))).passed


@pytest.mark.skipif(not NO_CGROUP, reason="with a cgroup the kernel ends all of it at memory_mb")
async def test_a_memory_bomb_of_many_processes_is_contained(sandbox):
    """4 processes of 128 MB is what 128 MB of limit give without a cgroup; nobody counts the pages they share."""
    tests = """
import os, time
def test_a():
    for _ in range(40):
        try:
            if os.fork() == 0: break
        except OSError: break
    kept = []
    while True:
        try: kept.append(bytearray(1_000_000))
        except MemoryError: time.sleep(60)
"""
    assert (await sandbox.run(make_run(HONEST["fork"]))).passed
    task = asyncio.create_task(sandbox.run(make_run(tests, memory_mb=128, timeout_sec=3)))
    before, most, held = await watch(task)
    assert task.result().outcome == "timeout"
    assert most <= 5
    assert 200 * MIB < held < 4 * 128 * MIB
    assert started_by(os.getpid()).keys() == before.keys()
    assert (await sandbox.run(make_run(HONEST["fork"]))).passed


async def test_a_daemon_does_not_survive_its_run(sandbox):
    tests = """
import os, signal, time
def test_a():
    ready, told = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except OSError: pass
        os.write(told, b"x")
        while True: time.sleep(1)
    assert os.read(ready, 1) == b"x"
"""
    assert (await sandbox.run(make_run(HONEST["fork"]))).passed
    before = started_by(os.getpid())
    result = await sandbox.run(make_run(tests))
    assert result.passed, result
    assert started_by(os.getpid()).keys() == before.keys()


async def test_a_child_that_goes_on_as_the_tests_earns_no_pass(sandbox):
    result = await sandbox.run(make_run("import os\ndef test_a():\n    os.fork()\ndef test_b(): pass\n"))
    assert result.outcome in {"tampered", "failed"}, result


async def test_cancelling_ends_the_whole_process_tree(sandbox):
    tests = "import subprocess, sys\ndef test_a(): subprocess.run([sys.executable, '-c', 'while True: pass'])\n"
    assert (await sandbox.run(make_run(HONEST["fork"]))).passed
    before = started_by(os.getpid())
    task = asyncio.create_task(sandbox.run(make_run(tests)))
    while len(started_by(os.getpid())) < len(before) + 2:  # noqa: ASYNC110 - other processes send no event
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if not started_by(os.getpid()).keys() - before.keys():
            break
        await asyncio.sleep(0.01)
    assert not started_by(os.getpid()).keys() - before.keys()


@pytest.mark.parametrize(
    ("memory_mb", "processes", "each"),
    [
        (512, 32, (128, 16)),
        (512, 8, (256, 8)),
        (512, 4, (512, 4)),
        (512, 2, (512, 2)),
        (2048, 32, (256, 32)),
        (128, 32, (128, 4)),
        (64, 32, (64, 4)),
        (64, 1, (64, 1)),
    ],
)
def test_without_a_cgroup_all_processes_together_have_four_times_the_memory(memory_mb, processes, each):
    assert share(memory_mb, processes) == each
    assert each[0] * each[1] <= 4 * memory_mb


@pytest.mark.skipif(os.getuid() != 0, reason="only root's processes are not counted")
async def test_root_in_a_user_namespace_has_no_profile_proc(monkeypatch):
    monkeypatch.setattr(chooses, "privileges", lambda: ("userns",))
    sandbox = BubblewrapSandbox()
    with pytest.raises(SandboxUnavailable, match="sets none for root"):
        await sandbox.run(make_run(HONEST["fork"]))
    sandbox.close()


def test_the_command_line_names_the_profile(tmp_path):
    (tmp_path / "solution.py").write_text("")
    (tmp_path / "test_a.py").write_text(HONEST["fork"])
    codes = {}
    for profile in ("pure", "proc", "other"):
        argv = [
            sys.executable,
            "-m",
            "kitty_sandbox",
            "run",
            "--json",
            "--profile",
            profile,
            "solution.py",
            "test_a.py",
        ]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        codes[profile] = done.returncode
    assert codes == {"pure": 1, "proc": 0, "other": 2}


@pytest.fixture
def hierarchy(tmp_path, monkeypatch):
    """A made-up cgroup file system: the service lives in /user/app/service; `app` hands the controllers on to us."""
    service = tmp_path / "user" / "app" / "service"
    service.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    for folder, controllers in ((service, ""), (service.parent, "cpu memory pids"), (service.parents[1], "cpu memory")):
        (folder / "cgroup.subtree_control").write_text(controllers)
        (folder / "cgroup.procs").write_text("")
    monkeypatch.setattr(under_test, "_is_delegated", lambda folder: True)
    membership = tmp_path / "membership"
    membership.write_text("1:name=systemd:/\n0::/user/app/service\n")
    return tmp_path, membership


def test_the_cgroup_of_a_run_is_made_beside_the_service(hierarchy):
    root, membership = hierarchy
    assert under_test.find_parent(root, membership) == root / "user" / "app"


@pytest.mark.parametrize(
    "text", ["", "4:memory:/x\n", "0::/\n", "0::/nowhere/else\n"], ids=["none", "version 1", "root", "unknown"]
)
def test_without_a_delegated_folder_there_is_no_cgroup(hierarchy, text):
    root, membership = hierarchy
    membership.write_text(text)
    assert under_test.find_parent(root, membership) is None


def test_controllers_that_are_not_handed_on_give_no_cgroup(hierarchy):
    root, membership = hierarchy
    (root / "user" / "app" / "cgroup.subtree_control").write_text("memory cpu")
    assert under_test.find_parent(root, membership) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root could write to what is not delegated")
def test_root_keeps_to_what_is_delegated(hierarchy, monkeypatch):
    root, membership = hierarchy
    monkeypatch.undo()
    assert under_test.find_parent(root, membership) is None


def test_a_cgroup_that_the_kernel_does_not_take_whole_is_none(hierarchy):
    """No kernel makes `cgroup.procs` here: the limits are written, and then the group is given up."""
    parent = hierarchy[0] / "user" / "app"
    assert under_test.make_group(parent, SandboxLimits(memory_mb=300, processes=9)) is None
    (left,) = parent.glob("kitty-run-*")  # a real one can be removed with its files in it
    texts = {path.name: path.read_text() for path in left.iterdir()}
    assert texts == {
        "memory.max": str(300 * MIB),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "9",
    }


def real_hierarchy():
    """Where a cgroup file system of version 2 is mounted that we may write to, with or without controllers."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK) and os.access(f"{place}/cgroup.procs", os.W_OK):
            return Path(place)
    return None


@pytest.mark.skipif(real_hierarchy() is None, reason="no cgroup file system of version 2 can be written to here")
async def test_a_run_enters_its_cgroup_before_the_guests_code(sandbox, monkeypatch):
    """Here without the controllers for memory and processes: what is shown is that the whole tree is inside."""
    folder = real_hierarchy() / f"kitty-run-test-{os.getpid()}"
    members = []

    @contextlib.contextmanager
    def fence(limits):
        folder.mkdir()
        entrance = os.open(folder / "cgroup.procs", os.O_WRONLY)
        try:
            yield (entrance,)
        finally:
            os.close(entrance)
            under_test.remove_group(folder)

    monkeypatch.setattr(launch, "run_cgroup", fence)
    tests = """
import os, time
def test_a():
    for _ in range(3):
        if os.fork() == 0: break
    time.sleep(1)
    os._exit(0)
"""
    task = asyncio.create_task(sandbox.run(make_run(tests)))
    while not task.done():
        with contextlib.suppress(OSError):
            members.append(len((folder / "cgroup.procs").read_text().split()))
        await asyncio.sleep(0.02)
    assert max(members) == 4
    assert not folder.exists()


async def test_with_a_cgroup_each_process_may_have_all_of_the_memory(sandbox, monkeypatch):
    """The kernel counts them together, so that address space need not be divided."""
    tests = "import resource\ndef test_a(): assert resource.getrlimit(resource.RLIMIT_AS)[0] == {} * 2**20\n"
    monkeypatch.setattr(launch, "run_cgroup", lambda limits: contextlib.nullcontext(()))
    assert (await sandbox.run(make_run(tests.format(128)))).passed
    read, write = os.pipe()
    monkeypatch.setattr(launch, "run_cgroup", lambda limits: contextlib.nullcontext((write,)))
    assert (await sandbox.run(make_run(tests.format(512)))).passed
    assert os.read(read, 10) == b"0"
    os.close(read)
    os.close(write)
