"""Programs that try to get out, to use up the machine, or to forge a pass.

Each escape is first shown to work outside (the positive control), so that being contained means something.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from kitty_sandbox import SandboxLimits, SandboxRun

SECRET = "planted-secret-7421"

# Each defines attack(), which returns "ESCAPED" when it worked. PORT and FILE are filled in.
ESCAPES = {
    "tcp": "import socket\ndef attack():\n    socket.create_connection(('127.0.0.1', PORT), 1).close()\n"
    "    return 'ESCAPED'\n",
    "udp": "import socket\ndef attack():\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "    s.sendto(b'x', ('127.0.0.1', 9))\n    return 'ESCAPED'\n",
    "ctypes socket": "import ctypes\ndef attack():\n"
    "    return 'ESCAPED' if ctypes.CDLL(None).socket(2, 1, 0) >= 0 else ''\n",
    "netlink": "import socket\ndef attack():\n    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()\n"
    "    return 'ESCAPED'\n",
    "environment": f"import os\ndef attack():\n    return 'ESCAPED' if '{SECRET}' in str(os.environ) else ''\n",
    "environment of the parent": "import os\ndef attack():\n"
    f"    return 'ESCAPED' if b'{SECRET}' in open('/proc/self/environ', 'rb').read() else ''\n",
    "file in tmp": "def attack():\n    return 'ESCAPED' if open('FILE').read() else ''\n",
    "home": "import os\ndef attack():\n    return 'ESCAPED' if os.path.exists('HOME_FILE') else ''\n",
    "passwd": "def attack():\n    return 'ESCAPED' if open('/etc/passwd').read() else ''\n",
    "fork": "import os\ndef attack():\n    pid = os.fork()\n    if pid == 0: os._exit(0)\n"
    "    os.waitpid(pid, 0)\n    return 'ESCAPED'\n",
    "double fork daemon": "import os\ndef attack():\n    pid = os.fork()\n    if pid == 0:\n        os.setsid()\n"
    "        os.fork()\n        os._exit(0)\n    os.waitpid(pid, 0)\n    return 'ESCAPED'\n",
    "subprocess": "import subprocess, sys\ndef attack():\n"
    "    subprocess.run([sys.executable, '-c', ''], check=True)\n    return 'ESCAPED'\n",
    "posix_spawn": "import os, sys\ndef attack():\n"
    "    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', ''], {}), 0)\n"
    "    return 'ESCAPED'\n",
    "memfd": "import os\ndef attack():\n    os.close(os.memfd_create('x'))\n    return 'ESCAPED'\n",
    "shared memory": "import ctypes\ndef attack():\n    libc = ctypes.CDLL(None)\n"
    "    one = libc.shmget(0, 4096, 0o1600)\n"
    "    if one < 0: return ''\n    libc.shmctl(one, 0, None)\n    return 'ESCAPED'\n",
    "unshare": "import ctypes\ndef attack():\n"
    "    return 'ESCAPED' if ctypes.CDLL(None).unshare(0x10000000) == 0 else ''\n",
    "ptrace": "import ctypes\ndef attack():\n"
    "    return 'ESCAPED' if ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0 else ''\n",
    "signal the parent": "import os\ndef attack():\n    os.kill(os.getppid() or 10**9, 0)\n    return 'ESCAPED'\n",
    "proc": "import os\ndef attack():\n    return 'ESCAPED' if os.listdir('/proc') else ''\n",
}


def run_outside(*arguments, **options):
    """The bare interpreter, without any wall."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    argv = [sys.executable, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, env=environment, **options)


@pytest.fixture(scope="module")
def bait():
    """A listener, a secret file in /tmp and one in the home folder, all of which the host can reach."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        tempfile.NamedTemporaryFile("w", prefix="kitty-secret-") as file,
        tempfile.NamedTemporaryFile("w", prefix=".kitty-secret-", dir=Path.home()) as home_file,
    ):
        file.write(SECRET)
        file.flush()
        port = str(server.getsockname()[1])
        yield lambda text: text.replace("PORT", port).replace("HOME_FILE", home_file.name).replace("FILE", file.name)


TEST_ATTACK = """
from MODULE import attack
def test_attack():
    try: outcome = attack()
    except OSError as error: outcome = type(error).__name__
    assert outcome != "ESCAPED"
"""
OUTSIDE = """
import json, os, sys
for name, program in json.load(sys.stdin).items():
    if os.fork() == 0:
        scope = {}
        exec(program, scope)
        if scope["attack"]() == "ESCAPED": os.write(1, (name + chr(10)).encode())
        os._exit(0)
    os.wait()
"""


async def escaped(sandbox, programs):
    """The names of those of the programs (text by name) that got out, all in one run."""
    files, tests = {}, []
    for at, program in enumerate(programs.values()):
        files[f"attack{at}.py"] = program
        tests.append(f"test_{at}.py")
        files[tests[-1]] = TEST_ATTACK.replace("MODULE", f"attack{at}")
    result = await sandbox.run(SandboxRun(files, tuple(tests), SandboxLimits(timeout_sec=20)))
    assert len(result.cases) == len(programs), result
    return {name: case for name, case in zip(programs, result.cases, strict=True) if case.outcome != "passed"}


async def test_every_escape_that_works_outside_is_contained(sandbox, bait, monkeypatch):
    monkeypatch.setenv("KITTY_SECRET", SECRET)
    programs = {name: bait(program) for name, program in ESCAPES.items()}
    outside = run_outside("-c", OUTSIDE, input=json.dumps(programs))
    assert set(outside.stdout.splitlines()) == set(ESCAPES), outside.stderr
    assert await escaped(sandbox, programs) == {}


async def test_nothing_but_tmp_can_be_written_renamed_or_made_writable(sandbox):
    paths = ["/work/test_0.py", "/work/new.py", "/usr/lib/x", "/kitty/guest/confine.py", "/x", "/dev/x", os.__file__]
    program = """
import os
def attack():
    for attempt in (lambda: open(PATH, 'a').close(), lambda: os.chmod(PATH, 0o777),
                    lambda: os.rename(PATH, '/tmp/moved'), lambda: os.unlink(PATH)):
        try: attempt()
        except OSError: continue
        return 'ESCAPED'
"""
    programs = {path: program.replace("PATH", repr(path)) for path in paths}
    assert list(await escaped(sandbox, {**programs, "allowed": program.replace("PATH", "'/tmp/x'")})) == ["allowed"]


def make_run(solution, tests="from solution import f\ndef test_f(): assert f() == 1\n", **limits):
    files = {"solution.py": solution, "test_solution.py": tests}
    return SandboxRun(files, ("test_solution.py",), SandboxLimits(**{"timeout_sec": 5, **limits}))


FORK_BOMB = (
    "import os\ndef f():\n    made = 0\n    while True:\n"
    "        try: os.fork(); made += 1\n        except OSError: return 1 if made == 0 else 2\n"
)


async def test_a_fork_bomb_makes_no_process(sandbox):
    assert (await sandbox.run(make_run(FORK_BOMB))).passed


@pytest.mark.parametrize(
    "body",
    [
        "x = bytearray(2 * 1024 ** 3)",
        "x = []\n    while True: x.append(bytearray(10_000_000))",
        "import mmap\n    x = mmap.mmap(-1, 2 * 1024 ** 3)",
    ],
    ids=["at once", "creeping", "mmap"],
)
async def test_memory_is_bounded(sandbox, body):
    result = await sandbox.run(make_run(f"def f():\n    {body}\n    return 1\n"))
    assert result.outcome in {"failed", "killed"}
    assert "Memory" in result.cases[0].message or "memory" in result.cases[0].message


async def test_threads_are_bounded(sandbox):
    program = (
        "import threading, time\ndef f():\n    n = 0\n    try:\n        while n < 1000:\n"
        "            threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1\n"
        "    except RuntimeError: pass\n    return 1 if n < 200 else n\n"
    )
    assert (await sandbox.run(make_run(program))).passed


async def test_the_disk_its_files_and_a_single_file_are_bounded(sandbox):
    program = """
def fill(write):
    n = 0
    try:
        while n < 20000:
            write(n); n += 1
    except OSError: return n
    return 10**6
def f():
    with open('/tmp/one', 'wb') as one:
        assert fill(lambda n: (one.write(b'x' * 2**20), one.flush())) <= 16
    assert fill(lambda n: open(f'/tmp/big{n}', 'wb').write(b'x' * 2**20)) <= 32
    import os
    for name in os.listdir('/tmp'):
        if name.startswith('big') or name == 'one': os.unlink('/tmp/' + name)
    assert fill(lambda n: open(f'/tmp/small{n}', 'w').close()) < 4200
    return 1
"""
    result = await sandbox.run(make_run(program, timeout_sec=15))
    assert result.passed, result


async def test_open_files_are_bounded(sandbox):
    program = (
        "import os\ndef f():\n    n = 0\n    try:\n        while n < 999: os.dup(0); n += 1\n"
        "    except OSError: pass\n    return 1 if n < 128 else n\n"
    )
    result = await sandbox.run(make_run(program))
    assert result.outcome == "passed", result


@pytest.mark.parametrize("fd", [1, 2])
async def test_a_flood_of_output_is_cut_and_killed(sandbox, fd):
    program = f"import os\ndef f():\n    while True: os.write({fd}, b'x' * 65536)\n"
    captured = await sandbox.run(make_run(program, timeout_sec=10))
    assert captured.outcome == "killed"  # pytest keeps it in a file of limited size, and shows that
    direct = (
        "import os\ndef test_f(capfd):\n    with capfd.disabled():\n        while True: os.write(FD, b'x' * 65536)\n"
    )
    result = await sandbox.run(make_run("", direct.replace("FD", str(fd)), timeout_sec=20))
    assert result.outcome == "killed"
    assert len(result.stdout) + len(result.stderr) <= 2 * 256 * 1024 + 1000


@pytest.mark.parametrize(
    "body",
    [
        "import signal\n    for n in (1, 2, 3, 10, 12, 13, 14, 15, 24): signal.signal(n, signal.SIG_IGN)\n"
        "    while True: pass",
        "import time\n    time.sleep(60)",
        "import re\n    re.match(r'(a+)+$', 'a' * 60 + 'b')",
        "import threading\n    threading.Event().wait()",
        "10 ** 10 ** 10",
    ],
    ids=["spins and ignores signals", "sleeps", "regex", "waits", "big number"],
)
async def test_a_program_without_end_meets_its_deadline(sandbox, body):
    begun = time.monotonic()
    result = await sandbox.run(make_run(f"def f():\n    {body}\n", timeout_sec=0.5))
    assert result.outcome in {"timeout", "failed"}
    assert result.outcome == "timeout" or "Memory" in result.cases[0].message
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("import ctypes\n    ctypes.string_at(0)", "killed"),
        ("import os\n    os.abort()", "killed"),
        ("import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)", "failed"),  # pid 1 is immune
        ("import os\n    os.kill(-1, 9)\n    return 1", None),
        ("import sys\n    sys.setrecursionlimit(10**9)\n    return f() + 1", None),
        ("return '\\ud800' + 1", "failed"),
        ("print('\\ud800')\n    return 2", "failed"),
    ],
    ids=["segfault", "abort", "kill itself", "kill all", "recursion", "surrogate in error", "surrogate printed"],
)
async def test_a_crash_is_a_result(sandbox, body, outcome):
    result = await sandbox.run(make_run(f"def f():\n    {body}\n", timeout_sec=2))
    assert not (outcome is not None and result.passed)
    assert result.outcome == (outcome or result.outcome) != "infrastructure", result


FORGERIES = {
    "os._exit(0) at import": "import os\nos._exit(0)\n",
    "os._exit(0) in call": "import os\ndef f(): os._exit(0)\n",
    "os._exit(0) in call after fake output": "import os\ndef f():\n"
    "    os.write(1, b'1 passed in 0.01s\\n')\n    os._exit(0)\n",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(): return 2\n",
    "pytest.exit(0)": "import pytest\ndef f(): pytest.exit('done', 0)\n",
    "skip": "import pytest\ndef f(): pytest.skip('no')\n",
    "late thread exits": "import os, threading, time\ndef f():\n"
    "    threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()\n"
    "    time.sleep(2)\n    return 2\n",
    "patched makereport": "import _pytest.reports as r\nold = r.TestReport.from_item_and_call.__func__\n"
    "def new(cls, item, call):\n    call.excinfo = None\n    return old(cls, item, call)\n"
    "r.TestReport.from_item_and_call = classmethod(new)\ndef f(): return 2\n",
    "patched report outcome": "import _pytest.reports as r\nold = r.TestReport.__init__\n"
    "def new(self, *a, **k):\n    old(self, *a, **k)\n"
    "    self.outcome = 'passed'\n    self.longrepr = None\nr.TestReport.__init__ = new\ndef f(): return 2\n",
    "patched CallInfo": "import _pytest.runner as r\nold = r.CallInfo.from_call.__func__\n"
    "def new(cls, func, when, reraise=None):\n"
    "    return old(cls, (lambda: None) if when == 'call' else func, when, reraise)\n"
    "r.CallInfo.from_call = classmethod(new)\ndef f(): return 2\n",
    "patched test function call": "import _pytest.python as p\n"
    "p.Function.runtest = lambda self: None\ndef f(): return 2\n",
    "patched protocol": "import _pytest.runner as r\nold = r.call_and_report\n"
    "def new(item, when, log=True, **k):\n    if when == 'call': item.obj = lambda: None\n"
    "    return old(item, when, log, **k)\nr.call_and_report = new\ndef f(): return 2\n",
}
FOOLS_PYTEST = set(FORGERIES) - {"skip", "atexit", "pytest.exit(0)", "late thread exits"}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_pass_is_never_a_pass(sandbox, tmp_path, name):
    run = make_run(FORGERIES[name])
    if name in FOOLS_PYTEST:
        for path, text in run.files.items():
            (tmp_path / path).write_text(text)
        outside = run_outside("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), cwd=tmp_path)
        assert outside.returncode == 0, f"it should fool pytest: {outside.stdout}"
    result = await sandbox.run(run)
    assert not result.passed, result
    assert result.outcome in {"failed", "tampered", "killed"}


async def test_records_written_to_every_descriptor_are_tampering(sandbox):
    program = """
import json, os
def f():
    for fd in range(3, 128):
        for kind in ("collected", "phase", "end"):
            try: os.write(fd, (json.dumps({"kind": kind, "nonce": "0" * 32, "seq": 0, "rc": 0}) + "\\n").encode())
            except OSError: pass
    return 1
"""
    assert (await sandbox.run(make_run(program))).outcome == "tampered"


async def test_a_closed_report_pipe_is_not_a_pass(sandbox):
    result = await sandbox.run(make_run("import os\ndef f():\n    os.closerange(3, 128)\n    return 1\n"))
    assert not result.passed


async def test_a_flooded_report_is_tampering(sandbox):
    program = """
import os
def f():
    while True:
        for fd in range(3, 128):
            try:
                for _ in range(100): os.write(fd, b"x" * 65536)
            except OSError: pass
"""
    assert (await sandbox.run(make_run(program, timeout_sec=8))).outcome in {"tampered", "killed"}


async def test_conftest_and_ini_files_of_the_run_are_not_obeyed(sandbox):
    files = {
        "conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_pyfunc_call(pyfuncitem): return True\n",
        "pytest.ini": "[pytest]\naddopts = --collect-only\n",
        "test_a.py": "def test_a(): assert False\n",
    }
    result = await sandbox.run(SandboxRun(files, ("test_a.py",)))
    assert (result.outcome, result.cases[0].exception) == ("failed", "AssertionError")


async def test_tests_that_the_candidate_slips_in_are_not_counted(sandbox):
    tests = "from solution import *\ndef test_f(): assert f() == 1\n"
    result = await sandbox.run(make_run("def f(): return 1\ndef test_mine(): pass\n", tests))
    assert (result.outcome, result.passed) == ("failed", False)
    assert "test_mine" in result.reason
