"""`say` and `shell`, against a scripted gateway over real HTTP."""

import json
import signal
import subprocess

import pytest
from prompt_toolkit.history import InMemoryHistory

from kitty_cli.shell import _history
from kitty_cli.testing import result

CODE = "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"


WAITS_FOR_WORD = {"confirmations": [{"pendingId": "p1", "conversationId": "c1"}]}


def answer(output="Hello.", data=None, steps=(), **more):
    """A brain's answer, as the last event of `/api/query/stream`: a text, and the tool's result as it came."""
    used = [step["tool"] for step in steps if step.get("decision") == "allowed"]
    metadata = {"iterations": len(steps), "tools_used": used, "agent_steps": list(steps)}
    result = {
        "conversationId": "c1",
        "intent": "query",
        "result": {"output": output} | ({} if data is None else {"data": data}),
        "routing": {"tier": "q4", "confidence": 0.9, "latencyMs": 7, "cached": False, "metadata": metadata},
        "requiresConfirmation": False,
    }
    return [{"type": "routing", "route": "talk", "tier": "q4"}, {"type": "complete", "result": result | more}]


def called(status="ok", decision="allowed"):
    """The trace of one call of coding.generate."""
    step = {"iteration": 2, "action": "tool", "tool": "coding.generate", "decision": decision, "status": status}
    return [{"iteration": 1, "action": "route", "reason": "coding"}, {**step, "seconds": 1.5}]


def coded(verdict):
    words = f"**{verdict}**\n\n```python\n{CODE}```"
    return answer(words, result(verdict, CODE), called("ok" if verdict == "verified" else "failed"))


def failed(**problem):
    """coding.generate answered with a problem document."""
    document = {"type": "about:blank", "title": "service error", "tool": "coding.generate", "decision": "allowed"}
    return answer("coding.generate failed: no code.", document | problem, called("error"))


WAITS = {
    "requiresConfirmation": True,
    "confirmationPhrase": "Confirm: proceed",
    "pendingTool": "broker.run",
    "hazardClass": "high",
    "pendingId": "p1",
    "expiresAt": "2999-01-01T00:00:00+00:00",
    "hint": "say exactly: Confirm: proceed",
}


@pytest.fixture
def gateway(scripted, cli):
    """Starts a scripted gateway that answers with the events given, and tells the command line where it is."""

    def start(events, **options):
        running = scripted(events, path="/api/query/stream", **options)
        cli.env["KITTY_API_BASE"] = running.base_url
        cli.env["HTTP_PROXY"] = cli.env["http_proxy"] = "http://127.0.0.1:9"  # never used for the stack
        return running

    return start


def test_the_answer_is_on_stdout_and_the_steps_are_on_stderr(cli, gateway):
    asked = gateway(answer("2 and 2 are 4."))
    done = cli.run("say", "what is 2+2?")
    assert (done.returncode, done.stdout) == (0, "2 and 2 are 4.\n")
    assert "talk, answered by q4" in done.stderr
    assert asked.requests[0].body["prompt"] == "what is 2+2?"
    assert "useAgent" not in asked.requests[0].body
    again = cli.run("say", "and 3+3?", "--quiet")
    assert (again.stdout, again.stderr) == ("2 and 2 are 4.\n", "")
    first, second = (request.body["conversationId"] for request in asked.requests)
    assert first != second


@pytest.mark.parametrize(
    "message", ["{}", 'f("{x}") == \'"\'', "```python\nx = {1: {2}}\n```", "schreibe größte(a) 你好"]
)
def test_a_message_arrives_to_the_letter_with_the_commands_at_its_head(cli, gateway, message):
    asked = gateway(answer())
    assert cli.run("say", f"  /agent on. {message}").returncode == 0
    body = asked.requests[0].body
    assert (body["prompt"], body["useAgent"], body["toolMode"]) == (f"  /agent on. {message}", True, "auto")


def test_a_command_in_the_text_outranks_the_option(cli, gateway):
    asked = gateway(answer())
    cli.run("say", "/agent on. /model kitty-f16 hello", "--no-agent", "--model", "kitty-q4")
    body = asked.requests[0].body
    assert (body["useAgent"], body["toolMode"], body["modelAlias"]) == (True, "auto", "kitty-f16")


@pytest.mark.parametrize(("verdict", "status"), [("verified", 0), ("tests_failed", 1), ("budget_exhausted", 5)])
def test_where_code_was_written_its_verdict_is_the_exit_status(cli, gateway, verdict, status):
    gateway(coded(verdict))
    done = cli.run("say", "write fib(n)")
    assert done.returncode == status
    assert CODE in done.stdout
    assert "tool: coding.generate, decision: allowed" in done.stderr
    assert f"verdict: {verdict}" in done.stderr


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        ({"status": 503, "code": "model_unavailable"}, 4),
        ({"status": 503, "code": CODE, "error_code": "sandbox_unavailable", "verdict": "sandbox_unavailable"}, 3),
        ({"status": 502, "code": "bad_gateway", "service": "coder-agent"}, 3),
        ({"status": 503, "code": CODE, "error_code": "internal"}, 6),
    ],
)
def test_where_code_was_to_be_written_and_the_tool_failed_the_reason_is_the_exit_status(cli, gateway, problem, status):
    gateway(failed(**problem))
    assert cli.run("say", "write fib(n)").returncode == status


def test_a_tool_without_a_verdict_that_has_answered_is_an_answer(cli, gateway):
    gateway(answer("4 files", {"success": False, "exit_code": 1, "stdout": "", "status": "failed"}))
    assert cli.run("say", "what is here?").returncode == 0


def test_who_may_not_see_the_phrase_still_has_the_answer_and_the_id(cli, gateway):
    gateway(answer("broker.run waits.", **WAITS | {"confirmationPhrase": None}))
    done = cli.run("say", "run the tests")
    assert (done.returncode, done.stdout) == (1, "broker.run waits.\n")
    assert "confirm p1" in done.stderr
    assert "To run it" not in done.stderr


def test_the_help_of_say_states_the_default_that_is_sent(cli, gateway):
    shown = " ".join(cli.run("say", "--help").stdout.replace("│", " ").split())
    assert "Default: they may; the brain decides." in shown
    asked = gateway(answer())
    cli.run("say", "hello")
    assert {"useAgent", "toolMode"} & set(asked.requests[0].body) == set()  # what the brain takes for yes, and auto


def test_an_unknown_model_is_an_error_of_usage_that_names_the_known_ones(cli, gateway):
    gateway([{"type": "error", "error": "There is no model 'gpt'. There are: kitty-q4.", "code": "unknown_model"}])
    done = cli.run("say", "hello", "--model", "gpt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "There are: kitty-q4." in done.stderr


@pytest.mark.parametrize(("remembered", "is_told"), [(0, True), (3, False), (None, False)])
def test_a_named_conversation_of_which_nothing_is_known_is_said_to_begin(cli, gateway, remembered, is_told):
    events = answer()
    events[-1]["result"]["routing"]["metadata"]["remembered"] = remembered
    gateway(events)
    told = "Nothing is remembered of conversation c␛9: it begins here."
    assert (told in cli.run("say", "hello", "--conversation", "c\x1b9").stderr) == is_told
    assert "it begins here" not in cli.run("say", "hello").stderr
    assert "it begins here" not in cli.run("say", "hello", "--conversation", "c9", "--quiet").stderr


def test_a_hint_can_be_copied_and_acts_on_no_terminal(cli, gateway):
    waits = WAITS | {
        "pendingTool": "\x1b[2Jbroker.run",
        "confirmationPhrase": "go",
        "conversationId": "c 1; x",
        "arguments": {"command": "pytest.run\x1b[2J"},
    }
    asked = gateway(answer("It waits.", **waits))
    done = cli.run("say", "run the tests")
    assert "say \"go\" --conversation 'c 1; x'" in done.stderr
    assert '\n  command: "pytest.run\\u001b[2J"\n' in done.stderr
    assert "\x1b" not in done.stderr
    assert [request.path for request in asked.requests] == ["/api/query/stream"]


def test_patience_ends_with_the_timeout_and_an_answer_that_is_none_is_no_answer(cli, gateway):
    gateway([], ending="hold")
    done = cli.run("say", "x", "--timeout", "1")
    assert (done.returncode, done.stdout) == (5, "")
    gateway([{"type": "complete", "result": None}])
    none = cli.run("say", "x")
    assert (none.returncode, "an answer that is none" in none.stderr, "Traceback" in none.stderr) == (6, True, False)
    gateway([{"type": "routing"}], ending="break")
    assert cli.run("say", "x").returncode == 6


def test_what_is_no_text_is_refused_and_a_terminal_without_a_letter_gets_its_number(cli, gateway):
    asked = gateway(answer("größte ␛"), documents={"/api/confirmations": WAITS_FOR_WORD})
    for words in (("say", "\udcff"), ("confirm", "p1", "\udcff")):
        done = cli.run(*words)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    wrong = cli.run("say", "x", KITTY_API_KEY="schlüssel")
    assert (wrong.returncode, "KITTY_API_KEY" in wrong.stderr, "Traceback" in wrong.stderr) == (3, True, False)
    assert asked.requests == [] or {request.path for request in asked.requests} == {"/api/confirmations"}
    done = cli.run("say", "x", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "gr\\xf6\\xdfte \\u241b\n")


def test_a_call_that_waits_is_shown_with_the_phrase_and_is_no_success(cli, gateway):
    gateway(answer("broker.run waits.", **WAITS))
    done = cli.run("say", "run the tests")
    assert done.returncode == 1
    assert 'say "Confirm: proceed" --conversation c1' in done.stderr
    assert "confirm p1" in done.stderr


def test_options_and_the_key_reach_the_gateway(cli, gateway):
    asked = gateway(answer())
    cli.run("say", "x", "--no-agent", "--model", "kitty-f16", "--conversation", "c7", KITTY_API_KEY="k")
    body = asked.requests[0].body
    assert (body["toolMode"], body["modelAlias"], body["conversationId"]) == ("off", "kitty-f16", "c7")
    assert asked.requests[0].headers["authorization"] == "Bearer k"


def test_json_is_the_whole_answer(cli, gateway):
    gateway(answer())
    assert json.loads(cli.run("say", "x", "--json").stdout)["result"] == {"output": "Hello."}


@pytest.mark.parametrize(
    ("code", "status"), [("model_unavailable", 4), ("unauthorized", 3), ("deadline", 5), ("internal", 6)]
)
def test_an_error_of_the_brain_has_its_exit_status(cli, gateway, code, status):
    gateway([{"type": "error", "error": "It did not work.", "code": code}])
    done = cli.run("say", "x")
    assert done.returncode == status
    assert "It did not work." in done.stderr


def test_nothing_to_say_is_a_usage_problem(cli, gateway):
    gateway(answer())
    assert cli.run("say", "/agent on.").returncode == 2
    assert cli.run("say", " ").returncode == 2


TOOLS = {"tools": [{"name": "coding.generate", "hazard_class": "low", "description": "Writes.", "enabled": False}]}
MODELS = {"models": [{"tier": "q4", "alias": "kitty-q4", "state": "ok"}], "default": "q4"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/models", "q4, kitty-q4, ok"),
        ("/agent on. /MODELS", "q4, kitty-q4, ok"),
        ("/tools", "coding.generate [low] (disabled): Writes."),
        ("/help", "/agent on|off"),
    ],
)
def test_a_command_that_needs_no_session_is_obeyed_and_not_said(cli, gateway, text, shown):
    asked = gateway(answer(), documents={"/api/tools": TOOLS, "/api/routing/models": MODELS})
    done = cli.run("say", text)
    assert (done.returncode, shown in done.stdout) == (0, True)
    assert shown in json.loads(cli.run("say", text, "--json").stdout)["result"]["output"]
    assert "/api/query/stream" not in [request.path for request in asked.requests]


def test_models_lists_each_server_of_a_role_that_has_several(cli, gateway):
    servers = [{"base_url": "http://a:1", "state": "ok"}, {"base_url": "http://b:1", "state": "down"}]
    told = [{"tier": "q4", "state": "ok", "servers": servers}, {"tier": "f16", "state": "ok", "servers": servers[:1]}]
    gateway(answer(), documents={"/api/routing/models": {"models": told}})
    shown = cli.run("say", "/models").stdout.splitlines()
    assert shown == ["q4, ok", "    http://a:1: ok", "    http://b:1: down", "f16, ok"]


@pytest.mark.parametrize("text", ["/trace", "/confirm", "/agent", "/agent once more", "/agnet on. hello", "/model"])
def test_another_command_is_named_and_not_said(cli, gateway, text):
    asked = gateway(answer())
    done = cli.run("say", text)
    assert done.returncode == 2
    assert f"does not obey {text.split()[0]} " in done.stderr
    assert "/models" in done.stderr
    assert asked.requests == []


def test_a_path_at_the_head_is_said(cli, gateway):
    asked = gateway(answer())
    assert cli.run("say", "/etc/passwd holds what?").returncode == 0
    assert asked.requests[0].body["prompt"] == "/etc/passwd holds what?"


@pytest.mark.parametrize(
    "words", [("say", "x"), ("say", "/models"), ("shell",), ("tools",), ("confirm",), ("confirm", "1")]
)
def test_without_a_stack_a_command_that_needs_one_is_status_3_and_says_how_to_start_it(cli, free_ports, words):
    base = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = cli.run(*words, KITTY_API_BASE=base, KITTY_COMMAND="./kitty")
    told = f"No gateway answers at {base}. Start the stack with `./kitty up`, or set KITTY_API_BASE."
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"kitty-cli: {told}\n")


def test_what_the_model_says_cannot_act_on_the_terminal(cli, gateway):
    gateway(answer("\x1b[2Jgone"))
    assert "\x1b" not in cli.run("say", "x").stdout


def test_the_shell_is_one_conversation_and_its_commands_hold(cli, gateway):
    asked = gateway(answer("Yes."))
    done = cli.run(
        "shell", stdin=b"/agent off\nare you there?\n/model kitty-f16\nand now?\n/new\nand here?\n/exit\nlost\n"
    )
    bodies = [request.body for request in asked.requests]
    assert [body["prompt"] for body in bodies] == ["are you there?", "and now?", "and here?"]
    assert all(body["toolMode"] == "off" for body in bodies)
    assert [body.get("modelAlias") for body in bodies] == [None, "kitty-f16", "kitty-f16"]
    assert bodies[0]["conversationId"] == bodies[1]["conversationId"] != bodies[2]["conversationId"]
    assert done.stdout.count("Yes.") == 3


def test_the_shell_goes_on_after_an_error_and_names_what_it_does_not_know(cli, gateway):
    gateway([{"type": "error", "error": "No model answers.", "code": "model_unavailable"}])
    done = cli.run("shell", stdin=b"x\n/nothing\n/trace\n/help\n")
    assert done.returncode == 0
    assert "No model answers." in done.stdout
    assert "There is no /nothing" in done.stdout
    assert "Nothing was said yet." in done.stdout
    assert "/confirm" in done.stdout


def test_in_the_shell_a_command_is_said_with_its_text_and_holds_for_what_follows(cli, gateway):
    asked = gateway(answer("It waits.", **WAITS), documents={"/api/routing/models": MODELS})
    lines = ["/agent on. Call a.b: c", "Call a.b: c", "confirm: PROCEED", "no", "/agent on /models", "/tools off x"]
    done = cli.run("shell", stdin="\n".join(lines).encode())
    bodies = [request.body for request in asked.requests if request.path == "/api/query/stream"]
    assert [body["prompt"] for body in bodies] == [
        "/agent on. Call a.b: c",
        "/agent on\nCall a.b: c",
        "confirm: PROCEED",
        "no",
        "/tools off x",
    ]
    assert [body["toolMode"] for body in bodies] == ["auto"] * 4 + ["off"]
    assert "kitty-q4" in done.stdout


def test_confirm_in_the_shell_says_the_phrase_in_the_same_conversation(cli, gateway):
    asked = gateway(answer("It waits.", **WAITS))
    done = cli.run("shell", stdin=b"/confirm\nrun it\n/confirm yes\n/confirm\n")
    said = [request.body for request in asked.requests if request.path == "/api/query/stream"]
    assert "Nothing waits in this conversation" in done.stdout
    assert "The phrase is: Confirm: proceed" in done.stdout
    assert [body["prompt"] for body in said] == ["run it", "Confirm: proceed"]
    assert said[0]["conversationId"] == said[1]["conversationId"]


def test_the_shell_lists_tools_and_models(cli, gateway):
    gateway(answer(), documents={"/api/tools": TOOLS, "/api/routing/models": MODELS})
    done = cli.run("shell", stdin=b"/tools\n/models\n")
    assert "coding.generate [low] (disabled): Writes." in done.stdout
    assert "kitty-q4, ok" in done.stdout
    assert "kitty>" not in done.stdout + done.stderr  # nobody is there to be prompted
    assert not (cli.folder / "state" / "kitty" / "shell-history").exists()


def test_what_begins_with_a_slash_is_never_said(cli, gateway):
    asked = gateway(answer("\x1b[2JHello."), documents={"/api/tools": {"items": []}})
    lines = b"/nothing x\n/agent\n/agent maybe\n/models\n/tools\n/model\n/trace\n/confirm\n\n  \n/QUIT\nlost\n"
    done = cli.run("shell", stdin=lines)
    assert {request.path for request in asked.requests} == {"/api/routing/models", "/api/tools"}
    assert "/agent maybe is not understood" in done.stdout
    assert "sent no list of tools" in done.stdout
    assert done.returncode == 0


def test_a_command_before_a_text_holds_from_then_on_until_it_is_taken_back(cli, gateway):
    asked = gateway(answer("\x1b[2JHello."))
    done = cli.run("shell", stdin=b"/agent on hello\n/model m hi\n/model\nfoo\r\n\xff\n/trace\n/new\n/trace\n")
    said = [(body["prompt"], body["useAgent"], body.get("modelAlias")) for body in (r.body for r in asked.requests)]
    assert said == [
        ("/agent on hello", True, None),
        ("/model m hi", True, "m"),
        ("/agent on\nfoo", True, None),
        ("/agent on\n\\xff", True, None),
    ]
    assert "conversation c1, answered by q4" in done.stdout
    assert done.stdout.rstrip().endswith("A new conversation.\nNothing was said yet.")
    assert "\x1b" not in done.stdout


def test_the_shell_shows_what_waits_and_forgets_it_with_the_conversation(cli, gateway):
    asked = gateway(answer("It waits.", **WAITS))
    done = cli.run("shell", stdin=b"run it\n/new\n/confirm\n")
    assert "Or: kitty-cli confirm p1" in done.stdout
    assert "Nothing waits in this conversation" in done.stdout
    assert [r.body["prompt"] for r in asked.requests if r.path == "/api/query/stream"] == ["run it"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 130)])
def test_ctrl_c_ends_the_answer_and_sigterm_ends_the_shell(cli, gateway, number, status):
    asked = gateway([{"type": "routing", "route": "talk", "tier": "q4"}], ending="hold")
    shell = subprocess.Popen(
        cli.command("shell"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env
    )
    shell.stdin.write(b"x\n/trace\n")
    shell.stdin.close()
    assert b"answered by q4" in shell.stderr.readline()
    shell.send_signal(number)
    said = shell.stdout.read()
    shell.stdout.close()
    shell.stderr.close()
    assert (shell.wait(20), b"Cancelled.\nNothing was said yet." in said) == (status, number == signal.SIGINT)
    assert asked.disconnected.wait(10)


def test_on_a_terminal_ctrl_c_empties_the_line_ctrl_d_leaves_and_the_history_is_private(cli, gateway, terminal):
    asked = gateway(answer())
    shell = terminal("shell")
    shell.press("/help\r", after="kitty>")
    shell.press("lost", after="leave.*kitty>")
    shell.press("\x03", after="lost")
    shell.press("\x04", after="kitty>")
    assert shell.end() == 0
    history = cli.folder / "state" / "kitty" / "shell-history"
    assert "/help" in history.read_text()
    assert "lost" not in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
    assert asked.requests == []


def test_sigterm_ends_a_shell_that_waits_for_a_line(gateway, terminal):
    gateway(answer())
    shell = terminal("shell")
    shell.press("a", after="kitty>")
    shell.kill(signal.SIGTERM)
    assert shell.end() == 130


def test_where_no_history_can_be_kept_the_shell_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "kitty" / "shell-history").mkdir(parents=True)
    assert isinstance(_history(), InMemoryHistory)
    assert "shell-history" in capsys.readouterr().err
