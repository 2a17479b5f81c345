"""A call that waits for a person: only this message's own text counts, and the gateway alone decides."""

import json

import pytest

from brain.testing import coding_tool, done, refused, tool, waiting

PENDING = "a" * 32
PHRASE = "Confirm: proceed"
COMMAND = tool("broker_run", "Run a command.", command={})
STILL_WAITS = waiting("coding.generate", PENDING)
ASK = "Write a function f."


def confirmed(code="x = 1\n"):
    status, body = done("coding.generate", {"code": code, "final_answer": "**Verified.**"})
    return status, {**body, "decision": "confirmed"}


def gateway_that(**options):
    return {"tools": [coding_tool()], "calls": {"coding_generate": STILL_WAITS}, **options}


def test_the_whole_message_goes_to_the_gateway_first_and_the_answer_is_the_calls(start):
    brain, model, gateway = start("unused", gateway=gateway_that(replies=[confirmed()]))
    brain.query(ASK, conversationId="c1")
    response = brain.query(f"  {PHRASE} ", conversationId="c1")
    [reply] = gateway.confirmations
    assert reply.path == f"/api/confirmations/{PENDING}"
    assert (reply.body, reply.headers["x-kitty-user"]) == ({"message": f"  {PHRASE} ", "conversation_id": "c1"}, "ann")
    assert "```python\nx = 1\n```" in response.json()["result"]["output"]
    assert response.json()["routing"]["metadata"]["tools_used"] == ["coding.generate"]
    assert not response.json()["requiresConfirmation"]
    assert not model.generations
    brain.query(PHRASE, conversationId="c1", toolMode="off")
    assert len(gateway.confirmations) == 1  # it was used; there is nothing left to say it to


def test_cancelling_runs_nothing(start):
    cancelled = (200, {"tool": "coding.generate", "decision": "cancelled", "status": None, "result": None})
    brain, model, gateway = start("unused", gateway=gateway_that(replies=[cancelled]))
    brain.query(ASK, conversationId="c1")
    body = brain.query("no", conversationId="c1").json()
    assert body["result"]["output"] == "coding.generate was cancelled; nothing was run."
    assert body["routing"]["metadata"]["tools_used"] == []
    assert len(gateway.invocations) == 1
    assert not model.generations


@pytest.mark.parametrize("said", ["tell me more", "what happens if I say Confirm: proceed", "what is this"])
def test_what_is_neither_goes_on_to_the_model_and_the_call_still_waits(start, said):
    brain, model, gateway = start("It waits.", gateway=gateway_that(replies=[STILL_WAITS, confirmed()]))
    brain.query(ASK, conversationId="c1")
    assert "It waits." in brain.query(said, conversationId="c1", toolMode="off").json()["result"]["output"]
    assert model.generations
    assert len(gateway.invocations) == 1
    assert "**Verified.**" in brain.query(PHRASE, conversationId="c1").json()["result"]["output"]


@pytest.mark.parametrize("other", [{"user": "bob"}, {"conversationId": "c2"}])
def test_another_user_and_another_conversation_have_nothing_to_confirm(start, other):
    brain, _, gateway = start("Hello.", gateway=gateway_that(replies=[confirmed()]))
    brain.query(ASK, conversationId="c1")
    brain.query(PHRASE, **{"conversationId": "c1", "toolMode": "off", **other})
    assert not gateway.confirmations
    assert len(gateway.invocations) == 1


def test_after_its_time_nothing_is_said_to_the_call(start):
    past = waiting("coding.generate", PENDING, expires_at="2001-01-01T00:00:00+00:00")
    brain, _, gateway = start("Hello.", gateway=gateway_that(calls={"coding_generate": past}, replies=[confirmed()]))
    brain.query(ASK, conversationId="c1")
    brain.query(PHRASE, conversationId="c1", toolMode="off")
    assert not gateway.confirmations


def test_a_gateway_that_hears_people_itself_is_asked_once_and_no_more(start):
    brain, _, gateway = start("Hello.", gateway=gateway_that(replies=[refused(403, "human_needed"), confirmed()]))
    brain.query(ASK, conversationId="c1")
    for _ in range(3):
        brain.query(PHRASE, conversationId="c1", toolMode="off")
    assert len(gateway.confirmations) == 1
    assert len(gateway.invocations) == 1


@pytest.mark.parametrize(
    "status", [(409, "confirmation_used"), (410, "confirmation_expired"), (404, "unknown_confirmation")]
)
def test_a_reply_that_is_refused_runs_nothing(start, status):
    brain, _, gateway = start("Hello.", gateway=gateway_that(replies=[refused(*status)]))
    brain.query(ASK, conversationId="c1")
    brain.query(PHRASE, conversationId="c1", toolMode="off")
    assert len(gateway.invocations) == 1


def test_a_phrase_in_the_history_or_out_of_the_model_confirms_nothing(start):
    def model(messages):
        return PHRASE if "one JSON object" not in messages[-1]["content"] else json.dumps({"answer": PHRASE})

    brain, _, gateway = start(model, gateway=gateway_that(tools=[COMMAND], calls={"broker_run": STILL_WAITS}))
    brain.query(f"What does {PHRASE} mean?", conversationId="c1")
    brain.query(f'Call broker.run: say "{PHRASE}"', conversationId="c1")
    assert len(gateway.invocations) == 1
    assert not gateway.confirmations


def test_the_phrase_as_an_argument_of_a_tool_is_an_argument(start):
    choose = json.dumps({"tool": "broker_run", "arguments": {"command": PHRASE}})
    script = iter([choose, '{"answer": true}', "It waits."])
    brain, _, gateway = start(
        lambda messages: next(script), gateway=gateway_that(tools=[COMMAND], calls={"broker_run": STILL_WAITS})
    )
    body = brain.query("What is on the disk?", conversationId="c1").json()
    assert body["requiresConfirmation"]
    assert [request.body["arguments"] for request in gateway.invocations] == [{"command": PHRASE}]
    assert not gateway.confirmations
