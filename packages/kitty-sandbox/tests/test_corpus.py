"""Every program of the corpus: works without walls, is contained, is not passed; and honest ones pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from corpus.attacks import ATTACKS
from corpus.forgeries import FORGERIES, NAMED, TESTS
from corpus.legit import LEGIT
from stages import Stage, check_ending

from kitty_sandbox import SandboxLimits, SandboxRun

FULL = (Stage("full", "setuid"), Stage("full", "userns"), Stage("full", "any"))
FOOLS_PYTEST = [name for name, forgery in FORGERIES.items() if forgery.fools_pytest]
MODES = {"together": False, "apart": True}
"""Tests and program in one process, or in two (`SandboxRun.split`)."""
PLACES = [
    *(("together", name) for name in ATTACKS),
    *(("apart", name) for name, attack in ATTACKS.items() if attack.profile == "pure"),
    *(("matrix", name) for name, attack in ATTACKS.items() if not attack.alone),
]
pytestmark = pytest.mark.timeout(300)  # a stage is run once, for all its programs, by the first test that wants it


@pytest.fixture(scope="module", params=FULL, ids=str)
def stage(request):
    return request.param


@pytest.fixture(scope="module")
def answer(stage):
    return stage.run()


@pytest.fixture
def seen(answer):
    if "failed" in answer:
        pytest.skip("the stage did not run, which has a test of its own")
    return answer


def test_the_corpus_is_large_enough_and_each_attack_is_of_a_known_group():
    assert len(ATTACKS) + len(FORGERIES) + len(LEGIT) >= 108
    assert {name.partition(".")[0] for name in ATTACKS} == {"network", "files", "processes", "calls", "resources"}
    assert len(NAMED) == 23
    assert len(LEGIT) == 7


def test_the_stage_is_the_one_that_was_asked_for(answer):
    assert "failed" not in answer, answer["failed"]
    assert (answer["status"]["available"], answer["status"]["sandbox_tier"]) == (True, "full")
    assert answer["tiers"] == ["full"]


def test_no_attack_leaves_a_process_behind(seen):
    assert seen["left_over"] == []


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.outside])
def test_it_works_without_walls(stage, seen, name):
    """The positive control, without which being contained means nothing."""
    ending, detail = seen["outside"][name]
    outside = ATTACKS[name].outside
    if ending != "escaped" and outside == "depends":
        pytest.skip(f"this machine does not have it, or not for this user: {detail or ending}")
    if ending != "escaped" and outside == "as root" and (stage.way == "any" or not is_unrestricted()):
        pytest.skip("only an unrestricted root can do it at all")
    if ending != "escaped" and has_filter_already():
        pytest.skip(f"a system call filter around these tests may have stopped it: {detail or ending}")
    assert ending == "escaped", detail


def is_unrestricted():
    held = int(read_own_status("CapEff"), 16)
    return os.getuid() == 0 and held & 1 << 21  # CAP_SYS_ADMIN


def has_filter_already():
    return read_own_status("Seccomp") != "0"


def read_own_status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{key}:"))


@pytest.mark.parametrize(("mode", "name"), PLACES)
def test_it_is_contained(stage, seen, mode, name):
    check_ending(stage, ATTACKS[name], mode, *seen[mode][name])


def make_run(program, tests=TESTS, *, split=False, **limits):
    files = {"solution.py": program, "test_solution.py": tests}
    return SandboxRun(files, ("test_solution.py",), SandboxLimits(**{"timeout_sec": 5, **limits}), split=split)


BARE = """
import os, sys
import pytest, _pytest.config, unittest.mock
def end_one():
    pid, status = os.wait()
    print(started.pop(pid), os.waitstatus_to_exitcode(status), flush=True)
started = {}
for folder in sys.argv[1:]:
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        sys.path.insert(0, folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", folder, folder]))
    started[pid] = folder
    if len(started) > 3: end_one()
while started: end_one()
"""


@pytest.fixture(scope="module")
def bare_exit_codes(tmp_path_factory):
    """What plain pytest ends with, for the solutions that should fool it; forked from one process, as it is quicker."""
    folders = {}
    for name in FOOLS_PYTEST:
        folder = tmp_path_factory.mktemp("bare")
        (folder / "solution.py").write_text(FORGERIES[name].program)
        (folder / "test_solution.py").write_text(TESTS)
        folders[str(folder)] = name
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-c", BARE, *folders]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, env=environment)
    lines = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    return {folders[folder]: int(code) for folder, code in lines if folder in folders}


@pytest.mark.parametrize("name", FOOLS_PYTEST)
def test_it_fools_plain_pytest(bare_exit_codes, name):
    assert bare_exit_codes[name] == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_pass_is_caught_or_its_verdict_is_weak(sandbox, name, mode):
    forgery, split = FORGERIES[name], MODES[mode]
    result = await sandbox.run(make_run(forgery.program, split=split))
    assert result.verdict_strength == ("split" if split and not forgery.falls_back else "in-process"), result
    assert result.passed == (forgery.wins_together and result.verdict_strength == "in-process"), result
    assert result.outcome in ({"passed"} if result.passed else {"failed", "tampered", "killed"}), result


def test_of_the_named_forgeries_two_win_together_and_none_apart():
    assert sum(forgery.wins_together for forgery in NAMED.values()) <= 2
    assert not any(forgery.falls_back for forgery in NAMED.values())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LEGIT)
async def test_an_honest_program_passes(sandbox, name, mode):
    program, tests = LEGIT[name]
    result = await sandbox.run(make_run(program, tests, split=MODES[mode]))
    assert (result.outcome, result.passed) == ("passed", True), result


async def test_a_right_program_that_forges_records_as_well_is_tampering(sandbox):
    program = NAMED["records on every descriptor"].program.replace("return 0", "return 2 * x")
    assert (await sandbox.run(make_run(program))).outcome == "tampered"
    closed = NAMED["closed report"].program
    assert "return 2 * x" in closed
    assert not (await sandbox.run(make_run(closed))).passed


async def test_a_run_finds_nothing_of_an_earlier_one(sandbox):
    """More runs than fork servers: at least one of them serves twice."""
    leave = "import os\ndef f(x):\n    open('/tmp/left', 'w').write('x')\n    os.umask(0o777)\n    return 2 * x\n"
    look = """
import gc, os, sys
def f(x):
    gc.unfreeze()
    mark = "left-by-" + "an-earlier-run"
    texts = (v for o in gc.get_objects() if type(o) is dict for v in list(o.values()) if type(v) is str)
    held = sum(text == mark for text in texts)
    left = os.listdir("/tmp") + [name for name in os.listdir("/work") if "solution" not in name and "zz" not in name]
    return 2 * x if not left and held == 0 and os.umask(0o022) == 0o022 else left
"""
    for _ in range(4):
        assert (await sandbox.run(make_run(leave + "WORD = 'left-by-an-earlier-run'\n"))).passed
        result = await sandbox.run(make_run(look))
        assert result.passed, result


@pytest.mark.parametrize("fd", [1, 2])
async def test_of_a_flood_little_is_kept(sandbox, fd):
    program = f"import os\ndef f(x):\n    while True: os.write({fd}, b'x' * 65536)\n"
    result = await sandbox.run(make_run(program, timeout_sec=20))
    assert result.outcome == "killed"
    assert 0 < len(result.stdout) + len(result.stderr) <= 256 * 1024 + 1000


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
    tests = "from solution import *\ndef test_f(): assert f(1) == 2\n"
    result = await sandbox.run(make_run("def f(x): return 2\ndef test_mine(): pass\n", tests))
    assert (result.outcome, result.passed) == ("failed", False)
    assert "test_mine" in result.reason
