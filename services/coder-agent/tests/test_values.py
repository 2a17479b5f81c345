"""Equal values are spelt alike."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coder_agent.values import one_spelling

ATOMS = st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.none())
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ATOMS, inner, max_size=4) | st.sets(ATOMS, max_size=4),
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{1, 2}", "{2, 1}"),
        ("{'b': 1, 'a': {3, 2}}", "{'a': {2, 3}, 'b': 1}"),
        ("frozenset({'a', 'b'})", "frozenset({'b', 'a'})"),
        ("Counter({'a': 2, 'b': 1})", "{'b': 1, 'a': 2}"),
        ("defaultdict(<class 'int'>, {'a': 2})", "{'a': 2}"),
        ("OrderedDict({'a': [1]})", "{'a': [1]}"),
        ("Counter()", "{}"),
        ("[2.0, 0.30000000000000004]", "[2.0, 0.3]"),
    ],
)
def test_what_prints_in_another_order_is_the_same(one, other):
    assert one_spelling(one) == one_spelling(other)


@pytest.mark.parametrize(
    ("one", "other"), [("[1, 2]", "[2, 1]"), ("1", "True"), ("1", "1.0"), ("(1,)", "[1]"), ("{1}", "{1: 1}")]
)
def test_what_differs_stays_different(one, other):
    assert one_spelling(one) != one_spelling(other)


@pytest.mark.parametrize("text", ["<Stack object>", "{<Stack object>}", "{1, 2", "", "{" * 5000])
def test_what_is_no_literal_stays_as_it_is(text):
    assert one_spelling(text) == text


@settings(derandomize=True, deadline=None)
@given(VALUES)
def test_the_value_is_the_same_and_spelling_twice_changes_nothing(value):
    spelt = one_spelling(repr(value))
    assert ast.literal_eval(spelt) == value or value == set()
    assert one_spelling(spelt) == spelt
