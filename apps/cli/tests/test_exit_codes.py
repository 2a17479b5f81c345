"""Every exit status of `code`, from the service's own words."""

import json
import shlex
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


@pytest.mark.parametrize("code", ["unknown_tool", "unknown_command", "unknown_confirmation"])
def test_a_thing_that_is_not_there_is_named_by_the_service(cli, scripted, code):
    agent = scripted(problem={"status": 404, "code": code, "detail": "There is no such thing; nothing was run."})
    done = cli.run("code", "add", "--api", agent.base_url, "--json")
    assert done.returncode == 2
    assert "There is no such thing; nothing was run." in done.stderr
    assert json.loads(done.stdout)["error_code"] == code


@pytest.mark.parametrize("body", [{"detail": "Not Found"}, {"code": "not_found", "detail": "Not Found"}])
def test_a_server_without_the_path_is_said_to_be_another(cli, scripted, body):
    agent = scripted(problem={"status": 404, **body})
    done = cli.run("code", "add", "--api", agent.base_url)
    assert done.returncode == 3
    assert "has no /api/coding/stream: it is not a KITTY service" in done.stderr


@pytest.mark.parametrize(("more", "status"), [({"service": "brain"}, 3), ({}, 4)])
def test_a_service_that_is_down_is_no_missing_model(cli, scripted, more, status):
    agent = scripted(problem={"status": 502, "code": "bad_gateway", "detail": "It does not answer.", **more})
    done = cli.run("code", "add", "--api", agent.base_url)
    assert done.returncode == status
    assert "It does not answer." in done.stderr


WAITS = {
    "requiresConfirmation": True,
    "confirmationPhrase": "Confirm: it's fine",
    "pendingTool": "coding.generate",
    "hazardClass": "high",
    "pendingId": "a" * 32,
    "conversationId": None,
    "expiresAt": "2999-01-01T00:00:00+00:00",
    "detail": "a person has to confirm it",
    "arguments": {"request": "add two\x1b numbers"},
}


def test_a_request_that_waits_for_a_person_says_how_to_confirm_it(cli, scripted):
    agent = scripted(problem={"status": 202, **WAITS})
    done = cli.run("code", "add two numbers", "--api", agent.base_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "coding.generate (hazard class high) waits for your word; nothing was run." in done.stderr
    assert '\n  request: "add two\\u001b numbers"\n' in done.stderr
    command = next(line for line in done.stderr.splitlines() if line.startswith("To run it: "))
    assert shlex.split(command)[3:] == ["kitty-cli", "confirm", "a" * 32, "Confirm: it's fine"]
    told = json.loads(cli.run("code", "add", "--api", agent.base_url, "--json").stdout)
    assert (told["passed"], told["error_code"], told["pendingId"]) == (False, "needs_confirmation", "a" * 32)
    streamed = cli.run("code", "add", "--api", agent.base_url, "--output-format", "stream-json").stdout
    assert json.loads(streamed)["pendingId"] == "a" * 32


def test_an_answer_of_202_that_holds_no_call_is_a_fault_of_the_service(cli, scripted):
    agent = scripted(problem={"status": 202, "queued": True})
    assert cli.run("code", "add", "--api", agent.base_url).returncode == 6


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
