"""Every text format of a tool call, and that nothing else is taken for one."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brain.tool_calls import parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
ARGUMENTS = st.dictionaries(TEXT, VALUE, max_size=4)
NAME = st.sampled_from(["coding_generate", "memory.search", "broker_run"])


def named(name="tool", arguments="arguments"):
    return lambda tool, given: json.dumps({name: tool, arguments: given}, ensure_ascii=False)


PIECES = ['{"tool"', ": ", '"x"', "[", "]", "{", "}", ",", "'", "\\", "<think>", "</think>", "Action: ", "\n"]
bare = named()
FORMATS = {
    "bare": bare,
    "tool and parameters": named("tool", "parameters"),
    "name and arguments": named("name", "arguments"),
    "ascii": lambda tool, given: json.dumps({"tool": tool, "arguments": given}, indent=2),
    "fenced": lambda tool, given: f"Sure:\n```json\n{bare(tool, given)}\n```\nThat is it.",
    "tool_call": lambda tool, given: f"<tool_call>\n{bare(tool, given)}\n</tool_call>",
    "TOOL_CALLS": lambda tool, given: f"[TOOL_CALLS] [{named('name')(tool, given)}]",
    "action": lambda tool, given: (
        f"Thought: I need it.\nAction: {tool}\nAction Input: {json.dumps(given)}\nObservation:"
    ),
    "inside think": lambda tool, given: f"<think>I call {bare(tool, given)}</think>",
    "inside think that stays open": lambda tool, given: f"<think>I call {bare(tool, given)}",
    "after think": lambda tool, given: (
        f'<think>not {{"tool": "wrong", "arguments": {{}}}}</think>\n{bare(tool, given)}'
    ),
    "after a think that its template opened": lambda tool, given: f"hm, so</think>{bare(tool, given)}",
    "single quotes": lambda tool, given: repr({"tool": tool, "arguments": given}),
    "arguments as a string": lambda tool, given: json.dumps({"name": tool, "arguments": json.dumps(given)}),
    "as the API has it": lambda tool, given: json.dumps(
        {"tool_calls": [{"type": "function", "function": {"name": tool, "arguments": json.dumps(given)}}]}
    ),
    "trailing prose": lambda tool, given: f"I will do that. {bare(tool, given)} Then I {{tell}} you.",
}


@pytest.mark.parametrize("form", FORMATS)
@settings(deadline=None, max_examples=25)
@given(tool=NAME, arguments=ARGUMENTS)
@example(tool="broker_run", arguments={"a": {"b": {"c": ["{", "}", '"', "'", "\\"]}}, "n": [1, -2.5e-3, None, True]})
@example(tool="broker_run", arguments={"s": "</tool_call> ``` Action: x\nAction Input: {} </think>"})
def test_arguments_come_back_as_they_were_in_every_format(form, tool, arguments):
    said = FORMATS[form](tool, arguments)
    [call] = parse(said).calls
    assert (call.name, call.arguments) == (tool, arguments)


@settings(deadline=None)
@given(st.text())
@example("{" * 1000)
@example("[" * 1000)
@example('{"tool": ' * 500)
@example('{"tool": "a", "arguments": ' + "9" * 5000 + "}")
@example('{"tool": "a", "arguments": {"x": 1e999}}')
@example("Action: x\nAction Input:")
@example("Action:" + " " * 20_000)
@example("Action: x" + " *" * 20_000)
@example("\n" * 20_000 + "Action: x\n")
@example("{'a': '\\")
@example("{'a': '\\UFFFFFFFF'}")
def test_no_text_makes_the_parser_fail(text):
    parse(text)


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES)))
def test_pieces_of_calls_in_any_order_do_not_make_the_parser_fail(pieces):
    parse("".join(pieces))


def test_several_calls_come_in_their_order():
    text = '{"tool": "a_b", "arguments": {"n": 1}}\n<tool_call>{"name": "c_d", "arguments": {}}</tool_call>'
    assert [(call.name, dict(call.arguments)) for call in parse(text).calls] == [("a_b", {"n": 1}), ("c_d", {})]


def test_text_that_is_no_json_is_given_to_an_action_as_it_is():
    [call] = parse("Action: memory_search\nAction Input: what I like\n").calls
    assert (call.name, call.arguments) == ("memory_search", {"input": "what I like"})


@pytest.mark.parametrize(
    "text",
    [
        'action: memory_search\naction input: {"query": "a\\nb"}',
        'I look. Action: memory_search Action Input: {"query": "a\\nb"}',
        "**Action:** `memory_search`\n**Action Input:** {'query': 'a\\nb'}\n",
        'Action: "memory_search"\nAction Input: {"query": "a\\nb"}\nObservation: none',
        '{"tool": "memory_search", "query": "a\\nb"}',
        '{"thought": "I look", "tool": "memory_search", "query": "a\\nb"}',
    ],
)
def test_liberties_with_the_format_leave_tool_and_arguments_as_they_are(text):
    [call] = parse(text).calls
    assert (call.name, call.arguments) == ("memory_search", {"query": "a\nb"})


def test_the_input_of_an_action_is_read_to_its_end_and_no_further():
    code = "def f():\n    return 1\n\nprint(f())"
    for text in (
        f"Action: py_run\nAction Input: {code}",
        f"Action: py_run\nAction Input:\n{code}\nObservation: 1",
        f"action: py_run action input: {code}\n\nThought: that was it",
        f"Action: py_run\nAction Input: ```python\n{code}\n```",
    ):
        [call] = parse(text).calls
        assert (call.name, call.arguments) == ("py_run", {"input": code})
    both = parse(f"Action: py_run\nAction Input: {code}\nAction: memory_search\nAction Input: me\n").calls
    assert [dict(call.arguments) for call in both] == [{"input": code}, {"input": "me"}]


@pytest.mark.parametrize(
    "text",
    [
        "The set literal {} makes a dict.",
        "Action: think first. The action input is yours.",
        'In JSON that is {"name": "Bob", "age": 7}.',
        "```python\nd = {'a': {'b': 1}}\n```",
        "[1, 2, 3]",
        "",
        '{"function": "sin", "x": 1}',
    ],
)
def test_what_is_no_call_is_an_answer(text):
    parsed = parse(text)
    assert parsed.calls == ()
    assert parsed.answer == (text or None)


def test_an_answer_in_json_is_read_as_one():
    assert parse('{"answer": "It is {blue}."}').answer == "It is {blue}."
    assert parse('{"answer": true}').is_done
    assert parse('<think>hm</think>{"answer": true}').is_done


def test_a_thought_is_no_answer():
    assert parse("<think>I wonder</think>").answer is None
    assert parse("<think>I wonder</think>It is 4.").answer == "It is 4."
    assert parse('<think>maybe {"tool": "a_b", "arguments": {}}</think>It is 4.').calls == ()
