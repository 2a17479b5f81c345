"""What a request states is read without a model."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coder_agent.examples import literal_prefix, read_request


@pytest.mark.parametrize(
    ("request_text", "checks"),
    [
        ("Write f. f(2) == 4", ["assert f(2) == 4"]),
        ("f(2) -> 4 and f(3) -> 9", ["assert f(2) == 4", "assert f(3) == 9"]),
        ("For example f([1, 2]) should be [2, 1].", ["assert f([1, 2]) == [2, 1]"]),
        ("`f(1, 2)` returns `3`", ["assert f(1, 2) == 3"]),
        ("f(6) returns [0, 1, 1]. Then more.", ["assert f(6) == [0, 1, 1]"]),
        ("assert f(1) == 2", ["assert f(1) == 2"]),
        ("- assert not is_odd(2)", ["assert not is_odd(2)"]),
        (">>> f('a')\n'b'", ["assert f('a') == 'b'"]),
        ("it works like this: >>> f(1)\n2\n>>> f(2)\n3", ["assert f(1) == 2", "assert f(2) == 3"]),
        ("f(-1) raises ValueError", ["with pytest.raises(ValueError):\n    f(-1)"]),
        ("f(1) should raise a TypeError", ["with pytest.raises(TypeError):\n    f(1)"]),
        ("f(3) → false", ["assert f(3) == False"]),
        ("f('a, (b)') = 'x)'", ["assert f('a, (b)') == 'x)'"]),
        ("f(1) returns (1, 2), and that is all", ["assert f(1) == (1, 2)"]),
        ("f(\n  1,\n  2\n) == {\n  'a': 1\n}", ["assert f(\n  1,\n  2\n) == {\n  'a': 1\n}"]),
        ("f(1) gives -3.5", ["assert f(1) == -3.5"]),
    ],
)
def test_stated_examples_are_found(request_text, checks):
    assert [case.check for case in read_request(request_text).examples] == checks


@pytest.mark.parametrize(
    "request_text",
    [
        "Write primes_below(n) that returns all primes below n",
        "f(x) returns a list",
        "f(3) returns the third item",
        "print(1) == None",
        "f(1) raises an error",
        "def f(a=1): return a",
        "f(2) is even, f(3) is odd",
        "f(1",
    ],
)
def test_prose_is_not_taken_for_an_example(request_text):
    assert read_request(request_text).examples == ()


@pytest.mark.parametrize(
    ("request_text", "entry", "signature"),
    [
        ("Write primes_below(n) please", "primes_below", "primes_below(n)"),
        ("fib", "fib", None),
        ("a function called slugify that", "slugify", None),
        ("a function `slug` that", "slug", None),
        ("the function word_count counts", "word_count", None),
        ("def area(w: float, h: float = 1.0) -> float", "area", "area(w: float, h: float=1.0)"),
        ("Write a function that returns all primes < 100", None, None),
        ("print(x) all of f(a, b)", "f", "f(a, b)"),
    ],
)
def test_the_name_to_define_is_read(request_text, entry, signature):
    reading = read_request(request_text)
    assert reading.entry == entry
    assert (reading.signature or "").replace(" = ", "=") == (signature or "")


def test_a_class_and_its_doctest_keep_their_set_up():
    reading = read_request("Write a class Stack.\n>>> s = Stack()\n>>> s.push(3)\n>>> s.pop()\n3")
    assert reading.is_class
    assert reading.entry == "Stack"
    assert [case.check for case in reading.examples] == ["s = Stack()\ns.push(3)\nassert s.pop() == 3"]


def test_the_same_example_twice_counts_once():
    assert len(read_request("f(1) == 2\nassert f( 1 ) == 2").examples) == 1


@given(st.recursive(st.integers() | st.text(max_size=8) | st.booleans(), lambda inner: st.lists(inner, max_size=3)))
def test_any_literal_is_read_back_whole(value):
    text = literal_prefix(f"{value!r}, as it should be")
    assert text is not None
    assert ast.literal_eval(text) == value


@given(st.text(max_size=300))
def test_any_text_can_be_read(text):
    for case in read_request(text).examples:
        ast.parse(case.check)
