"""The tier `landlock`, on a machine whose bubblewrap is refused: no namespaces, and yet nothing gets out.

Each escape is first shown to work outside. As root the guest is an unused user; all of it is also run by an ordinary
user, whose guest has that user's own files and processes around it.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import kitty_sandbox
from kitty_sandbox import BubblewrapSandbox, SandboxLimits, SandboxRun, SandboxUnavailable, supervisor
from kitty_sandbox.guest import folders
from kitty_sandbox.guest.seccomp import has_filter
from kitty_sandbox.launch import Launcher
from kitty_sandbox.place import make_place, privileges_without_namespaces
from kitty_sandbox.pool import Pool
from kitty_sandbox.port import SandboxMatrix
from kitty_sandbox.python_env import inspect_python

CLOSED = Path(sys.executable).resolve().parents
SYSTEM_PYTHON = f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
pytestmark = pytest.mark.skipif(not has_filter(), reason="the tier needs a seccomp filter")


@pytest.fixture(scope="module")
def refusing_bwrap():
    with tempfile.TemporaryDirectory(prefix="kitty-test-") as folder:
        program = Path(folder, "bwrap")
        program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
        program.chmod(0o755)
        yield program


@pytest.fixture(scope="module")
def python():
    """An interpreter that the guest can read: below /root it could not."""
    for candidate in (None, SYSTEM_PYTHON):
        with contextlib.suppress(SandboxUnavailable):
            make_place("", inspect_python(candidate), privileges_without_namespaces()[0], "landlock")
            return candidate
    pytest.skip("no interpreter of this version can be read by everybody")


@pytest.fixture(scope="module")
def plain(refusing_bwrap, python):
    made = BubblewrapSandbox(python=python, bwrap=refusing_bwrap, tier="landlock", workers=1)
    yield made
    made.close()


def make_run(tests, solution="", **limits):
    limits = SandboxLimits(**{"timeout_sec": 10, **limits})
    return SandboxRun({"solution.py": solution, "test_solution.py": tests}, ("test_solution.py",), limits)


HONEST = {
    "asyncio and threads": """
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
async def work(): return await asyncio.to_thread(lambda: 5)
def test_a(): assert asyncio.run(work()) == 5
def test_b():
    with ThreadPoolExecutor(8) as pool: assert list(pool.map(abs, range(-50, 0))) == list(range(50, 0, -1))
def test_many():
    gate = threading.Barrier(41)
    for _ in range(40): threading.Thread(target=gate.wait, daemon=True).start()
    gate.wait(5)
""",
    "files": """
import os, tempfile
from pathlib import Path
def test_a(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "c").mkdir()
    os.symlink("b", tmp_path / "d")
    assert sorted(os.listdir(tmp_path)) == ["b", "c", "d"]
def test_b():
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w+") as file:
        file.write("x"); file.seek(0)
        assert file.read() == "x"
def test_home(): Path.home().joinpath("x").write_text("x")
def test_own(): assert "def test_own" in Path("test_solution.py").read_text()
""",
    "standard library": """
import colorsys, datetime, decimal, hashlib, lzma, random, sqlite3, zoneinfo
def test_a():
    db = sqlite3.connect(":memory:")
    assert db.execute("select 1 + 1").fetchone() == (2,)
    assert datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset().seconds == 7200
def test_file(tmp_path):
    db = sqlite3.connect(tmp_path / "db")
    db.execute("create table t (x)"); db.commit(); db.close()
""",
    "fixtures": """
import pytest
@pytest.mark.parametrize("n", [1, 2])
def test_n(n, capsys, monkeypatch):
    print(n)
    monkeypatch.setenv("A", "1")
    assert capsys.readouterr().out == f"{n}\\n"
""",
}


async def test_the_tier_is_the_last_resort_and_says_why(plain):
    status = await plain.probe()
    assert (status.available, status.sandbox_tier) == (True, "landlock"), status
    assert "did not hold here, so landlock is used: This machine refuses the namespaces" in status.warnings[-1]


async def test_where_namespaces_are_given_the_tier_is_not_used():
    sandbox = BubblewrapSandbox(tier="landlock")
    status = await sandbox.probe()
    sandbox.close()
    if not status.available or status.sandbox_tier == "landlock":
        pytest.skip("this machine refuses namespaces")
    assert (status.sandbox_tier, status.warnings) == ("full", ())


@pytest.mark.parametrize("tier", ["full", "ns-only"])
async def test_nobody_gets_the_tier_without_asking(refusing_bwrap, python, tier):
    status = await BubblewrapSandbox(python=python, bwrap=refusing_bwrap, tier=tier).probe()
    assert (status.available, status.sandbox_tier) == (False, "")


async def test_without_bubblewrap_the_tier_does(python):
    sandbox = BubblewrapSandbox(python=python, bwrap="/nowhere/bwrap", tier="landlock")
    status = await sandbox.probe()
    sandbox.close()
    assert (status.sandbox_tier, "bubblewrap is missing" in status.warnings[-1]) == ("landlock", True), status


@pytest.mark.parametrize("tests", HONEST.values(), ids=HONEST)
async def test_an_honest_program_passes(plain, tests):
    result = await plain.run(make_run(tests))
    assert (result.outcome, result.sandbox_tier) == ("passed", "landlock"), result


async def test_a_wrong_program_fails_with_its_reason(plain):
    result = await plain.run(make_run("from solution import f\ndef test_a(): assert f() == 1\n", "def f(): return 2\n"))
    assert (result.outcome, result.cases[0].message) == ("failed", "AssertionError: assert 2 == 1\n +  where 2 = f()")


async def test_checks_without_a_test_runner_work_too(plain):
    (row,) = await plain.matrix(SandboxMatrix(("def f(x): return x + 1\n",), ("assert f(1) == 2", "f(4)")))
    assert [cell.outcome for cell in row.cells] == ["passed", "value"], row


async def test_the_profile_proc_is_refused(plain):
    run = SandboxRun({"test_a.py": "def test_a(): pass\n"}, ("test_a.py",), profile="proc")
    with pytest.raises(SandboxUnavailable, match="process tree of its own") as caught:
        await plain.run(run)
    assert caught.value.fix


async def test_asking_for_two_processes_gives_one(plain):
    files = {
        "solution.py": "def f(): return 1\n",
        "test_a.py": "from solution import f\ndef test_a(): assert f() == 1\n",
    }
    result = await plain.run(SandboxRun(files, ("test_a.py",), split=True))
    assert (result.outcome, result.verdict_strength) == ("passed", "in-process")


# Each defines attack(), which returns "ESCAPED" when it worked; names in capitals are filled in. What the host offers
# here, everybody may read and write: it is not the file modes that refuse.
CHANGES = """
import os
def changes(path, change):
    before = os.stat(path).st_ctime_ns
    change(path)
    if os.stat(path).st_ctime_ns == before: raise OSError("nothing happened")
"""
ESCAPES = {
    "read a file": "def attack(): return open('SHARED').read()",
    "list a folder": "import os\ndef attack(): return os.listdir('FOLDER')",
    "write a file": "def attack(): return open('SHARED', 'a').close()",
    "make a file": "def attack(): return open('FOLDER/new', 'w').close()",
    "make a folder": "import os\ndef attack(): return os.mkdir('FOLDER/new folder')",
    "truncate": "import os\ndef attack(): return os.truncate('SHARED', 1)",
    "remove": "import os\ndef attack(): return os.unlink('FOLDER/remove me')",
    "rename away": "import os\ndef attack(): return os.rename('FOLDER/rename me', 'FOLDER/renamed')",
    "rename in": "import os, tempfile\ndef attack(): return os.rename('FOLDER/take me', tempfile.mkdtemp() + '/x')",
    "link in": "import os, tempfile\ndef attack():\n    os.link('SHARED', tempfile.mkdtemp() + '/x')",
    "link and read": "import os, tempfile\ndef attack():\n    path = tempfile.mkdtemp() + '/x'\n"
    "    os.symlink('SHARED', path)\n    return open(path).read()",
    "write a pipe": "import os\ndef attack(): return os.close(os.open('PIPE', os.O_RDWR | os.O_NONBLOCK))",
    "change a mode": CHANGES + "def attack(): return changes('OWNED', lambda path: os.chmod(path, 0o666))",
    "change times": CHANGES + "def attack(): return changes('OWNED', lambda path: os.utime(path, (1, 1)))",
    "change times of a shared file": CHANGES + "def attack(): return changes('SHARED', os.utime)",
    "set an attribute": CHANGES
    + "def attack(): return changes('SHARED', lambda path: os.setxattr(path, 'user.kitty', b'x'))",
    "passwd": "def attack(): return open('/etc/passwd').read()",
    "other packages": "def attack(): return open('ELSEWHERE').read()",
    "a terminal": "import os\ndef attack(): return os.close(os.open('/dev/ptmx', os.O_RDWR))",
    "proc": "def attack(): return open('/proc/self/status').read()",
    "environment of the agent": "def attack(): return open('/proc/AGENT/environ', 'rb').read()",
    "memory of the agent": "import ctypes\nclass V(ctypes.Structure):\n"
    "    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]\n"
    "def attack():\n    read = ctypes.CDLL(None).process_vm_readv\n    local = V(0, 0)\n"
    "    if read(NEIGHBOUR, ctypes.byref(local), 1, ctypes.byref(local), 1, 0) == -1: raise OSError",
    "ptrace": "import ctypes, os\ndef attack():\n    libc = ctypes.CDLL(None)\n"
    "    if libc.ptrace(0x4206, NEIGHBOUR, 0, 0) == -1: raise OSError\n    libc.ptrace(17, NEIGHBOUR, 0, 0)",
    "signal": "import os\ndef attack(): return os.kill(NEIGHBOUR, 0)",
    "signal a group": "import os\ndef attack(): return os.killpg(NEIGHBOUR, 0)",
    "limits of another": "import resource\ndef attack():\n"
    "    resource.prlimit(NEIGHBOUR, resource.RLIMIT_NOFILE, resource.prlimit(NEIGHBOUR, resource.RLIMIT_NOFILE))",
    "priority of another": "import os\ndef attack(): return os.setpriority(os.PRIO_PROCESS, NEIGHBOUR, 1)",
    "processor of another": "import os\ndef attack(): return os.sched_setaffinity(NEIGHBOUR, {0})",
    "pidfd": "import os\ndef attack(): return os.close(os.pidfd_open(NEIGHBOUR))",
    "fork": "import os\ndef attack():\n    pid = os.fork()\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)",
    "exec": "import subprocess, sys\ndef attack(): return subprocess.run([sys.executable, '-c', ''], check=True)",
    "clone without a thread": "import ctypes, os\ndef attack():\n"
    "    pid = ctypes.CDLL(None).syscall({'x86_64': 56, 'aarch64': 220}[os.uname().machine], 17, 0, 0, 0, 0)\n"
    "    if pid == 0: os._exit(0)\n    if pid < 0: raise OSError\n    os.waitpid(pid, 0)",
    "tcp": "import socket\ndef attack(): return socket.create_connection(('127.0.0.1', PORT), 1).close()",
    "unix socket": "import socket\ndef attack():\n    with socket.socket(socket.AF_UNIX) as s: s.connect('LISTENER')",
    "abstract socket": "import socket\ndef attack():\n"
    "    with socket.socket(socket.AF_UNIX) as s: s.connect('\\0ABSTRACT')",
    "datagram from a pair": "import socket\ndef attack():\n"
    "    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "    with one, other: one.sendto(b'x', 'LOG')",
    "message queue": "import ctypes\ndef attack():\n"
    "    if ctypes.CDLL(None).msgsnd(QUEUE, b'\\1' + b'\\0' * 15, 1, 2048) == -1: raise OSError",
    "shared memory": "import ctypes\ndef attack():\n    libc = ctypes.CDLL(None)\n"
    "    libc.shmat.restype = ctypes.c_ssize_t\n    at = libc.shmat(SEGMENT, None, 0)\n    if at == -1: raise OSError\n"
    "    libc.shmdt(ctypes.c_void_p(at))",
    "survive the parent": "import ctypes\ndef attack():\n"
    "    if ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == -1: raise OSError",
    "lease": "import fcntl, tempfile\ndef attack():\n"
    "    with tempfile.NamedTemporaryFile() as file: fcntl.fcntl(file, 1024, 1)\n",
    "watch": "import ctypes, tempfile\ndef attack():\n    if ctypes.CDLL(None).inotify_init1(0) == -1: raise OSError",
}
HARNESS = """
def outcome():
    try: attack()
    except (OSError, ValueError) as error: return type(error).__name__
    return "ESCAPED"
"""
OUTSIDE = """
import json, os, sys
for name, program in json.load(sys.stdin).items():
    if os.fork() == 0:
        scope = {}
        exec(program, scope)
        print(json.dumps([name, scope["outcome"]()]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def names():
    """What the host offers: everybody may use all of it."""
    libc = ctypes.CDLL(None)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kitty-test-")))
        folder.chmod(0o777)
        for name in ("shared", "owned", "remove me", "rename me", "take me"):
            (folder / name).write_text("secret")
            (folder / name).chmod(0o644 if name == "owned" else 0o666)
        os.mkfifo(folder / "pipe")
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        abstract = f"kitty-test-{os.getpid()}"
        for address, kind in ((str(folder / "listener"), 1), (str(folder / "log"), 2), (f"\0{abstract}", 1)):
            server = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            server.bind(address)
            if kind == 1:
                server.listen(8)
        for path in (folder / "pipe", folder / "listener", folder / "log"):
            path.chmod(0o777)
        queue, segment = libc.msgget(0, 0o1666), libc.shmget(0, 4096, 0o1666)
        stack.callback(libc.msgctl, queue, 0, None)
        stack.callback(libc.shmctl, segment, 0, None)
        waits = [sys.executable, "-c", "input()"]
        neighbour = stack.enter_context(subprocess.Popen(waits, stdin=subprocess.PIPE, start_new_session=True))
        stack.callback(neighbour.kill)
        yield {
            "FOLDER": folder,
            "SHARED": folder / "shared",
            "OWNED": folder / "owned",
            "PIPE": folder / "pipe",
            "LISTENER": folder / "listener",
            "ABSTRACT": abstract,
            "LOG": folder / "log",
            "ELSEWHERE": Path(pytest.__file__).parents[1] / "pytest_asyncio" / "__init__.py",
            "AGENT": os.getpid(),
            "NEIGHBOUR": neighbour.pid,
            "PORT": port,
            "QUEUE": queue,
            "SEGMENT": segment,
        }


def run_outside(programs):
    argv = [sys.executable, "-c", OUTSIDE]
    done = subprocess.run(argv, input=json.dumps(programs), capture_output=True, text=True, timeout=60, check=False)
    return dict(json.loads(line) for line in done.stdout.splitlines())


async def test_every_escape_that_works_outside_is_contained(plain, names):
    programs = {}
    for name, program in ESCAPES.items():
        for word in sorted(names, key=len, reverse=True):
            program = program.replace(word, str(names[word]))
        programs[name] = program + "\n" + HARNESS
    files, tests = {}, []
    for at, program in enumerate(programs.values()):
        files[f"attack{at}.py"] = program
        tests.append(f"from attack{at} import outcome\ndef test_{at}(): assert outcome() != 'ESCAPED', outcome()\n")
        files[f"test_{at}.py"] = tests[-1]
    run = SandboxRun(files, tuple(f"test_{at}.py" for at in range(len(tests))), SandboxLimits(timeout_sec=20))
    result = await plain.run(run)
    assert len(result.cases) == len(programs), result
    seen = dict(zip(programs, result.cases, strict=True))
    assert {name: case.message for name, case in seen.items() if case.outcome != "passed"} == {}
    assert run_outside(programs) == dict.fromkeys(ESCAPES, "ESCAPED")


async def test_the_agent_is_out_of_reach(plain):
    tests = f"""
import os, signal, pytest
def test_a():
    for pid in ({os.getpid()}, os.getppid()):
        for number in (0, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
            with pytest.raises(PermissionError): os.kill(pid, number)
"""
    result = await plain.run(make_run(tests))
    assert result.passed, result


async def test_what_a_run_leaves_is_gone_before_the_next(plain):
    leave = """
import os, tempfile
def test_a():
    tmp = tempfile.gettempdir()
    os.chdir(tmp)
    open("plain", "w").close()
    open(b"\\xff\\xfe odd \\n name", "w").close()
    os.symlink("/", "link")
    os.mkfifo("pipe")
    for name in ("closed", "write only", "open"):
        os.mkdir(name)
        open(f"{name}/x", "w").close()
    os.mkdir("deep")
    os.chdir("deep")
    for _ in range(2000):
        os.mkdir("d" * 50)
        os.chdir("d" * 50)
    open("bottom", "w").close()
    os.chdir(tmp)
    os.mkdir("empty and closed", 0)
"""
    look = """
import os, tempfile
def test_a():
    assert os.listdir(tempfile.gettempdir()) == []
    assert sorted(os.listdir(".")) == sorted(name for name in os.listdir(".") if name.startswith(("test_", "solution")))
    assert len(os.listdir(".")) == 3
"""
    left = await plain.run(make_run(leave))
    assert left.outcome in {"passed", "killed"}, left
    assert (await plain.run(make_run(look))).passed, "the second run found something"


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user's guest may not change modes")
async def test_what_a_run_closed_to_itself_is_gone_too(plain):
    leave = (
        "import os, tempfile\ndef test_a():\n    os.chdir(tempfile.gettempdir())\n    os.makedirs('a/b')\n"
        "    open('a/b/c', 'w').close()\n    for path in ('a/b/c', 'a/b', 'a', '.'): os.chmod(path, 0)\n"
    )
    look = "import os, tempfile\ndef test_a(): assert os.listdir(tempfile.gettempdir()) == []\n"
    assert (await plain.run(make_run(leave))).passed
    assert (await plain.run(make_run(look))).passed


@pytest.mark.parametrize(
    "body",
    [
        "    for n in range(1000):\n        with open(f'{tmp}/{n}', 'wb') as file: file.write(b'x' * 2 ** 20)\n",
        "    for n in range(200_000): open(f'{tmp}/{n}', 'w').close()\n",
        "    for n in range(1000): os.mkdir('d'); os.chdir('d')\n    time.sleep(60)\n",
        pytest.param(
            "    os.mkdir(tmp + '/hidden', 0o300)\n    time.sleep(60)\n",
            marks=pytest.mark.skipif(os.getuid() == 0, reason="nothing can be hidden from root"),
        ),
    ],
    ids=["bytes", "files", "depth", "hidden"],
)
async def test_a_folder_that_holds_too_much_ends_the_run(plain, body):
    """There is no quota without a mount; the folder is looked at all the time."""
    tests = f"import os, tempfile, time\ndef test_a():\n    tmp = tempfile.gettempdir()\n    os.chdir(tmp)\n{body}"
    began = time.monotonic()
    result = await plain.run(make_run(tests, tmpfs_mb=8))
    assert (result.outcome, "held more than it may" in result.stderr) == ("killed", True), result
    assert time.monotonic() - began < 30
    assert (await plain.run(make_run("def test_a(): pass\n"))).passed


async def test_memory_threads_and_files_are_bounded(plain):
    tests = """
import os, tempfile, threading, time, pytest
def test_memory():
    with pytest.raises(MemoryError): bytearray(2 * 1024 ** 3)
def test_files():
    with pytest.raises(OSError), open(tempfile.gettempdir() + "/one", "wb") as file:
        for _ in range(20): file.write(b"x" * 2 ** 20); file.flush()
def test_descriptors():
    kept = []
    with pytest.raises(OSError):
        for _ in range(200): kept.append(os.dup(0))
    for fd in kept: os.close(fd)
def test_threads():
    threading.stack_size(65536)
    made = 0
    with pytest.raises(RuntimeError):
        for made in range(1000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    assert made < 200
"""
    result = await plain.run(make_run(tests))
    assert result.passed, result


MANY_THREADS = """
import threading, time
for _ in range(160): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("started", flush=True)
input()
"""


def test_threads_that_the_user_runs_elsewhere_leave_a_run_its_own(plain):
    with subprocess.Popen([sys.executable, "-c", MANY_THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as busy:
        assert busy.stdout.readline() == b"started\n"
        result = asyncio.run(plain.run(make_run(HONEST["asyncio and threads"])))
        busy.kill()
    assert result.passed, result


def living():
    """Each living process and its parent; zombies count as gone."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                parents |= {} if state == "Z" else {int(entry.name): int(parent)}
    return parents


def below(pid):
    """Its living children and theirs."""
    parents, found = living(), {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


async def wait_until(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes send no event
        await asyncio.sleep(0.01)
    return condition()


AGENT = """
import asyncio, os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: os.fork() or time.sleep(60))
from kitty_sandbox import BubblewrapSandbox, SandboxRun
async def main():
    sandbox = BubblewrapSandbox(python=sys.argv[2] or None, bwrap=sys.argv[1], tier="landlock", workers=1)
    await sandbox.run(SandboxRun({"test_a.py": sys.argv[3]}, ("test_a.py",)))
asyncio.run(main())
"""
SLEEPS = "import signal, tempfile, time\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\n"
SLEEPS += "open(tempfile.gettempdir() + '/x', 'w').close()\ntime.sleep(60)\ndef test_a(): pass\n"


@pytest.fixture
def folder_of_an_agent():
    with tempfile.TemporaryDirectory(prefix="kitty-test-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


def start_agent(bwrap, python, folder):
    argv = [sys.executable, "-c", AGENT, str(bwrap), python or "", SLEEPS]
    return subprocess.Popen(argv, env={**os.environ, "TMPDIR": str(folder)})


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_when_the_agent_is_killed_its_runs_end_and_their_folders_go(
    refusing_bwrap, python, folder_of_an_agent, how
):
    with start_agent(refusing_bwrap, python, folder_of_an_agent) as agent:
        assert await wait_until(lambda: list(folder_of_an_agent.glob("kitty-run-*/tmp/x")))
        pair = below(agent.pid)
        assert len(pair) == 2  # the fork server and its run
        agent.send_signal(how)
        agent.wait()
    assert await wait_until(lambda: not pair & living().keys())
    assert await wait_until(lambda: not list(folder_of_an_agent.iterdir()))


async def test_a_fork_of_the_agent_that_keeps_its_sockets_keeps_no_run_alive(
    refusing_bwrap, python, folder_of_an_agent
):
    with start_agent(refusing_bwrap, python, folder_of_an_agent) as agent:
        assert await wait_until(lambda: list(folder_of_an_agent.glob("kitty-run-*/tmp/x")))
        pair = below(agent.pid)
        agent.send_signal(signal.SIGUSR1)
        assert await wait_until(lambda: len(below(agent.pid)) == 3)
        (copy,) = below(agent.pid) - pair
        agent.kill()
        agent.wait()
    try:
        assert await wait_until(lambda: not pair & living().keys())
        assert await wait_until(lambda: not list(folder_of_an_agent.iterdir()))
    finally:
        os.kill(copy, signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_when_the_fork_server_is_killed_its_run_ends_too(refusing_bwrap, python, folder_of_an_agent, how):
    with start_agent(refusing_bwrap, python, folder_of_an_agent) as agent:
        assert await wait_until(lambda: list(folder_of_an_agent.glob("kitty-run-*/tmp/x")))
        (folder,) = folder_of_an_agent.iterdir()
        pair = below(agent.pid)
        (server,) = {pid for pid in pair if below(pid)}
        os.kill(server, how)
        assert await wait_until(lambda: not pair & living().keys())
        assert await wait_until(lambda: not folder.exists())
        assert await wait_until(lambda: list(folder_of_an_agent.glob("kitty-run-*/tmp/x"))), "it is tried once more"
        agent.kill()
    assert await wait_until(lambda: not list(folder_of_an_agent.iterdir()))


async def test_closing_and_cancelling_leave_nothing(refusing_bwrap, python, folder_of_an_agent, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(folder_of_an_agent))
    sandbox = BubblewrapSandbox(python=python, bwrap=refusing_bwrap, tier="landlock", workers=1)
    await sandbox.probe()
    before = below(os.getpid())
    task = asyncio.create_task(sandbox.run(make_run(SLEEPS, timeout_sec=60)))
    assert await wait_until(lambda: list(folder_of_an_agent.glob("kitty-run-*/tmp/x")))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await wait_until(lambda: not below(os.getpid()) - before)
    assert list(folder_of_an_agent.iterdir()) == []
    assert (await sandbox.run(make_run("def test_a(): pass\n"))).passed
    (folder,) = folder_of_an_agent.glob("kitty-run-*")
    others = stat.S_IMODE(folder.stat().st_mode)
    assert others == (0o711 if os.getuid() == 0 else 0o700)
    sandbox.close()
    assert list(folder_of_an_agent.iterdir()) == []


async def test_a_program_without_end_meets_its_deadline(plain):
    began = time.monotonic()
    assert (await plain.run(make_run(SLEEPS, timeout_sec=0.5))).outcome == "timeout"
    assert time.monotonic() - began < 10
    assert (await plain.run(make_run("def test_a(): pass\n"))).passed


@pytest.mark.parametrize("layer", ["landlock", "seccomp", "identity", "scopes"])
async def test_each_layer_holds_something_that_no_other_does(python, layer):
    """The probe refuses the tier when one layer is missing."""
    (privilege,) = privileges_without_namespaces()
    if layer == "identity" and privilege != "setuid":
        pytest.skip("an ordinary user's guest keeps that user")
    if layer == "scopes" and privilege == "setuid":
        pytest.skip("an unused user may not signal others anyway")
    place = make_place("", inspect_python(python), privilege, "landlock", frozenset({layer}))
    launcher = Launcher(place, Pool(place.furnish, 1))
    result = await supervisor._try_to_escape(launcher)
    launcher.close()
    assert result.outcome in {"failed", "tampered"}, result


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user's guest can read what that user can")
async def test_a_closed_interpreter_is_told_with_what_helps(refusing_bwrap):
    if all(folder.stat().st_mode & 0o001 for folder in CLOSED):
        pytest.skip("everybody can read this interpreter")
    status = await BubblewrapSandbox(bwrap=refusing_bwrap, tier="landlock").probe()
    assert not status.available
    assert "is closed to others" in status.reason
    assert "SANDBOX_PY_PATH" in status.fix


LIKE_A_CONTAINER = """
import ctypes, os, platform, sys
from kitty_sandbox.guest import syscalls
refused = {"x86_64": (155, 165, 166, 272, 308), "aarch64": (39, 40, 41, 97, 268)}[platform.machine()]
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
lines = [(0x20, 0, 0, 0)]
for number in refused: lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x50001)]
lines += [(0x15, 0, 1, 435), (0x06, 0, 0, 0x50026)]  # clone3 is not there
lines += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, 0x7E020000), (0x06, 0, 0, 0x50001)]
lines += [(0x06, 0, 0, 0x7FFF0000)]
if os.getuid() == 0:
    libc, kept = ctypes.CDLL(None), (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)  # what docker leaves to root
    syscalls.install_filter(lines)
    for capability in set(range(64)) - set(kept): libc.prctl(24, capability, 0, 0, 0)
    mask = sum(1 << capability for capability in kept)
    assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(mask, mask)) == 0
else:
    syscalls.set_no_new_privileges()
    syscalls.install_filter(lines)
os.execv(sys.executable, [sys.executable, "-m", "kitty_sandbox", "run", "--json", "solution.py", "test_a.py"])
"""


@pytest.mark.parametrize(("tier", "code"), [("full", 3), ("landlock", 0), ("none", 2)])
def test_in_a_process_confined_like_a_container_the_real_bubblewrap_fails_and_the_tier_does(
    python, tmp_path, tier, code
):
    """No CAP_SYS_ADMIN, and a filter that refuses namespaces and mounts: what docker does by default."""
    (tmp_path / "solution.py").write_text("")
    (tmp_path / "test_a.py").write_text(HONEST["standard library"])
    env = {**os.environ, "SANDBOX_TIER": tier, **({"SANDBOX_PY_PATH": python} if python else {})}
    argv = [sys.executable, "-c", LIKE_A_CONTAINER]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    if code == 0:
        assert json.loads(done.stdout)["sandbox_tier"] == "landlock"
    else:
        assert ("refuses the namespaces" if tier == "full" else "SANDBOX_TIER must be one of") in done.stderr


def test_emptying_a_folder_follows_no_link_and_minds_no_name(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for path in (outside, folder, folder / "a", folder / "a" / "b"):
        path.mkdir()
    (outside / "kept").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "a" / "b" / "link").symlink_to(outside / "kept")
    (folder / "a" / "b" / "x\n\udcff").write_text("")
    (folder / "a").chmod(0)
    folders.empty(str(folder))
    assert list(folder.iterdir()) == []
    assert (outside / "kept").read_text() == "x"
    folders.remove(str(folder))
    assert not folder.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="this is the run as an ordinary user")
def test_all_of_this_holds_for_an_ordinary_user_too(python):
    source = Path(kitty_sandbox.__file__).parents[1]
    env = {"PYTHONPATH": f"{source}:{Path(pytest.__file__).parents[1]}", "PATH": os.environ["PATH"]}
    who = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/", "env": env}
    argv = [python or sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", str(Path(__file__))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False, **who)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
