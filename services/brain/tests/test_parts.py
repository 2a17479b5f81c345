"""The pure parts: confidence, decoding, history, cache, thoughts, JSON with liberties."""

import json

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brain.asking import label_in
from brain.cache import AnswerCache, Key, normalised
from brain.confidence import CONFIDENT, Vote, believe, margin
from brain.decoding import choice_schema, fitted, for_decoding
from brain.door import Offer
from brain.history import Exchange, Histories, newest
from brain.relaxed_json import read_value
from brain.testing import broker_tool
from brain.thoughts import SpokenStream
from kitty_llm import Token

LABELS = ("coding", "talk")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
SCHEMA = {
    "type": "object",
    "required": ["request"],
    "properties": {
        "request": {"type": "string", "minLength": 1, "maxLength": 20_000, "description": "What to write."},
        "files": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 200_000}},
        "tier": {"type": "string", "enum": ["fast", "deep"], "default": "fast"},
        "user_id": {"type": "string"},
    },
}


@settings(deadline=None, max_examples=50)
@given(VALUES)
def test_what_is_json_means_the_same_with_and_without_liberties(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1), repr(value)):
        found = read_value(text)
        assert found is not None
        assert found == (value, len(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': True, 'b': None,}", {"a": True, "b": None}),
        ("[1, 2,]", [1, 2]),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        (r"'it\'s \x41 \u00e9'", "it's A é"),
        (r'"keeps \d"', r"keeps \d"),
    ],
)
def test_the_liberties_of_models_are_understood(text, value):
    assert read_value(text) == (value, len(text))


@pytest.mark.parametrize(
    "text", ["{", "{1: 2}", '{"a" 1}', "[1 2]", "'open", "nope", "1.2.3", "", "{'a': \\}", "[" * 99]
)
def test_what_is_no_value_is_none(text):
    assert read_value(text) is None


def test_three_votes_that_agree_are_surer_than_two_of_three():
    yes, no, invalid = Vote("coding"), Vote("talk"), Vote(None)
    assert believe([yes, yes, yes]).confidence > believe([yes, no, yes]).confidence >= CONFIDENT
    assert believe([yes, no, yes]).label == "coding"
    assert believe([yes, invalid, no]).confidence < CONFIDENT
    assert believe([invalid] * 3).label is None
    assert believe([yes]).confidence < CONFIDENT


def test_a_margin_makes_one_vote_enough_and_a_toss_of_a_coin_makes_two_too_few():
    assert believe([Vote("coding", 0.9)]).confidence >= CONFIDENT
    assert believe([Vote("coding", 0.05)]).confidence < CONFIDENT
    assert believe([Vote("coding", 0.05), Vote("talk"), Vote("coding")]).confidence < CONFIDENT


def test_the_margin_is_read_where_the_labels_part():
    tokens = [Token('{"', {}), Token("route", {}), Token('": "', {}), Token("cod", {"cod": -0.1, "talk": -2.3})]
    tokens += [Token("ing", {"ing": 0.0}), Token('"}', {})]
    assert margin(tokens, "coding", LABELS) == pytest.approx(0.80, abs=0.02)
    glued = [Token('{"route":', {}), Token(' "coding', {' "coding': -0.7, ' "talk': -0.7, "x": -0.1}), Token('"}', {})]
    assert margin(glued, "coding", LABELS) == pytest.approx(0.0)
    assert margin([], "coding", LABELS) is None
    assert margin([Token('{"route": "coding"}', {})], "coding", LABELS) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"route": "coding"}', "coding"),
        ('```json\n{"route": "talk"}\n```', "talk"),
        ("{'route': 'talk'} I think", "talk"),
        ('{"route": "other"}', None),
        ("coding", None),
        ("", None),
    ],
)
def test_a_label_is_read_out_of_what_came(text, label):
    assert label_in(text) == label


def test_a_choice_is_one_of_the_tools_or_an_answer():
    schema = choice_schema([Offer("coding_generate", schema=SCHEMA)], may_answer=True)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"tool": "coding_generate", "arguments": {"request": "x", "tier": "deep"}}, schema)
    jsonschema.validate({"answer": True}, schema)
    for wrong in (
        {"tool": "other", "arguments": {}},
        {"tool": "coding_generate", "arguments": {}},
        {"tool": "coding_generate", "arguments": {"request": "x", "user_id": "bob"}},
        {"answer": False},
        {"answer": True, "tool": "coding_generate", "arguments": {"request": "x"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"answer": True}, choice_schema([Offer("a_b", schema=SCHEMA)], may_answer=False))


def test_the_schema_for_decoding_has_no_bound_that_a_grammar_would_repeat():
    assert "maxLength" not in json.dumps(for_decoding(SCHEMA))
    endless: dict[str, object] = {"type": "object"}
    endless["properties"] = {"again": endless}
    assert len(json.dumps(for_decoding(endless))) < 2000


def test_each_alternative_of_a_schema_is_whole_in_itself_and_nothing_else_can_be_written():
    log = {"type": "object", "properties": {"limit": {"type": "integer"}}, "required": ["limit"]}
    offer = broker_tool(disk__usage={"type": "object", "properties": {}}, git__log=log)
    offer["schema"]["properties"]["timeout"] = {"type": "number"}
    schema = choice_schema([Offer("broker_run", schema=offer["schema"])], may_answer=False)
    [of_tool] = schema["anyOf"]
    assert set(of_tool["properties"]["arguments"]) == {"anyOf"}
    for one in of_tool["properties"]["arguments"]["anyOf"]:
        assert one["additionalProperties"] is False
        assert {"command", "args", "timeout"} == set(one["properties"])
    for right in ({"command": "disk.usage"}, {"command": "git.log", "args": {"limit": 3}}):
        jsonschema.validate({"tool": "broker_run", "arguments": right}, schema)
    for wrong in (
        {"command": "disk_usage"},
        {"command": "git.log"},
        {"command": "git.log", "args": {}},
        {"command": "disk.usage", "args": {"limit": 3}},
        {"args": {}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"tool": "broker_run", "arguments": wrong}, schema)


def test_who_asks_is_never_the_models_to_say():
    assert fitted({"request": "x", "user_id": "bob", "conversationId": "c"}, SCHEMA) == {"request": "x"}
    assert fitted({"input": "bare"}, SCHEMA) == {"request": "bare"}


def test_the_newest_exchanges_stay_and_whole_ones_go():
    said = [Exchange(f"q{number}" + "x" * 300, "a") for number in range(5)]
    assert newest(said, 1) == tuple(said[1:])
    assert newest(said, 150) == tuple(said[2:])
    assert newest(said, 10_000) == ()


def test_histories_are_bounded_in_conversations_and_exchanges():
    histories = Histories(most_conversations=2, most_exchanges=2)
    for number in range(3):
        histories.add("ann", "c1", Exchange(str(number), ""))
    histories.add("ann", "c2", Exchange("x", ""))
    histories.add("bob", "c1", Exchange("y", ""))
    assert histories.of("ann", "c1") == ()
    assert [exchange.user for exchange in histories.of("bob", "c1")] == ["y"]
    histories.add("ann", "c2", Exchange("z", ""))
    histories.add("ann", "c2", Exchange("z2", ""))
    assert [exchange.user for exchange in histories.of("ann", "c2")] == ["z", "z2"]
    assert not Histories(2, 0).of("ann", "c1")


def test_an_answer_is_kept_for_the_same_words_only():
    now = [0.0]
    cache = AnswerCache(2, 10, clock=lambda: now[0])

    def key(text, user="ann", digest="d", model=""):
        return Key(model, digest, user, "", normalised(text))

    cache.put(key("What is  2 + 2?"), "4")
    assert cache.find(key(" What is 2 + 2? ")) == "4"
    for other in ("What is 2 + 3?", "What is not 2 + 2?", "what is 2 + 2?", "What is 2 + 2"):
        assert cache.find(key(other)) is None
    assert cache.find(key("What is 2 + 2?", user="bob")) is None
    assert cache.find(key("What is 2 + 2?", digest="e")) is None
    assert cache.find(key("What is 2 + 2?", model="m")) is None
    now[0] = 11
    assert cache.find(key("What is 2 + 2?")) is None
    for text in "abc":
        cache.put(key(text), text)
    assert [cache.find(key(text)) for text in "abc"] == [None, "b", "c"]


def test_space_in_code_is_part_of_the_words():
    assert normalised("a  b") == "a b"
    assert normalised("x = 1\n  y") != normalised("x = 1\n y")
    assert normalised("`a  b`") != normalised("`a b`")


@given(st.text(alphabet="<>/think a\n", max_size=40), st.integers(1, 5))
@example("<think>x</think> y", 1)
@example("<thinkable", 2)
def test_a_stream_shows_the_same_however_it_is_cut(text, size):
    def shown(pieces):
        stream = SpokenStream()
        return "".join(stream.feed(piece) for piece in pieces) + stream.close()

    assert shown([text[at : at + size] for at in range(0, len(text), size)]) == shown([text])


def test_a_thought_at_the_beginning_is_not_shown():
    stream = SpokenStream()
    assert stream.feed(" <think>hm") + stream.feed("</think>\n\nIt is ") + stream.feed("<b>") == "It is <b>"
    assert SpokenStream().feed("plain") == "plain"


def test_what_is_empty_and_not_required_is_not_sent_on():
    schema = {"type": "object", "required": ["command"], "properties": {"command": {"type": "string"}}}
    args = {"path": "", "depth": 0, "all": False, "names": []}
    given = {"command": "files.list", "args": args, "timeout": None}
    assert fitted(given, schema) == {"command": "files.list", "args": {"depth": 0, "all": False}}
    assert fitted({"command": "", "args": {}}, schema) == {"command": "", "args": {}}
