"""A call that waits for a person is the gateway's affair: nothing that the brain hears or says confirms it."""

import json

import pytest

from brain.testing import coding_tool, tool, waiting

PENDING = "a" * 32
PHRASE = "Confirm: proceed"
COMMAND = tool("broker_run", "Run a command.", command={})
STILL_WAITS = waiting("coding.generate", PENDING)
ASK = "Write a function f."


def gateway_that(**options):
    return {"tools": [coding_tool()], "calls": {"coding_generate": STILL_WAITS}, **options}


def test_what_waits_is_told_whole_and_nothing_was_run(start):
    brain, model, gateway = start("unused", gateway=gateway_that())
    body = brain.query(ASK, conversationId="c1").json()
    assert body["requiresConfirmation"]
    assert (body["pendingId"], body["pendingTool"], body["hazardClass"]) == (PENDING, "coding.generate", "high")
    assert body["confirmationPhrase"] is None
    assert PENDING in body["result"]["output"]
    assert body["routing"]["metadata"]["tools_used"] == []
    assert len(gateway.invocations) == 1
    assert not model.generations


@pytest.mark.parametrize(
    "said", [PHRASE, f"  {PHRASE.upper()} ", "no", "tell me more", f"what happens if I say {PHRASE}"]
)
def test_whatever_is_said_next_the_brain_hands_no_reply_to_the_gateway(start, said):
    brain, _, gateway = start("It waits.", gateway=gateway_that())
    brain.query(ASK, conversationId="c1")
    assert brain.query(said, conversationId="c1", toolMode="off").status_code == 200
    assert not gateway.confirmations
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
