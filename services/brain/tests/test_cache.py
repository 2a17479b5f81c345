"""What is answered out of the cache, and what never."""

import pytest

from brain.testing import coding_tool, done, tool, waiting

MEMORY = tool("memory_search", "Search.", query={})


def test_the_same_words_are_answered_without_the_model(start):
    brain, model, _ = start("It is blue.")
    first = brain.query("what colour is the sky").json()
    second = brain.query("  what colour  is the sky ").json()
    assert (first["routing"]["cached"], second["routing"]["cached"]) == (False, True)
    assert second["result"]["output"] == "It is blue."
    assert second["routing"]["tier"] == "cache"
    assert len(model.generations) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("what is 2 + 2", "what is 2 + 3"),
        ("what is safe to eat", "what is not safe to eat"),
        ("what is user_id", "what is user_ids"),
    ],
)
def test_words_that_are_nearly_the_same_are_not(start, first, second):
    brain, model, _ = start("Yes.")
    brain.query(first)
    assert not brain.query(second).json()["routing"]["cached"]
    assert len(model.generations) == 2


def test_another_user_other_tools_another_model_and_another_manner_are_other_questions(start):
    brain, model, gateway = start("Yes.", model={"model": "m2"})
    brain.query("what is up")
    for fields in ({"user": "bob"}, {"modelAlias": "m2"}, {"verbosity": 5}, {"forceTier": "f16"}):
        assert not brain.query("what is up", **fields).json()["routing"]["cached"]
    gateway.digest = "d2"
    assert not brain.query("what is up").json()["routing"]["cached"]
    assert len(model.generations) == 6


def test_a_conversation_that_has_begun_is_never_answered_out_of_the_cache(start):
    brain, model, _ = start("Yes.")
    brain.query("what is up")
    brain.query("what is new", conversationId="c1")
    assert not brain.query("what is up", conversationId="c1").json()["routing"]["cached"]
    assert len(model.generations) == 3


def test_what_a_tool_gave_is_never_kept(start):
    script = ['{"tool": "memory_search", "arguments": {"query": "x"}}', '{"answer": true}', "Red."] * 2
    brain, _, gateway = start(
        script, gateway={"tools": [MEMORY], "calls": {"memory_search": done("memory.search", "x")}}
    )
    for _ in range(2):
        assert not brain.query("what did I say").json()["routing"]["cached"]
    assert len(gateway.invocations) == 2


@pytest.mark.parametrize("answer", [done("coding.generate", {"code": "x = 1"}), waiting("coding.generate")])
def test_code_and_what_waits_for_a_person_are_never_kept(start, answer):
    brain, _, gateway = start("unused", gateway={"tools": [coding_tool()], "calls": {"coding_generate": answer}})
    for _ in range(2):
        assert not brain.query("Write a function f.").json()["routing"]["cached"]
    assert len(gateway.invocations) == 2


def test_an_answer_that_was_cut_off_or_a_question_back_is_not_kept(start):
    brain, model, _ = start("no json at all")
    for _ in range(2):
        assert not brain.query("fib").json()["routing"]["cached"]
    assert len(model.generations) == 6
