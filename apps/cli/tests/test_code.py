"""`kitty-cli code` against a service that was named: what is sent, what is printed, what is written."""

import json
import os
import pty
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from kitty_cli.caller_tests import read_tests
from kitty_cli.client import Service, run_job
from kitty_cli.coding import CodeOptions, read_body
from kitty_cli.errors import OutOfTime, UsageProblem
from kitty_cli.locate import named_service
from kitty_cli.saving import plain_module, prepare_folder, save_files
from kitty_cli.testing import CODE, TESTS, finished_job, steps

WITHIN_SEC = 20


def test_a_pipe_gets_a_valid_python_file_and_stderr_plain_lines(cli, scripted):
    strange = 'WORDS = "naïve \u2028 line"\n'
    agent = scripted(finished_job(code=strange))
    done = cli.run("code", "add", "--api", agent.base_url, FORCE_COLOR="1", LC_ALL="C")
    compile(done.stdout, "solution.py", "exec")
    assert "writing the code · candidate 1" in done.stderr
    assert "running the tests" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert done.stdout == strange
    assert "Verified" in done.stderr


def test_json_is_exactly_the_response(cli, scripted):
    agent = scripted(finished_job())
    done = cli.run("code", "add", "--json", "--api", agent.base_url)
    assert json.loads(done.stdout) == agent.events[-1]["result"]


def test_json_of_a_failure_is_json_too(cli, scripted):
    agent = scripted(problem={"status": 413, "code": "payload_too_large", "detail": "Too large."})
    done = cli.run("code", "add", "--json", "--api", agent.base_url)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error_code"] == "payload_too_large"


def test_stream_json_is_one_event_a_line(cli, scripted):
    agent = scripted(finished_job())
    done = cli.run("code", "add", "--output-format", "stream-json", "--api", agent.base_url)
    assert [json.loads(line) for line in done.stdout.splitlines()] == agent.events


def test_the_request_carries_what_was_asked_for(cli, scripted, tmp_path):
    agent = scripted(finished_job())
    (tmp_path / "mine.py").write_text(TESTS)
    options = ["--tests", "mine.py", "--tier", "deep", "--model", "kitty-q4", "--module", "sums", "--timeout", "30"]
    cli.run("code", "-", *options, "--api", agent.base_url, stdin=b"add two numbers", KITTY_API_KEY="secret")
    assert agent.requests[0].body == {
        "request": "add two numbers",
        "tests": TESTS,
        "tier": "deep",
        "model": "kitty-q4",
        "module": "sums.py",
        "deadline_seconds": 30.0,
    }
    assert agent.requests[0].headers["authorization"] == "Bearer secret"


def test_a_direct_service_gets_the_service_token_and_a_gateway_does_not():
    env = {"CODER_AGENT_BASE": "http://a:1/", "KITTY_SERVICE_TOKEN": "inner"}
    assert named_service(None, env) == Service("http://a:1", "inner")
    assert named_service("http://b:2", env) == Service("http://b:2", None)
    assert named_service(None, env | {"KITTY_API_BASE": "http://c:3", "KITTY_API_KEY": "k"}).token == "k"
    assert named_service(None, {"KITTY_API_BASE": ""}) is None


@pytest.mark.parametrize(("access", "sent"), [("open", None), ("token", "Bearer inner"), (None, "Bearer inner")])
def test_a_coder_agent_on_the_open_loopback_gets_no_token(cli, scripted, access, sent):
    health = {"status": "ok", "service": "coder-agent", "jobs_running": 0, "access": access}
    agent = scripted(finished_job(), health=health)
    cli.run("code", "add", CODER_AGENT_BASE=agent.base_url, KITTY_SERVICE_TOKEN="inner", KITTY_API_KEY="outer")
    assert agent.requests[-1].headers.get("authorization") == sent


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["-"], None, "empty"),
        (["x", "--tests", "binary.py"], None, "UTF-8"),
        (["x", "--tests", "broken.py"], None, "broken.py is not valid Python: line 2: "),
        (["x", "--tests", "idle.py"], None, "idle.py holds no test"),
        (["x", "--tier", "huge"], None, "--tier"),
        (["x", "--model", "no-such-model", "--quiet"], None, "kitty-coder-small"),
    ],
)
def test_a_mistake_on_the_command_line_is_status_2_and_nothing_starts(cli, tmp_path, arguments, stdin, said):
    (tmp_path / "binary.py").write_bytes(b"\xff\x00")
    (tmp_path / "broken.py").write_text("def test_add():\n    assert add(1, 2 == 3\n")
    (tmp_path / "idle.py").write_text("x = 1\n")
    done = cli.run("code", *arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not cli.started()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"request": "  "}, "empty"),
        ({"tests": Path("missing.py")}, "missing.py"),
        ({"module": "../x"}, "--module"),
        ({"module": "class-y.py"}, "--module"),
        ({"tests": Path(__file__), "out": Path(), "module": Path(__file__).name}, "both called"),
    ],
)
def test_what_cannot_be_sent_is_a_usage_problem(options, said):
    with pytest.raises(UsageProblem, match=said):
        read_body(CodeOptions(**({"request": "x"} | options)))


@pytest.mark.parametrize(
    "text",
    [
        "def test_it(): ...\n",
        "\ufeffdef test_it(): ...\n",
        "async def testIt(): ...\n",
        "if True:\n    def test_it(): ...\n",
        "class TestIt(Shared): ...\n",
        "class Sums(unittest.TestCase):\n    def testIt(self): ...\n",
        "class Sums(IsolatedAsyncioTestCase): ...\n",
        "def test_it():\n    assert match('\\d')\n",  # Python warns of the escape; warnings are errors here
    ],
)
def test_everything_that_pytest_would_collect_counts_as_a_test(tmp_path, text):
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    assert read_tests(tmp_path / "mine.py") == text.removeprefix("\ufeff")


@pytest.mark.parametrize("text", ["x = 1\n", "# test_it\n", "class Sums:\n    def check(self): ...\n", "a = '\0'\n"])
def test_a_file_without_a_test_is_refused(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UsageProblem, match="--tests"):
        read_tests(tmp_path / "mine.py")


def test_text_output_says_once_where_the_tests_are(cli, scripted, tmp_path):
    agent = scripted(finished_job())
    (tmp_path / "mine.py").write_text(TESTS)
    said = cli.run("code", "add", "--api", agent.base_url).stderr
    assert said.count("`--out DIR` writes the module and its tests") == 1
    for options in (["--out", "out"], ["--tests", "mine.py"], ["--json"], ["--quiet"]):
        assert "--out DIR" not in cli.run("code", "add", *options, "--api", agent.base_url).stderr


def test_a_folder_that_cannot_be_made_is_a_usage_problem(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageProblem, match="--out"):
        prepare_folder(tmp_path / "file" / "below")


def test_a_module_name_that_leaves_the_folder_is_refused():
    with pytest.raises(UsageProblem):
        plain_module("../evil.py")


def test_out_writes_module_and_tests_and_keeps_a_different_old_file(cli, scripted, tmp_path):
    agent = scripted(finished_job())
    out = tmp_path / "new" / "folder"
    first = cli.run("code", "add", "--out", str(out), "--api", agent.base_url)
    assert (out / "solution.py").read_text() == CODE
    assert (out / "test_solution.py").read_text() == TESTS
    assert first.stdout == CODE

    (out / "solution.py").write_text("mine = 1\n")
    again = cli.run("code", "add", "--out", str(out), "--api", agent.base_url)
    assert (out / "solution.py").read_text() == CODE
    assert (out / "solution.py.bak").read_text() == "mine = 1\n"
    assert "solution.py.bak" in again.stderr
    assert "unchanged" in again.stderr


def test_a_second_backup_does_not_replace_the_first(tmp_path):
    for text in ("mine = 1\n", "mine = 2\n"):
        (tmp_path / "solution.py").write_text(text)
        save_files(tmp_path, {"solution.py": CODE})
    assert (tmp_path / "solution.py.bak").read_text() == "mine = 1\n"
    assert (tmp_path / "solution.py.bak2").read_text() == "mine = 2\n"
    assert len(list(tmp_path.iterdir())) == 3


def test_out_uses_the_module_of_the_answer_and_the_name_of_the_callers_tests(cli, scripted, tmp_path):
    agent = scripted(finished_job(module="sums.py"))
    (tmp_path / "check_it.py").write_text(TESTS)
    cli.run("code", "add", "--tests", "check_it.py", "--out", "out", "--api", agent.base_url)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["check_it.py", "sums.py"]


def test_quiet_says_nothing(cli, scripted):
    agent = scripted(finished_job())
    done = cli.run("code", "add", "--quiet", "--api", agent.base_url)
    assert (done.stdout, done.stderr) == (CODE, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_closes_the_stream_at_once(cli, scripted, number):
    agent = scripted(steps(), ending="hold")
    process = cli.start("code", "add", "--api", agent.base_url)
    assert agent.streaming.wait(WITHIN_SEC)
    process.send_signal(number)
    _, said = process.communicate(timeout=WITHIN_SEC)
    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == "kitty-cli: cancelled"
    assert agent.disconnected.wait(WITHIN_SEC)


def test_a_stream_that_breaks_off_is_status_6(cli, scripted):
    agent = scripted(steps(), ending="break")
    done = cli.run("code", "add", "--api", agent.base_url)
    assert (done.returncode, done.stdout) == (6, "")
    assert "broke off" in done.stderr


async def test_the_client_gives_up_by_itself_and_closes_the_stream(scripted):
    agent = scripted(steps(), ending="hold")
    with pytest.raises(OutOfTime, match="--timeout"):
        await run_job(Service(agent.base_url), {"request": "add"}, lambda event: None, give_up_after_sec=0.3)
    assert agent.disconnected.wait(WITHIN_SEC)


def test_an_address_that_was_named_and_does_not_answer_is_status_3_and_nothing_starts(cli):
    done = cli.run("code", "add", KITTY_API_BASE="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "KITTY_API_BASE" in done.stderr
    assert not (cli.folder / "state").exists()


def test_a_terminal_shows_colour_and_a_panel_and_no_color_is_respected(cli, scripted):
    agent = scripted(finished_job(code="def add(a, b):\n    return a + b  # \x1b]0;owned\x07\n"))
    shown = on_terminal(cli, "code", "add", "--api", agent.base_url)
    assert "\x1b[" in shown
    assert "38;" in shown  # colours of the highlighted code
    for word in ("Verified", "evidence", "2 from examples", "0.93", "kitty-coder", "sha256", "╭"):
        assert word in shown
    assert "\x1b]0;owned" not in shown
    plain = on_terminal(cli, "code", "add", "--api", agent.base_url, NO_COLOR="1")
    assert "Verified" in plain
    assert "38;" not in plain


def on_terminal(cli, *arguments: str, **env: str) -> str:
    """Everything a person would see, from a real pseudo-terminal."""
    pid, terminal = pty.fork()
    if pid == 0:  # the child: only this becomes the command line
        os.chdir(cli.folder)
        os.execve(sys.executable, cli.command(*arguments), cli.env | env)
    shown, deadline = b"", time.monotonic() + WITHIN_SEC
    while time.monotonic() < deadline and select.select([terminal], [], [], WITHIN_SEC)[0]:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not block:
            break
        shown += block
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return shown.decode()
