"""The broker at its door: contract, hostile arguments, hostile browsers, what is counted and logged."""

import json

import httpx
import pytest
import structlog

from broker.testing import TOKEN, running_broker
from kitty_core.logs import configure_logs

ECHO = """
commands:
  say:
    description: Prints its arguments, one a line.
    program: printf
    argv: ['%s\\n', "{loud}", "{level}", "{mode}", "{text}", "{after}"]
    hazard_class: low
    timeout_sec: 5
    args:
      text: {type: string, pattern: '.*', max_length: 60, description: One line.}
      level: {type: integer, option: "--level", min: 1, max: 9, description: How loud.}
      loud: {type: boolean, flag: "--loud", description: Loud.}
      mode: {type: enum, option: "--mode", values: [soft, hard], description: How.}
      after: {type: string, pattern: '[a-z]+', list: 3, description: More lines.}
  careful:
    description: Prints what stands behind the dashes.
    program: printf
    argv: ['%s\\n', "--", "{text}"]
    hazard_class: none
    timeout_sec: 5
    args:
      text: {type: string, pattern: '.*', required: true, description: One line.}
  show:
    description: A file of the workspace.
    program: cat
    argv: ["--", "{path}"]
    hazard_class: none
    timeout_sec: 5
    workspace: true
    args:
      path: {type: path, required: true, description: Which.}
  absent:
    description: Nobody has this.
    program: no-such-program-anywhere
    hazard_class: none
    timeout_sec: 5
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """One broker over ECHO for all tests that leave nothing behind."""
    folder = tmp_path_factory.mktemp("echo")
    (folder / "commands.yaml").write_text(ECHO)
    with running_broker(broker_allow_list=str(folder / "commands.yaml"), broker_workspace=str(folder)) as broker:
        yield broker


def problems(response):
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return {problem["field"]: problem["message"] for problem in response.json()["errors"]}


def test_a_command_runs_and_answers_as_the_contract_says(echo):
    answer = echo.run("say", text="hello world", level=3, loud=True, mode="soft", after=["x", "y"])
    assert answer.status_code == 200
    body = answer.json()
    assert body["stdout"] == "--loud\n--level=3\n--mode=soft\nhello world\nx\ny\n"
    assert (body["success"], body["command"], body["exit_code"], body["timeout_exceeded"]) == (True, "say", 0, False)
    assert (body["error"], body["stderr"], body["hazard_class"]) == (None, "", "low")


@pytest.mark.parametrize(
    "text",
    [
        "; touch /tmp/x",
        "$(id)",
        "`id`",
        "a && b",
        "a | b",
        "> /tmp/x",
        "$HOME",
        "*",
        "~",
        "'\"",
        "\\n",
        "a  b",
        "ümläut 猫",
    ],
)
def test_what_a_shell_would_read_arrives_as_it_was_sent(echo, text):
    assert echo.run("say", text=text).json()["stdout"] == text + "\n"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "nul\x00", "esc\x1b[31m", "\x7f", "\u2028", "\x85"])
def test_control_characters_are_refused_everywhere(echo, text):
    assert "control characters" in problems(echo.run("say", text=text))["args.text"]
    assert "control characters" in problems(echo.run("show", path=text))["args.path"]
    assert "control characters" in problems(echo.run("show", path="a", workspace=text))["args.workspace"]


@pytest.mark.parametrize("text", ["-x", "--output=/tmp/x", "--", "-"])
def test_a_value_never_becomes_an_option(echo, text):
    assert "dash" in problems(echo.run("say", text=text))["args.text"]
    assert echo.run("careful", text=text).json()["stdout"] == f"--\n{text}\n"


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({"unknown": 1}, "args.unknown"),
        ({"level": 0}, "args.level"),
        ({"level": 10}, "args.level"),
        ({"level": True}, "args.level"),
        ({"level": "3"}, "args.level"),
        ({"level": 3.5}, "args.level"),
        ({"loud": "yes"}, "args.loud"),
        ({"mode": "loud"}, "args.mode"),
        ({"mode": ["soft"]}, "args.mode"),
        ({"text": 5}, "args.text"),
        ({"text": "x" * 61}, "args.text"),
        ({"after": "x"}, "args.after"),
        ({"after": []}, "args.after"),
        ({"after": ["a", "b", "c", "d"]}, "args.after"),
        ({"after": ["A"]}, "args.after"),
        ({"workspace": "."}, "args.workspace"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_their_place(echo, args, field):
    answer = echo.run("say", **args)
    assert answer.json()["code"] == "bad_arguments"
    assert field in problems(answer)


def test_a_missing_argument_is_named(echo):
    assert problems(echo.run("careful")) == {"args.text": "is missing"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"command": "say"},
        {"command": "say", "user_id": ""},
        {"command": "say", "user_id": "a\nb"},
        {"command": "", "user_id": "a"},
        {"command": "say", "user_id": "a", "args": []},
        {"command": "say", "user_id": "a", "timeout": 0},
        {"command": "say", "user_id": "a", "timeout": -1},
        {"command": "say", "user_id": "a", "surprise": 1},
        [],
    ],
    ids=json.dumps,
)
def test_a_bad_body_is_refused(echo, body):
    answer = echo.post("/exec", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")


def test_a_command_that_is_not_listed_is_404_and_counted_without_its_name(start):
    broker = start(ECHO)
    for name in ("rm", "say; rm", "../say", "SAY", "say\n"):
        answer = broker.run(name)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_command")
    assert broker.get("/commands/rm/schema").json()["code"] == "unknown_command"
    assert 'broker_commands_total{command="unknown",outcome="unknown"} 5.0' in broker.get("/metrics").text


def test_a_command_whose_program_is_missing_is_listed_with_the_reason(start):
    broker = start(ECHO)
    listed = {entry["name"]: entry for entry in broker.get("/commands").json()["commands"]}
    assert (listed["say"]["available"], listed["absent"]["available"]) == (True, False)
    assert "no-such-program-anywhere" in listed["absent"]["reason"]
    answer = broker.run("absent")
    assert (answer.status_code, answer.json()["code"]) == (503, "command_unavailable")


def test_without_a_workspace_setting_its_commands_are_unavailable_and_say_why(start):
    broker = start(ECHO, broker_workspace="")
    answer = broker.run("show", path="a")
    assert answer.status_code == 503
    assert "BROKER_WORKSPACE" in answer.json()["detail"]


def test_the_list_tells_hazard_class_and_what_wants_a_confirmation(start):
    listed = {entry["name"]: entry for entry in start().get("/commands").json()["commands"]}
    assert (listed["pytest.run"]["hazard_class"], listed["pytest.run"]["requires_confirmation"]) == ("high", True)
    assert (listed["git.status"]["hazard_class"], listed["git.status"]["requires_confirmation"]) == ("none", False)


def test_the_list_tells_what_each_command_takes(echo):
    listed = echo.get("/commands").json()["commands"]
    assert listed
    for entry in listed:
        assert entry["args_schema"] == echo.get(f"/commands/{entry['name']}/schema").json()


def test_the_schema_of_a_command_says_what_its_arguments_may_be(echo):
    schema = echo.get("/commands/say/schema").json()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["level"] | {"description": ""} == {
        "type": "integer", "minimum": 1, "maximum": 9, "description": "",
    }  # fmt: skip
    assert schema["properties"]["after"]["items"]["pattern"] == "^(?:[a-z]+)$"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:8777"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"content-type": "text/plain"}, 403),
        ({"content-type": "application/x-www-form-urlencoded"}, 403),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": ""}, 401),
    ],
    ids=str,
)
def test_what_a_hostile_page_can_send_is_refused(echo, headers, status):
    sent = {**echo.headers, "content-type": "application/json", **headers}
    body = json.dumps({"command": "say", "args": {"text": "x"}, "user_id": "ann"})
    answer = httpx.post(f"{echo.base_url}/exec", content=body, headers=sent, timeout=60, trust_env=False)
    assert answer.status_code == status, answer.text
    assert "access-control-allow-origin" not in answer.headers


def test_only_health_metrics_and_documents_answer_without_the_token(echo):
    base = echo.base_url
    status = {
        path: httpx.get(f"{base}{path}", trust_env=False).status_code
        for path in ("/healthz", "/metrics", "/docs", "/openapi.json", "/commands", "/commands/say/schema")
    }
    assert status == {
        "/healthz": 200, "/metrics": 200, "/docs": 200, "/openapi.json": 200, "/commands": 401,
        "/commands/say/schema": 401,
    }  # fmt: skip


def test_without_a_configured_token_the_one_in_the_state_directory_is_wanted(start, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    broker = start(ECHO, kitty_service_token=None)
    file = tmp_path / "kitty" / "service-token"
    assert file.stat().st_mode & 0o777 == 0o600
    assert broker.get("/commands").status_code == 401
    own = {"authorization": f"Bearer {file.read_text().strip()}"}
    assert httpx.get(f"{broker.base_url}/commands", headers=own, trust_env=False).status_code == 200


def test_every_attempt_is_one_log_line_and_one_count(start, capsys):
    broker = start(ECHO)
    configure_logs("broker")
    try:
        broker.run("say", text="the secret text")
        broker.run("say", level=99)
        broker.run("absent")
        broker.run("nothing")
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines() if '"broker_command"' in line]
    assert [line["outcome"] for line in lines] == ["ok", "refused", "unavailable", "unknown"]
    assert {(line["user_id"], line["conversation_id"]) for line in lines} == {("ann", "c1")}
    assert lines[0]["hazard_class"] == "low"
    assert "the secret text" not in out
    assert TOKEN not in out
    counts = broker.get("/metrics").text
    assert 'broker_commands_total{command="say",outcome="ok"} 1.0' in counts
    assert 'broker_commands_total{command="say",outcome="refused"} 1.0' in counts
