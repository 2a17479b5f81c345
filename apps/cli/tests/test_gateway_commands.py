"""`tools`, `confirm` and `keys` against a scripted gateway on loopback."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ID = "a" * 32
CALL = {
    "pendingId": ID,
    "pendingTool": "disk.wipe",
    "hazardClass": "high",
    "conversationId": "c1",
    "confirmationPhrase": "Confirm: proceed",
    "arguments": {"path": "/data\x1b[2J"},
    "userId": "ann",
    "expiresAt": "2026-01-01T00:00:00+00:00",
}
TOOL = {
    "name": "disk.wipe",
    "description": "Wipes.",
    "hazard_class": "high",
    "requires_confirmation": True,
    "enabled": True,
}


class Scripted(ThreadingHTTPServer):
    """Answers as a gateway does; what was said to it is in `said`."""

    said: list[tuple[str, str | None, dict[str, str]]]
    tools: object
    calls: object
    result: object


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        listed = {
            "/api/tools": {"tools": self.server.tools},
            "/api/confirmations": {"confirmations": self.server.calls},
        }
        self._answer(200, listed[self.path])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.said.append((self.path, self.headers["authorization"], body))
        if body["message"] == "late":
            self._answer(410, {"code": "confirmation_expired", "detail": "Too late."})
        elif body["message"] == CALL["confirmationPhrase"]:
            self._answer(200, {"decision": "confirmed", "status": "ok", "result": self.server.result})
        elif body["message"].strip() == "fails":
            self._answer(200, {"decision": "confirmed", "status": "failed", "result": {"said": "\u202ex"}})
        elif body["message"] == "no":
            self._answer(200, {"decision": "cancelled", "status": None, "result": None})
        else:
            self._answer(202, {**CALL, "requiresConfirmation": True})

    def _answer(self, status: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def gateway() -> Iterator[Scripted]:
    server = Scripted(("127.0.0.1", 0), Handler)
    server.said, server.tools, server.calls, server.result = [], [TOOL], [CALL], {"wiped": 1}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def env_for(gateway: Scripted) -> dict[str, str]:
    """A gateway on loopback is asked without the proxy, which here is none."""
    base, proxy = f"http://127.0.0.1:{gateway.server_port}", "http://127.0.0.1:9"
    return {"KITTY_API_BASE": base, "KITTY_API_KEY": "kitty_k", "HTTP_PROXY": proxy, "http_proxy": proxy}


@pytest.fixture
def ask(cli, gateway):
    def ask(*words):
        return cli.run(*words, **env_for(gateway))

    return ask


def test_tools_says_what_there_is_and_what_needs_a_word(ask):
    done = ask("tools")
    assert done.returncode == 0
    assert "disk.wipe" in done.stdout
    assert "needs your word" in done.stdout
    assert json.loads(ask("tools", "--json").stdout)["tools"] == [TOOL]


BROKER = TOOL | {
    "name": "broker.run",
    "hazard_from": "command",
    "commands": [
        {"name": "disk.usage", "description": "Room\nleft.", "hazard_class": "none", "available": True, "reason": None},
        {"name": "git.log", "description": "Commits.", "hazard_class": "none", "available": False, "reason": "No git."},
        {"name": "pytest.run", "description": "Tests.", "hazard_class": "high"},
    ],
}


def test_tools_lists_the_commands_under_the_tool_that_runs_them(ask, gateway):
    gateway.tools = [BROKER]
    shown = ask("tools").stdout
    assert shown.splitlines()[2:] == [
        "    disk.usage       hazard none    Room left.",
        "    git.log          hazard none    Commits. Not available here: No git.",
        "    pytest.run       hazard high    Tests.",
    ]
    assert "needs your word" not in shown
    said = ask("say", "/tools").stdout
    assert said.splitlines()[1:] == shown.splitlines()[2:]


def test_while_the_broker_is_away_tools_says_that_its_commands_are_not_known(ask, gateway):
    gateway.tools = [BROKER | {"commands": []}]
    assert "the broker does not answer" in ask("tools").stdout
    gateway.tools = [BROKER | {"commands": [], "enabled": False}]
    assert "the broker does not answer" not in ask("tools").stdout


def test_a_tool_that_is_switched_off_says_so_and_no_list_is_no_fault_of_ours(ask, gateway):
    gateway.tools = [TOOL | {"enabled": False}, TOOL | {"requires_confirmation": False}]
    shown = ask("tools").stdout
    assert [words in shown for words in ("switched off", "runs when called", "needs your word")] == [True, True, False]
    gateway.tools = gateway.calls = None
    for words in (("tools",), ("confirm",)):
        done = ask(*words)
        assert (done.returncode, "Traceback" in done.stderr, "sent no list" in done.stderr) == (6, False, True)


def test_confirm_sends_the_message_with_the_calls_own_conversation(ask, gateway):
    done = ask("confirm", ID, "Confirm: proceed")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"wiped": 1})
    body = {"message": "Confirm: proceed", "conversation_id": "c1"}
    assert gateway.said == [(f"/api/confirmations/{ID}", "Bearer kitty_k", body)]


def test_an_id_names_one_call_whatever_it_holds(ask, gateway):
    gateway.calls = [CALL | {"pendingId": "a b/c?d"}]
    assert ask("confirm", "a b/c?d", "no").returncode == 0
    assert [path for path, *_ in gateway.said] == ["/api/confirmations/a%20b%2Fc%3Fd"]


@pytest.mark.parametrize(("message", "status", "words"), [("yes", 1, "still waits"), ("no", 0, "Cancelled")])
def test_what_is_not_the_phrase_runs_nothing_and_says_so(ask, message, status, words):
    done = ask("confirm", ID, message)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr


def test_confirm_without_a_message_shows_the_call_and_waits_for_no_input_that_is_no_terminal(ask, gateway):
    done = ask("confirm", ID)
    assert done.returncode == 2
    assert '\n  path: "/data\\u001b[2J"\n' in done.stderr
    assert f"confirm {ID} 'Confirm: proceed'" in done.stderr
    assert "\x1b" not in done.stderr
    assert gateway.said == []
    assert ID in ask("confirm").stdout


def test_a_tool_that_failed_is_no_success_and_its_words_act_on_no_terminal(ask):
    done = ask("confirm", ID, "fails")
    assert (done.returncode, json.loads(done.stdout)) == (1, {"said": "�x"})
    answer = ask("confirm", ID, "fails", "--json")
    assert (answer.returncode, json.loads(answer.stdout)["status"]) == (1, "failed")


ENDING = {
    "success": False,
    "command": "pytest.run",
    "stdout": "1 failed\x1b[2J\n",
    "stderr": "a warning",
    "exit_code": 1,
    "timeout_exceeded": False,
    "error": None,
    "stdout_discarded": 0,
    "stderr_discarded": 0,
    "seconds": 0.5,
    "hazard_class": "high",
}


@pytest.mark.parametrize(
    ("more", "stdout", "stderr"),
    [
        ({}, "1 failed␛[2J\n", "a warning\npytest.run ended with exit code 1.\n"),
        ({"exit_code": 0}, "1 failed␛[2J\n", "a warning\n"),
        (
            {"stdout": "", "stderr": "", "exit_code": 0},
            "",
            "pytest.run ended with exit code 0 and printed nothing.\n",
        ),
        (
            {"stderr": "", "exit_code": None, "timeout_exceeded": True, "error": "Too late.", "stdout_discarded": 9},
            "1 failed␛[2J\n",
            "pytest.run wrote 9 bytes more to stdout, which were not kept.\nToo late.\n",
        ),
        (
            {"stdout": "", "stderr": "", "exit_code": None, "error": "Not started."},
            "",
            "Not started.\n",
        ),
    ],
)
def test_a_commands_output_comes_as_the_command_wrote_it_and_then_how_it_ended(ask, gateway, more, stdout, stderr):
    gateway.result = ENDING | more
    done = ask("confirm", ID, "Confirm: proceed")
    assert (done.returncode, done.stdout, done.stderr) == (0, stdout, stderr)
    assert json.loads(ask("confirm", ID, "Confirm: proceed", "--json").stdout)["result"] == gateway.result


def test_confirmed_code_is_shown_as_code_and_a_text_as_it_is(ask, gateway):
    gateway.result = {"code": "x = 1\n", "verdict": "verified", "final_answer": "Well."}
    done = ask("confirm", ID, "Confirm: proceed")
    assert (done.stdout, "Verified" in done.stderr) == ("x = 1\n", True)
    gateway.result = "Three files."
    assert ask("confirm", ID, "Confirm: proceed").stdout == "Three files.\n"


def test_what_waits_as_json_and_that_nothing_waits(ask, gateway):
    assert json.loads(ask("confirm", "--json").stdout) == {"confirmations": [CALL]}
    gateway.calls = []
    done = ask("confirm")
    assert (done.returncode, done.stdout, "Nothing waits" in done.stderr) == (0, "", True)


def test_on_a_terminal_confirm_asks_and_an_end_of_input_says_nothing(terminal, gateway):
    asked = terminal("confirm", ID, **env_for(gateway))
    asked.press("\x04", after="> $")
    assert (asked.end(), gateway.said) == (2, [])
    assert "still waits" in asked.shown
    asked = terminal("confirm", ID, **env_for(gateway))
    asked.press("fails\n", after="> $")
    assert asked.end() == 1
    assert [body["message"] for _, _, body in gateway.said] == ["fails\n"]


def test_refusals_have_their_exit_status(ask, cli):
    late = ask("confirm", ID, "late")
    assert (late.returncode, "Too late." in late.stderr) == (2, True)
    assert ask("confirm", "b" * 32, "x").returncode == 2
    gone = cli.run("tools", KITTY_API_BASE="http://127.0.0.1:9")
    assert gone.returncode == 3
    assert "No gateway answers" in gone.stderr


def test_keys_is_the_gateways_own_command(cli):
    made = cli.run("keys", "create", "--user", "ann", "--role", "admin")
    assert made.returncode == 0
    assert made.stdout.startswith("kitty_")
    listed = cli.run("keys", "list", "--json")
    assert [key["user_id"] for key in json.loads(listed.stdout)] == ["ann"]
    assert made.stdout.strip() not in listed.stdout


def test_a_key_without_a_user_is_that_of_who_is_logged_in(cli):
    made = cli.run("keys", "create", "--role", "admin", "--json", LOGNAME="tom")
    assert (made.returncode, json.loads(made.stdout)["user_id"]) == (0, "tom")
    for name in ("Tom Thumb", "local"):
        refused = cli.run("keys", "create", "--role", "admin", LOGNAME=name)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"--user: {name!r} is no name for a user" in refused.stderr
