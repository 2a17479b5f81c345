"""Inputs further away, for code that does the same on those that were varied."""

import pytest

from coder_agent.reading.cases import parsed_expression
from coder_agent.variation import varied_calls
from coder_agent.wider_inputs import MOST_CALLS, wider_calls

PATTERN = "Write f(text) that says whether it holds an 'a' followed by three 'b'. f('ac') == False"


@pytest.mark.parametrize(
    ("call", "request_text", "wider"),
    [
        ("f('ac')", PATTERN, "f('abbb')"),
        ("f('python')", "says whether all letters are the same", "f('pp')"),
        ("f('a dog')", "says whether it has 'cat' or \"cow\" in it", "f('a dogcat')"),
        ("f('a dog')", "says whether it has 'cat' or \"cow\" in it", "f('cow')"),
        ("f(12)", "", "f(7)"),
        ("f([3, 1, 2])", "", "f([3, 3])"),
        ("f((3, 1, 2))", "", "f((1, 3, 1))"),
        ("f([1, 4, 3, 5], [1, 2])", "", "f([1, 4, 3, 5], [4, 3])"),
        ("f([1, 4, 3, 5], 7)", "", "f([1, 4, 3, 5], 3)"),
        ("f('hello', 'x')", "", "f('hello', 'ell')"),
        ("f('hello', 'x')", "", "f('x', 'x')"),
        ("f([4, 5, 6], 3)", "", "f([4], 1)"),
        ("list(f(9))", "", "list(f(4))"),
        ("f(9, sep='-')", "", "f(4, sep='-')"),
    ],
)
def test_small_ones_and_ones_made_of_the_others_are_there(call, request_text, wider):
    assert wider in wider_calls([call], request_text)


def test_none_is_given_twice_or_is_what_it_was_and_they_are_few():
    for call in ("f('ac', 'ab', 'ad')", "f([1, 2, 3], 2, 'x')", "f(3)"):
        made = wider_calls([call], PATTERN)
        assert len(made) == len(set(made)) <= MOST_CALLS
        assert call not in made
        assert all(parsed_expression(one) for one in made)


def test_a_letter_that_is_a_word_is_no_letter_to_make_texts_of():
    made = wider_calls(["is_balanced('()')"], "I need a function that says whether a text is balanced")
    assert "is_balanced('(())')" in made
    assert not any("I" in one or "a" in one.removeprefix("is_balanced") for one in made)
    assert "f('aab')" in wider_calls(["f('b')"], "counts the 'a'")


def test_many_quoted_words_in_a_long_request_cost_little():
    words = " ".join(f"'word{number}'" for number in range(2000))
    calls = [f"f({'x' * 200!r}, {'y' * 200!r}, {number})" for number in range(100)]
    assert len(wider_calls(calls, words)) == MOST_CALLS


@pytest.mark.parametrize("call", ["f(1e999, 3)", "f([1e999, 1], 2)", "f(1e308)"])
def test_what_is_made_of_infinity_can_be_read_back(call):
    for one in [*wider_calls([call], ""), *varied_calls([call])]:
        assert "inf" not in one


@pytest.mark.parametrize("call", ["f()", "f(x)", "f(True)", "f(None)", "f({1: 2})", "1 + 1", "f("])
def test_what_cannot_be_varied_has_none(call):
    assert wider_calls([call], PATTERN) == []
