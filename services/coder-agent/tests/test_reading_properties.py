"""Whatever the text: reading it never fails, and an example planted in it is read back."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coder_agent.reading.examples import literal_prefix, read_request
from coder_agent.reading.properties import read_properties

moderately = settings(max_examples=150, deadline=None, derandomize=True)

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.binary(max_size=6)
)
KEYS = st.integers() | st.text(max_size=4) | st.booleans()
LITERALS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(KEYS, min_size=1, max_size=3)
    ),
    max_leaves=6,
)
WORDS = r"""
f(1) ( ) [ ] { } ' " ` ``` \\ , . ; : ? ! # | == = -> → => returns should be raises ValueError assert >>> ... def class
async await yield generator script stdin Input: Output: |---| 1 -2.5 'a' [1, None if not but and
"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\t", "\n\n"])
CODE_LIKE = st.lists(PIECES | st.text(max_size=3), max_size=40).map(" ".join)
PROSE = st.text(alphabet="abc DEF\n,.", max_size=60)
STYLES = [
    "f({0}) == {1}",
    "f({0}) -> {1}",
    "f({0}) → {1}",
    "f({0}) => {1}",
    "f({0}) returns {1}.",
    "f({0}) should return {1}",
    "f({0}) should be {1}",
    "f({0}) gives {1}",
    "- `f({0})` returns `{1}`",
    "f({0}) == {1}, with tests",
    "f({0}) == {1} and handles more",
    "assert f({0}) == {1}",
    ">>> f({0})\n{1}",
    "Input: {0}\nOutput: {1}",
    "For input {0} the output is {1}.",
    "```python\nf({0})  # => {1}\n```",
]


@moderately
@given(st.text(max_size=300) | CODE_LIKE)
def test_reading_never_fails_and_says_the_same_twice(text):
    reading = read_request(text)
    assert read_request(text) == reading
    assert read_properties(text, reading) == read_properties(text, reading)


@moderately
@given(st.text(max_size=200) | CODE_LIKE)
def test_every_check_that_is_read_is_the_body_of_a_test(text):
    for case in read_request(text).examples:
        body = (
            "\n".join(f"    {line}" for line in case.check.split("\n")) if "\n" in case.check else f"    {case.check}"
        )
        compile(f"def test():\n{body}\n", "test", "exec")


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(argument=LITERALS, value=LITERALS, before=PROSE, after=PROSE)
def test_an_example_is_read_back_from_any_prose(style, argument, value, before, after):
    planted = style.format(repr(argument), repr(value))
    request = f"Write a function f(x).\n\n{before}\n\n{planted}\n\n{after}"
    [example] = read_request(request).examples
    node = ast.parse(example.call, mode="eval").body
    assert ast.literal_eval(node.args[0]) == argument
    assert ast.literal_eval(example.expected) == value


@moderately
@given(LITERALS, st.sampled_from([" ", "\n", ", ", ") ", "; ", "` "]), st.text(max_size=40))
def test_a_literal_ends_where_it_ends_whatever_follows(value, between, after):
    text = literal_prefix(f"{value!r}{between}{after}")
    assert text == repr(value)
