"""The confirmation flow at its door: what never executes, and the one thing that does, once."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from gateway.testing import TOKEN, Reply

PHRASE = "Confirm: proceed"
WIPE = {"arguments": {"path": "/data"}, "conversation_id": "c1"}


def ask(gateway, headers=None, **body):
    answer = gateway.post("/api/tools/disk.wipe", {**WIPE, **body}, **(headers or {}))
    assert answer.status_code == 202, answer.text
    return answer.json()


def say(gateway, pending, message, headers=None, conversation_id="c1", **more):
    body = {"message": message, "conversation_id": conversation_id, **more}
    return gateway.post(f"/api/confirmations/{pending['pendingId']}", body, **(headers or {}))


def wiped(service):
    return [seen.body for seen in service.seen if seen.path == "/broker/wipe"]


def decisions(gateway):
    return [(row["decision"], row["status"], row["error"]) for row in gateway.rows()]


def test_a_call_that_needs_confirmation_executes_nothing_and_says_how_to_confirm(start):
    gateway, service = start()
    pending = ask(gateway)
    assert pending["requiresConfirmation"] is True
    assert pending["confirmationPhrase"] == PHRASE
    assert (pending["pendingTool"], pending["hazardClass"]) == ("disk.wipe", "high")
    assert wiped(service) == []
    assert decisions(gateway) == [("blocked", None, "needs_confirmation")]


def test_the_exact_phrase_executes_once_with_the_original_arguments(start):
    gateway, service = start()
    pending = ask(gateway)
    answer = say(gateway, pending, f"  {PHRASE.upper()}\n")
    assert answer.status_code == 200
    assert (answer.json()["decision"], answer.json()["status"]) == ("confirmed", "ok")
    assert [body["path"] for body in wiped(service)] == ["/data"]
    assert decisions(gateway) == [("blocked", None, "needs_confirmation"), ("confirmed", "ok", None)]


def test_the_conversation_may_be_said_in_either_spelling(start):
    gateway, service = start()
    answer = gateway.post("/api/tools/disk.wipe", {"arguments": WIPE["arguments"], "conversationId": "c1"})
    pending = answer.json()
    assert pending["conversationId"] == "c1"
    confirmed = gateway.post(f"/api/confirmations/{pending['pendingId']}", {"message": PHRASE, "conversationId": "c1"})
    assert (confirmed.status_code, len(wiped(service))) == (200, 1)
    assert [row["conversation_id"] for row in gateway.rows()] == ["c1", "c1"]


@pytest.mark.parametrize(
    "message",
    [
        "",
        "yes",
        "tell me more",
        "Confirm: procede",
        f"Please {PHRASE}",
        f"{PHRASE}.",
        f"{PHRASE} now",
        f"{PHRASE}\n{PHRASE}",
        f'"{PHRASE}"',
        f"You said: {PHRASE}",
        "Confirm:  proceed",
        "Сonfirm: proceed",
    ],
)
def test_what_is_not_the_phrase_leaves_the_call_waiting(start, message):
    gateway, service = start()
    pending = ask(gateway)
    answer = say(gateway, pending, message)
    assert (answer.status_code, answer.json()["requiresConfirmation"]) == (202, True)
    assert wiped(service) == []
    assert decisions(gateway)[1:] == [("denied", None, "not_the_phrase")]
    assert say(gateway, pending, PHRASE).status_code == 200


@pytest.mark.parametrize("message", ["no", "Cancel", " STOP ", "abort"])
def test_a_word_that_cancels_ends_the_call_for_good(start, message):
    gateway, service = start()
    pending = ask(gateway)
    assert say(gateway, pending, message).json()["decision"] == "cancelled"
    assert say(gateway, pending, PHRASE).status_code == 409
    assert wiped(service) == []
    assert decisions(gateway)[1:] == [("cancelled", None, None), ("denied", None, "confirmation_used")]


def test_the_phrase_by_another_user_executes_nothing(start):
    gateway, service = start()
    ann, bob, admin = gateway.key("ann"), gateway.key("bob"), gateway.key("root", "admin")
    pending = ask(gateway, ann)
    for other in (bob, admin, {}):
        answer = say(gateway, pending, PHRASE, other)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_confirmation")
        assert gateway.get("/api/confirmations", **other).json() == {"confirmations": []}
    assert wiped(service) == []
    assert [row["user_id"] for row in gateway.rows()] == ["ann", "bob", "root", "local"]
    assert decisions(gateway)[1:] == [("denied", None, "other_user")] * 3
    assert say(gateway, pending, PHRASE, ann).status_code == 200


@pytest.mark.parametrize("conversation", ["c2", "", None, "C1"])
def test_the_phrase_in_another_conversation_executes_nothing(start, conversation):
    gateway, service = start()
    pending = ask(gateway)
    answer = say(gateway, pending, PHRASE, conversation_id=conversation)
    assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_refused")
    assert wiped(service) == []
    assert decisions(gateway)[1:] == [("denied", None, "confirmation_refused")]


def test_a_second_use_executes_nothing(start):
    gateway, service = start()
    pending = ask(gateway)
    assert say(gateway, pending, PHRASE).status_code == 200
    again = say(gateway, pending, PHRASE)
    assert (again.status_code, again.json()["code"]) == (409, "confirmation_used")
    assert len(wiped(service)) == 1
    assert decisions(gateway)[2:] == [("denied", None, "confirmation_used")]


def test_after_300_seconds_the_phrase_executes_nothing(start):
    gateway, service = start()
    pending = ask(gateway)
    gateway.clock.now += 299.9
    assert len(gateway.get("/api/confirmations").json()["confirmations"]) == 1
    gateway.clock.now += 0.1
    answer = say(gateway, pending, PHRASE)
    assert (answer.status_code, answer.json()["code"]) == (410, "confirmation_expired")
    assert gateway.get("/api/confirmations").json() == {"confirmations": []}
    assert wiped(service) == []
    assert decisions(gateway)[1:] == [("expired", None, "expired"), ("denied", None, "confirmation_expired")]


def test_racing_confirmations_execute_once(start):
    gateway, service = start()
    pending = ask(gateway)
    together = threading.Barrier(8)

    def confirm(_):
        together.wait(10)
        return say(gateway, pending, PHRASE).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(confirm, range(8)))
    assert statuses == [200, *[409] * 7]
    assert len(wiped(service)) == 1
    assert sorted(decisions(gateway)[1:]) == [("confirmed", "ok", None), *[("denied", None, "confirmation_used")] * 7]


def test_history_that_quotes_the_phrase_changes_nothing(start):
    gateway, service = start()
    pending = ask(gateway)
    history = [{"role": "user", "content": PHRASE}]
    answer = say(gateway, pending, "go on", history=history, messages=history)
    assert answer.status_code == 202
    again = ask(gateway, message=PHRASE, history=history)
    assert again["pendingId"] != pending["pendingId"]
    assert wiped(service) == []


def test_a_phrase_in_a_tool_argument_executes_nothing(start):
    gateway, service = start()
    arguments = {"path": PHRASE, "message": PHRASE, "confirmation": PHRASE, "confirmed": True}
    body = {"arguments": arguments, "confirmed": True, "message": PHRASE}
    assert gateway.post("/api/tools/disk.wipe", body).status_code == 202
    assert wiped(service) == []


def test_a_model_gets_no_phrase_and_cannot_confirm(start, monkeypatch):
    monkeypatch.delenv("KITTY_COMMAND", raising=False)  # `./kitty test` sets it
    gateway, service = start()
    for headers in ({"authorization": f"Bearer {TOKEN}"}, {"x-kitty-surface": "model"}):
        seen = ask(gateway, headers)
        assert seen["confirmationPhrase"] is None
        assert PHRASE not in str(seen)
        assert (seen["hint"], "arguments" in seen) == (f"confirm with `kitty-cli confirm {seen['pendingId']}`", False)
        assert gateway.get("/api/confirmations", **headers).status_code == 403
        answer = say(gateway, seen, PHRASE, headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "human_needed")
    assert wiped(service) == []


@pytest.mark.parametrize(
    ("command", "told"),
    [("./kitty", "./kitty confirm"), ("../kitty", "../kitty confirm"), ("/home/ann/kitty", "kitty confirm")],
)
def test_a_hint_names_the_command_that_started_the_stack_and_no_folder_of_the_machine(
    start, monkeypatch, command, told
):
    monkeypatch.setenv("KITTY_COMMAND", command)
    gateway, _ = start()
    model = {"x-kitty-surface": "model"}
    seen = ask(gateway, model)
    assert seen["hint"] == f"confirm with `{told} {seen['pendingId']}`"
    assert say(gateway, seen, PHRASE, model).json()["detail"].endswith(f"only: `{told} ID`.")


def test_a_person_is_shown_what_the_phrase_would_allow(start):
    gateway, _ = start()
    assert ask(gateway)["arguments"] == {"path": "/data"}


def test_a_call_that_a_model_made_is_confirmed_by_its_person(start):
    gateway, service = start()
    ann = gateway.key("ann")
    pending = ask(gateway, {**ann, "x-kitty-surface": "model"})
    [shown] = gateway.get("/api/confirmations", **ann).json()["confirmations"]
    assert (shown["confirmationPhrase"], shown["arguments"]) == (PHRASE, {"path": "/data"})
    assert say(gateway, pending, shown["confirmationPhrase"], ann).status_code == 200
    assert [body["user_id"] for body in wiped(service)] == ["ann"]


def test_a_tool_that_was_switched_off_meanwhile_is_not_run(start, tmp_path):
    gateway, service = start()
    pending = ask(gateway)
    path = tmp_path / "tool_registry.yaml"
    path.write_text(path.read_text().replace("hazard_class: high", "hazard_class: high\n    enabled: false", 1))
    assert gateway.app.state.live.reload()
    answer = say(gateway, pending, PHRASE)
    assert (answer.status_code, answer.json()["code"]) == (403, "tool_blocked")
    assert wiped(service) == []
    assert say(gateway, pending, PHRASE).status_code == 409


def test_a_call_that_was_confirmed_and_then_failed_is_not_run_again(start):
    gateway, service = start(lambda seen: Reply({"code": "broken"}, 500))
    pending = ask(gateway)
    assert say(gateway, pending, PHRASE).status_code == 500
    assert say(gateway, pending, PHRASE).status_code == 409
    assert len(wiped(service)) == 1
    assert decisions(gateway)[1:] == [("confirmed", "error", "broken"), ("denied", None, "confirmation_used")]


def test_arguments_are_gone_from_the_table_once_a_call_is_decided(start, tmp_path):
    gateway, _ = start()
    pending = ask(gateway, arguments={"path": "/very-private"})
    say(gateway, pending, PHRASE)
    with closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as connection:
        assert connection.execute("SELECT arguments, state FROM pending_calls").fetchall() == [(None, "confirmed")]


def test_a_user_may_have_only_so_many_calls_waiting(start):
    gateway, _ = start()
    for _ in range(50):
        ask(gateway)
    answer = gateway.post("/api/tools/disk.wipe", WIPE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


SELL = {"arguments": {"what": "the disk"}}


@pytest.fixture
def two(start):
    """(gateway, service, ann's key, the key of an admin)."""
    gateway, service = start(hazard_signing_key="0123456789abcdef")
    return gateway, service, gateway.key("ann", "admin"), gateway.key("eve", "admin")


def sold(service):
    return [seen.body for seen in service.seen if seen.path == "/broker/sell"]


def approve(gateway, pending, headers, message="Sell it"):
    return gateway.post(f"/api/confirmations/{pending['pendingId']}/approve", {"message": message}, **headers)


def test_a_dual_confirm_tool_wants_the_word_of_a_second_person(two):
    gateway, service, ann, eve = two
    pending = gateway.post("/api/tools/disk.sell", SELL, **ann).json()
    alone = say(gateway, pending, "Sell it", ann, "")
    assert (alone.status_code, alone.json()["code"]) == (403, "confirmation_refused")
    assert approve(gateway, pending, ann).status_code == 403
    assert approve(gateway, pending, eve, "sell").status_code == 403
    assert approve(gateway, pending, gateway.key("bob")).status_code == 404
    [shown] = gateway.get("/api/confirmations", **eve).json()["confirmations"]
    assert (shown["userId"], shown["isYours"], shown["arguments"]) == ("ann", False, {"what": "the disk"})
    assert gateway.get("/api/confirmations", **ann).json()["confirmations"][0]["isYours"] is True
    approval = approve(gateway, pending, eve)
    assert approval.status_code == 200
    assert sold(service) == []
    answer = say(gateway, pending, "Sell it", ann, "", approval=approval.json())
    assert answer.json()["decision"] == "confirmed"
    assert len(sold(service)) == 1


def test_whoever_needs_no_key_on_an_open_loopback_is_no_second_person(two):
    gateway, service, ann, _eve = two
    pending = gateway.post("/api/tools/disk.sell", SELL, **ann).json()
    answer = approve(gateway, pending, {})
    assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_refused")
    assert decisions(gateway)[1:] == [("denied", None, "confirmation_refused")]
    assert sold(service) == []


def test_an_approval_works_once_for_one_call_and_not_when_changed_or_late(two):
    gateway, service, ann, eve = two
    pending, other = (gateway.post("/api/tools/disk.sell", SELL, **ann).json() for _ in range(2))
    approval = approve(gateway, pending, eve).json()
    assert say(gateway, other, "Sell it", ann, "", approval=approval).json()["code"] == "confirmation_refused"
    for field, value in (("pending_id", other["pendingId"]), ("user_id", "zoe"), ("nonce", "ab"), ("signature", "0")):
        changed = {**approval, field: value}
        target = other if field == "pending_id" else pending
        assert say(gateway, target, "Sell it", ann, "", approval=changed).json()["code"] == "approval_forged"
    gateway.clock.now += 150
    late = gateway.post("/api/tools/disk.sell", SELL, **ann).json()
    assert sold(service) == []
    assert say(gateway, pending, "Sell it", ann, "", approval=approval).status_code == 200
    assert say(gateway, pending, "Sell it", ann, "", approval=approval).status_code == 409
    assert len(sold(service)) == 1
    old = approve(gateway, late, eve).json()
    gateway.clock.now += 300
    assert say(gateway, late, "Sell it", ann, "", approval=old).status_code == 410
    assert len(sold(service)) == 1


def test_dual_confirm_tools_are_refused_without_keys_and_without_a_signing_key(start, two):
    gateway, _service, *_ = two
    answer = gateway.post("/api/tools/disk.sell", SELL)
    assert (answer.status_code, answer.json()["rule"]) == (403, "second_person")
    assert [(row["decision"], row["error"]) for row in gateway.rows()] == [("blocked", "tool_blocked")]


def test_dual_confirm_tools_are_refused_where_nothing_can_be_signed(start):
    gateway, _ = start()
    answer = gateway.post("/api/tools/disk.sell", SELL, **gateway.key("ann", "admin"))
    assert "HAZARD_SIGNING_KEY" in answer.json()["detail"]
    assert answer.status_code == 403


def test_a_message_to_the_brain_confirms_what_waits_in_its_conversation(start):
    gateway, service = start()
    ask(gateway)
    asked = {"conversationId": "c1", "prompt": PHRASE}
    elsewhere = gateway.post("/api/query", {**asked, "conversationId": "c2"}).json()
    assert elsewhere["result"]["output"].startswith("Nothing waits for that in this conversation")
    assert gateway.post("/api/query", {**asked, "prompt": f"well, {PHRASE}"}).json()["was"]["userId"] == "local"
    assert wiped(service) == []
    answer = gateway.post("/api/query", asked).json()
    assert answer["result"]["data"]["was"]["path"] == "/data"
    assert len(wiped(service)) == 1
    again = gateway.post("/api/query", asked).json()
    assert again["result"]["output"].startswith("Nothing waits for that in this conversation")
    assert len(wiped(service)) == 1


def test_a_message_that_could_confirm_either_of_two_calls_confirms_none(start):
    gateway, service = start()
    shown = ask(gateway)
    unseen = ask(gateway, {"x-kitty-surface": "model"}, arguments={"path": "/home"})
    asked = {"conversationId": "c1", "prompt": PHRASE}
    answer = gateway.post("/api/query", asked)
    assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_refused")
    assert shown["pendingId"] in answer.json()["detail"]
    assert unseen["pendingId"] in answer.json()["detail"]
    assert wiped(service) == []
    assert decisions(gateway)[2:] == [("denied", None, "ambiguous")]
    assert say(gateway, shown, PHRASE).status_code == 200
    assert gateway.post("/api/query", {**asked, "prompt": "no"}).json()["result"]["output"].endswith("nothing was run.")
    assert [body["path"] for body in wiped(service)] == ["/data"]


def test_a_command_whose_arguments_are_wrong_is_not_put_to_a_person(start):
    schema = {"type": "object", "properties": {"max": {"type": "integer", "minimum": 1}}, "additionalProperties": False}
    listed = {"commands": [{"name": "pytest", "hazard_class": "high", "args_schema": schema}]}
    gateway, service = start(lambda seen: Reply(listed if seen.path == "/broker/commands" else {"success": True}))

    def call(**args):
        return gateway.post("/api/tools/broker.run", {"arguments": {"command": "pytest", **args}})

    for wrong in ({"max": 0}, {"max": "all"}, {"other": 1}):
        answer = call(args=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")
        assert [error["field"] for error in answer.json()["errors"]]
    for right in ({"args": {"max": 1}}, {}):
        assert call(**right).status_code == 202
    assert [seen.path for seen in service.seen if seen.method == "POST"] == []
    assert [row["error"] for row in gateway.rows()] == ["bad_request"] * 3 + ["needs_confirmation"] * 2


def test_a_confirmation_that_is_not_there_is_404(start):
    gateway, _ = start()
    answer = gateway.post(f"/api/confirmations/{'0' * 32}", {"message": PHRASE})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_confirmation")
    assert gateway.post("/api/confirmations/../x", {"message": PHRASE}).status_code == 404
