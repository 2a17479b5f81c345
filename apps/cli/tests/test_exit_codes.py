"""Every exit status of `code`, from the service's own words."""

import subprocess
import sys

import pytest

from kitty_cli.exit_codes import ExitCode, for_error, for_verdict
from kitty_cli.testing import CODE, failed_job, finished_job


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("verified", 0), ("tests_failed", 1), ("budget_exhausted", 5)],
)
def test_a_verdict_gives_its_exit_status_and_the_code_is_printed(cli, scripted, verdict, status):
    agent = scripted(finished_job(verdict))
    done = cli.run("code", "add two numbers", "--api", agent.base_url)
    assert (done.returncode, done.stdout) == (status, CODE)


@pytest.mark.parametrize(
    ("code", "status"),
    [("model_unavailable", 4), ("prompt_too_long", 2), ("cancelled", 130), ("internal", 6)],
)
def test_an_error_event_gives_its_exit_status_and_its_message(cli, scripted, code, status):
    agent = scripted(failed_job(code, "the reason why"))
    done = cli.run("code", "add two numbers", "--api", agent.base_url)
    assert (done.returncode, done.stdout) == (status, "")
    assert "the reason why" in done.stderr


def test_without_a_sandbox_the_code_is_shown_and_the_status_is_3(cli, scripted):
    answer = finished_job("sandbox_unavailable")[-1]["result"]
    agent = scripted(failed_job("sandbox_unavailable", "no bubblewrap", result=answer))
    done = cli.run("code", "add two numbers", "--api", agent.base_url)
    assert (done.returncode, done.stdout) == (3, CODE)
    assert "no bubblewrap" in done.stderr


def test_a_problem_document_gives_its_exit_status_and_its_detail(cli, scripted):
    agent = scripted(problem={"status": 422, "code": "unknown_model", "detail": "There is no model x."})
    done = cli.run("code", "add", "--model", "x", "--api", agent.base_url)
    assert done.returncode == 2
    assert "There is no model x." in done.stderr


def test_a_refused_token_says_which_variable_to_set(cli, scripted):
    agent = scripted(problem={"status": 401, "code": "unauthorized", "detail": "A token is needed."})
    done = cli.run("code", "add", "--api", agent.base_url)
    assert done.returncode == 3
    assert "KITTY_API_KEY" in done.stderr


def test_an_unknown_verdict_or_code_is_never_a_success():
    assert for_verdict("splendid") is ExitCode.INTERNAL
    assert for_verdict(None) is ExitCode.INTERNAL
    assert for_error("new_code") is ExitCode.INTERNAL
    assert for_error("new_code", 418) is ExitCode.USAGE
    assert for_verdict("not_verified") is ExitCode.NOT_VERIFIED
    assert for_error("deadline", 504) is ExitCode.OUT_OF_TIME


def test_help_is_shown_without_arguments_and_loads_nothing_heavy():
    program = (
        "import sys\nfrom kitty_cli.main import app\n"
        "try:\n    app([], prog_name='kitty-cli')\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'httpx', 'kitty_models', 'kitty_core', 'asyncio', 'psutil'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("code", "models", "doctor", "status", "stop"):
        assert command in done.stdout
