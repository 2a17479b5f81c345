"""`say` and `shell`, against a scripted gateway over real HTTP."""

import json

import pytest

CODE = "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"


def answer(output="Hello.", **more):
    """A brain's answer, as the last event of `/api/query/stream`."""
    result = {
        "conversationId": "c1",
        "intent": "query",
        "result": {"output": output},
        "routing": {"tier": "q4", "confidence": 0.9, "metadata": {"tools_used": [], "agent_steps": []}},
        "requiresConfirmation": False,
    }
    return [{"type": "routing", "route": "talk", "tier": "q4"}, {"type": "complete", "result": result | more}]


def coded(verdict):
    steps = [{"step": "invoke", "tool": "coding.generate", "status": "ok", "verdict": verdict}]
    routing = {"tier": "q4", "metadata": {"tools_used": ["coding.generate"], "agent_steps": steps}}
    return answer(f"```python\n{CODE}```", routing=routing)


WAITS = {"requiresConfirmation": True, "pendingTool": "broker.run", "pendingId": "p1", "hazardClass": "high"}
WAITING = {"confirmations": [{"pendingId": "p1", "confirmationPhrase": "Confirm: proceed"}]}


@pytest.fixture
def gateway(scripted, cli):
    """Starts a scripted gateway that answers with the events given, and tells the command line where it is."""

    def start(events, **options):
        running = scripted(events, path="/api/query/stream", **options)
        cli.env["KITTY_API_BASE"] = running.base_url
        return running

    return start


def test_the_answer_is_on_stdout_and_the_steps_are_on_stderr(cli, gateway):
    asked = gateway(answer("2 and 2 are 4."))
    done = cli.run("say", "what is 2+2?")
    assert (done.returncode, done.stdout) == (0, "2 and 2 are 4.\n")
    assert "talk, answered by q4" in done.stderr
    assert asked.requests[0].body["prompt"] == "what is 2+2?"
    assert "useAgent" not in asked.requests[0].body


@pytest.mark.parametrize(
    "message", ["{}", 'f("{x}") == \'"\'', "```python\nx = {1: {2}}\n```", "schreibe größte(a) 你好"]
)
def test_a_message_arrives_to_the_letter(cli, gateway, message):
    asked = gateway(answer())
    assert cli.run("say", f"/agent on. {message}").returncode == 0
    body = asked.requests[0].body
    assert (body["prompt"], body["useAgent"], body["toolMode"]) == (message, True, "auto")


@pytest.mark.parametrize(("verdict", "status"), [("verified", 0), ("tests_failed", 1), ("budget_exhausted", 5)])
def test_where_code_was_written_its_verdict_is_the_exit_status(cli, gateway, verdict, status):
    gateway(coded(verdict))
    done = cli.run("say", "write fib(n)")
    assert done.returncode == status
    assert CODE in done.stdout
    assert f"verdict: {verdict}" in done.stderr


def test_a_call_that_waits_is_shown_with_the_phrase_that_a_person_may_know(cli, gateway):
    gateway(answer("broker.run waits.", **WAITS), documents={"/api/confirmations": WAITING})
    done = cli.run("say", "run the tests")
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


def test_without_a_stack_it_says_how_to_start_one(cli, free_ports):
    done = cli.run("say", "x", KITTY_API_BASE=f"http://127.0.0.1:{free_ports(1)[0]}", KITTY_COMMAND="./kitty")
    assert done.returncode != 0
    assert "Start the stack with `./kitty up`" in done.stderr


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


def test_confirm_in_the_shell_says_the_phrase_in_the_same_conversation(cli, gateway):
    asked = gateway(answer("It waits.", **WAITS), documents={"/api/confirmations": WAITING})
    done = cli.run("shell", stdin=b"/confirm\nrun it\n/confirm yes\n/confirm\n")
    said = [request.body for request in asked.requests if request.path == "/api/query/stream"]
    assert "Nothing waits in this conversation" in done.stdout
    assert "The phrase is: Confirm: proceed" in done.stdout
    assert [body["prompt"] for body in said] == ["run it", "Confirm: proceed"]
    assert said[0]["conversationId"] == said[1]["conversationId"]


def test_the_shell_lists_tools_and_models(cli, gateway):
    tools = {"tools": [{"name": "coding.generate", "hazard_class": "low", "description": "Writes.", "enabled": False}]}
    models = {"models": [{"alias": "kitty-q4", "state": "ok"}]}
    gateway(answer(), documents={"/api/tools": tools, "/api/routing/models": models})
    done = cli.run("shell", stdin=b"/tools\n/models\n")
    assert "coding.generate [low] (disabled): Writes." in done.stdout
    assert "kitty-q4, ok" in done.stdout
