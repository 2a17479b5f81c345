"""The sandbox as its callers meet it: honest programs pass, wrong ones say why, and our own troubles are told apart."""

import asyncio
import os
import stat
import sys
import time
from pathlib import Path

import pytest
from sandbox_soak import descendants

from kitty_sandbox import BubblewrapSandbox, SandboxLimits, SandboxRun, SandboxUnavailable
from kitty_sandbox import supervisor as under_test
from kitty_sandbox.port import SandboxStatus

ADD = "def add(a, b):\n    return a + b\n"
TEST_ADD = "from solution import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"


def make_run(solution=ADD, tests=TEST_ADD, timeout_sec=10.0, **limits):
    files = {"solution.py": solution, "test_solution.py": tests}
    return SandboxRun(files, ("test_solution.py",), SandboxLimits(timeout_sec=timeout_sec, **limits))


HONEST = {
    "parametrize": """
import pytest
@pytest.mark.parametrize(("a", "b"), [(1, 2), (3, 4)])
def test_a(a, b): assert a < b
""",
    "asyncio": """
import asyncio
async def work():
    await asyncio.sleep(0.01)
    return await asyncio.to_thread(lambda: 5)
def test_a(): assert asyncio.run(work()) == 5
""",
    "threads": """
import threading
from concurrent.futures import ThreadPoolExecutor
def test_a():
    with ThreadPoolExecutor(8) as pool: assert list(pool.map(abs, range(-50, 0))) == list(range(50, 0, -1))
def test_many():
    gate = threading.Barrier(41)
    for _ in range(40): threading.Thread(target=gate.wait, daemon=True).start()
    gate.wait(5)
""",
    "tempfile": """
import tempfile
from pathlib import Path
def test_a():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_text("hello")
        assert Path(folder, "x").read_text() == "hello"
def test_literal_tmp():
    Path("/tmp/x").write_text("x")
""",
    "fixtures": """
import pytest
class TestThing:
    def test_files(self, tmp_path):
        (tmp_path / "a").write_text("x")
        assert (tmp_path / "a").exists()
    def test_output(self, capsys):
        print("hi")
        assert capsys.readouterr().out == "hi\\n"
    def test_raises(self):
        with pytest.raises(ZeroDivisionError): 1 / 0
    def test_patch(self, monkeypatch):
        monkeypatch.setenv("A", "1")
""",
    "stdlib": """
import datetime, decimal, hashlib, random, sqlite3, zoneinfo
def test_a():
    db = sqlite3.connect(":memory:")
    assert db.execute("select 1 + 1").fetchone() == (2,)
    assert decimal.Decimal("0.1") + decimal.Decimal("0.2") == decimal.Decimal("0.3")
    assert random.Random(1).random() == random.Random(1).random()
    assert len(hashlib.sha256(b"x").hexdigest()) == 64
    assert datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset().seconds == 7200
""",
    "unittest": """
import unittest
class Adding(unittest.TestCase):
    def setUp(self): self.x = 1
    def test_a(self):
        for i in range(2):
            with self.subTest(i=i): self.assertEqual(self.x, 1)
""",
    "module fixtures": """
import pytest
@pytest.fixture(scope="module")
def numbers():
    yield [1, 2]
def test_a(numbers): assert sum(numbers) == 3
""",
}


@pytest.mark.parametrize("tests", HONEST.values(), ids=HONEST)
async def test_an_honest_program_passes(sandbox, tests):
    result = await sandbox.run(make_run(tests=tests))
    assert (result.outcome, result.passed) == ("passed", True), result
    assert (result.sandbox_tier, result.verdict_strength, result.exit_code) == ("full", "in-process", 0)
    assert "zz" not in result.stdout


async def test_files_lie_side_by_side_and_in_folders(sandbox):
    files = {
        "pkg/__init__.py": "",
        "pkg/deep/tool.py": "X = 1\n",
        "data/words.txt": "a\r\nü",
        "tests/test_a.py": "from pkg.deep.tool import X\nfrom pathlib import Path\n"
        "def test_a():\n    assert X == 1\n    assert Path('data/words.txt').read_bytes() == b'a\\r\\n\\xc3\\xbc'\n",
        "test_b.py": "import helper\ndef test_b(): assert helper.Y\n",
        "helper.py": "Y = 1\n",
    }
    result = await sandbox.run(SandboxRun(files, ("tests/test_a.py", "test_b.py")))
    assert result.passed, result
    assert [case.id for case in result.cases] == ["tests/test_a.py::test_a", "test_b.py::test_b"]


@pytest.mark.parametrize("split", [False, True])
async def test_files_of_any_bytes_are_read_and_cannot_be_written(sandbox, split):
    program = "def add(path):\n    return open(path, 'rb').read()\n"
    tests = """
import pytest
from solution import add
def test_read(): assert add('data.bin') == b'\\xff\\x00\\n'
def test_write():
    with pytest.raises(OSError): open('data.bin', 'ab')
"""
    files = {"solution.py": program, "test_solution.py": tests, "data.bin": b"\xff\x00\n"}
    result = await sandbox.run(SandboxRun(files, ("test_solution.py",), split=split))
    assert (result.outcome, result.verdict_strength) == ("passed", "split" if split else "in-process"), result


async def test_a_failure_says_what_was_expected(sandbox):
    result = await sandbox.run(make_run(tests=TEST_ADD.replace("3", "4") + "def test_name(): nope\n"))
    assert (result.outcome, result.reason, result.exit_code) == ("failed", "2 of 2 tests failed.", 1)
    first, second = result.cases
    assert first.message.startswith("AssertionError: assert 3 == 4\n +  where 3 = ")
    assert (first.exception, second.exception) == ("AssertionError", "NameError")
    assert second.message == "NameError: name 'nope' is not defined"


@pytest.mark.parametrize(
    ("solution", "exception", "message"),
    [
        ("def add(:\n", "SyntaxError", "invalid syntax"),
        ("import sys\nundefined\n", "NameError", "name 'undefined' is not defined"),
        ("def other(): ...\n", "ImportError", "cannot import name 'add'"),
        ("import sys; sys.exit(0)\n", "SystemExit", "SystemExit: 0"),
        ("class E(Exception):\n  def __str__(self): raise RuntimeError\nraise E\n", "E", "E"),
        ("class E(Exception):\n  def __str__(self): raise SystemExit\nraise E\n", "E", "E"),
    ],
)
async def test_a_program_that_does_not_load_is_told_with_its_error(sandbox, solution, exception, message):
    result = await sandbox.run(make_run(solution))
    assert result.outcome == "failed"
    assert [(case.id, case.outcome, case.exception) for case in result.cases] == [
        ("test_solution.py", "error", exception)
    ]
    assert message in result.cases[0].message


async def test_missing_modules_are_named(sandbox):
    result = await sandbox.run(make_run("import numpy_of_tomorrow.linalg\n"))
    assert result.missing_modules == ("numpy_of_tomorrow",)


async def test_the_packages_of_the_service_are_not_there(sandbox):
    result = await sandbox.run(make_run("import pytest_asyncio\n"))
    assert result.missing_modules == ("pytest_asyncio",)
    assert __import__("pytest_asyncio")


async def test_an_async_test_fails_with_advice(sandbox):
    result = await sandbox.run(make_run(tests="async def test_a(): assert True\n"))
    assert result.outcome == "failed"
    assert "asyncio.run" in result.cases[0].message


@pytest.mark.parametrize(
    ("tests", "outcomes"),
    [
        ("import pytest\ndef test_a(): pass\n@pytest.mark.skip\ndef test_b(): assert 0\n", ["passed", "skipped"]),
        ("import pytest\ndef test_a(): pass\n@pytest.mark.xfail\ndef test_b(): assert 0\n", ["passed", "xfailed"]),
        ("import pytest\ndef test_a(): pass\n@pytest.mark.xfail\ndef test_b(): pass\n", ["passed", "xpassed"]),
    ],
)
async def test_a_skip_or_an_expected_failure_is_not_a_pass(sandbox, tests, outcomes):
    result = await sandbox.run(make_run(tests=tests))
    assert [case.outcome for case in result.cases] == outcomes
    assert (result.outcome, result.passed) == ("failed", False)
    assert "not a pass" in result.reason


async def test_a_part_of_a_unittest_that_fails_is_told(sandbox):
    tests = """
import unittest
class TestAdd(unittest.TestCase):
    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number): self.assertEqual(number, number % 2)
"""
    result = await sandbox.run(make_run(tests=tests))
    assert (result.outcome, [case.outcome for case in result.cases]) == ("failed", ["failed"]), result
    assert "2 != 0" in result.cases[0].message


async def test_many_tests_are_not_a_flood(sandbox):
    tests = "import pytest\n@pytest.mark.parametrize('n', range(8000))\ndef test_n(n): assert n >= 0\n"
    result = await sandbox.run(make_run(tests=tests, timeout_sec=60))
    assert (result.outcome, len(result.cases)) == ("passed", 8000), result.reason


async def test_a_program_that_closes_its_streams_is_judged_by_its_tests(sandbox):
    assert (await sandbox.run(make_run("import sys\nsys.stdout.close()\nsys.stderr.close()\n" + ADD))).passed


@pytest.mark.parametrize("text", ["x = " + "-" * 20000 + "1", "make " * 40000, "lambda:" * 5000 + "0"])
async def test_tests_that_python_cannot_take_are_told(sandbox, text):
    assert (await sandbox.run(make_run(tests=text))).outcome in {"failed", "no_tests"}


async def test_no_text_of_a_guest_is_unprintable(sandbox):
    result = await sandbox.run(make_run("def add(a, b): raise ValueError('\\ud800 boom')\n"))
    assert "boom" in str(result).encode("utf-8").decode()
    for name in ("größe", "foo bar", "a" * 100, "a\\ud800"):
        raising = f"def add(a, b): raise ModuleNotFoundError(name='{name}')\n"
        assert (await sandbox.run(make_run(raising))).missing_modules == ()


async def test_no_tests_and_broken_tests_are_told_without_a_run(sandbox):
    assert (await sandbox.run(make_run(tests="x = 1\n"))).outcome == "no_tests"
    broken = await sandbox.run(make_run(tests="def test_(:\n"))
    assert (broken.outcome, broken.cases[0].exception) == ("failed", "SyntaxError")


async def test_a_hanging_test_keeps_the_results_before_it(sandbox):
    tests = "import time\ndef test_a(): pass\ndef test_b():\n    while True: pass\ndef test_c(): pass\n"
    result = await sandbox.run(make_run(tests=tests, timeout_sec=0.7))
    assert result.outcome == "timeout"
    assert [(case.id.partition("::")[2], case.outcome) for case in result.cases] == [
        ("test_a", "passed"),
        ("test_b", "failed"),
    ]
    assert 0.6 < result.seconds < 10


async def test_concurrent_runs_do_not_mix(sandbox):
    right, wrong = await asyncio.gather(sandbox.run(make_run()), sandbox.run(make_run("def add(a, b): return 0\n")))
    assert (right.outcome, wrong.outcome) == ("passed", "failed")


async def test_the_event_loop_stays_responsive_during_a_run(sandbox):
    await sandbox.probe()
    task = asyncio.create_task(sandbox.run(make_run("import time\ntime.sleep(1.5)\n" + ADD)))
    gaps, last = [], time.monotonic()
    while not task.done():
        await asyncio.sleep(0.005)
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
    assert task.result().passed
    assert len(gaps) > 10
    assert max(gaps) < 1


async def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes send no event
        await asyncio.sleep(0.01)
    return condition()


async def test_cancelling_kills_everything(sandbox):
    await sandbox.probe()
    before = descendants()
    pipes = set(os.listdir("/proc/self/fd"))
    task = asyncio.create_task(sandbox.run(make_run("import time\ntime.sleep(60)\n", timeout_sec=60)))
    assert await wait_until(lambda: descendants() - before, 5)
    started = descendants() - before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await wait_until(lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in started), 5)
    assert set(os.listdir("/proc/self/fd")) <= pipes
    assert (await sandbox.run(make_run())).passed


async def test_nothing_is_left_after_a_timeout(sandbox):
    await sandbox.probe()
    before, pipes = descendants(), set(os.listdir("/proc/self/fd"))
    await sandbox.run(make_run("import time\ntime.sleep(60)\n", timeout_sec=0.3))
    assert await wait_until(lambda: descendants() == before, 5)
    assert set(os.listdir("/proc/self/fd")) == pipes


async def test_without_bubblewrap_nothing_runs_and_the_fix_is_told():
    sandbox = BubblewrapSandbox(bwrap="/nowhere/bwrap")
    status = await sandbox.probe()
    assert (status.available, status.sandbox_tier) == (False, "")
    assert "install" in status.fix
    assert "bubblewrap" in status.fix
    with pytest.raises(SandboxUnavailable, match="bubblewrap is missing") as caught:
        await sandbox.run(make_run())
    assert caught.value.fix == status.fix


async def test_an_empty_path_is_a_missing_bubblewrap(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "bubblewrap is missing" in (await BubblewrapSandbox().probe()).reason


async def test_refused_namespaces_refuse_the_run(tmp_path):
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    status = await BubblewrapSandbox(bwrap=program).probe()
    assert not status.available
    assert "refuses the namespaces" in status.reason
    assert status.fix


async def test_a_sandbox_without_walls_is_found_out_by_the_escape_programs(tmp_path):
    """A bubblewrap that forgets the network namespace and binds the whole disk must not be trusted."""
    program = tmp_path / "bwrap"
    drop = "--unshare-net|--unshare-all"
    program.write_text(
        "#!/bin/bash\nargs=()\n"
        f'for word in "$@"; do case "$word" in {drop}) ;; --clearenv) args+=(--clearenv --ro-bind / /) ;; '
        '*) args+=("$word") ;; esac; done\nexec /usr/bin/bwrap "${args[@]}"\n'
    )
    program.chmod(0o755)
    status = await BubblewrapSandbox(bwrap=program).probe()
    assert not status.available
    assert "did not hold" in status.reason or "did not start" in status.reason


async def test_an_infrastructure_failure_is_retried_once_and_is_neither_pass_nor_fail(tmp_path):
    count = tmp_path / "count"
    program = tmp_path / "bwrap"
    program.write_text(
        f'#!/bin/sh\necho x >> {count}\n[ "$(wc -l < {count})" -le 1 ] && exec /usr/bin/bwrap "$@"\nexit 1\n'
    )
    program.chmod(0o755)
    sandbox = BubblewrapSandbox(bwrap=program)
    assert (await sandbox.probe()).available
    sandbox.close()
    result = await sandbox.run(make_run())
    assert (result.outcome, result.passed) == ("infrastructure", False)
    assert count.read_text().count("x") == 3


async def test_a_python_path_that_does_not_exist_is_a_warning():
    status = await BubblewrapSandbox(python="/nowhere/python").probe()
    assert status.available
    assert "/nowhere/python" in status.warnings[0]
    assert status.python_version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")


async def test_a_python_that_does_not_run_is_refused(tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(stat.S_IRWXU)
    assert "does not run" in (await BubblewrapSandbox(python=program).probe()).reason


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user always runs in a user namespace")
async def test_root_in_a_user_namespace_is_contained_too(monkeypatch):
    monkeypatch.setattr(under_test, "privileges", lambda: ("userns",))
    sandbox = BubblewrapSandbox()
    status: SandboxStatus = await sandbox.probe()
    assert status.available, status
    assert "root's identity" in status.warnings[0]
    assert (await sandbox.run(make_run())).passed
