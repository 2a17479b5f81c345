"""What the request says of every result, put to inputs nobody wrote."""

import pytest

from coder_agent.reading.examples import read_request
from coder_agent.reading.properties import Property, read_properties
from coder_agent.stated_cases import stated_cases

SORTED = Property("is_sorted", "assert list(result) == sorted(result)")
NEGATIVE = Property("raises_ValueError", "", "ValueError", "isinstance(args[0], int) and args[0] < 0")


def outcome(case, code):
    names = {"pytest": pytest}
    exec(code, names)  # noqa: S102 -- code of this file
    try:
        exec(case.check, names)  # noqa: S102
    except AssertionError:
        return "fails"
    except pytest.fail.Exception:
        return "fails"
    return "passes"


def test_a_property_is_put_to_varied_inputs_and_a_call_that_raises_is_passed_over():
    (case,) = stated_cases([SORTED], ["f([1, 2, 3])"])
    assert (case.trusted, case.states, case.call) == (False, "is_sorted", None)
    assert outcome(case, "def f(xs): return sorted(xs)") == "passes"
    assert outcome(case, "def f(xs): return xs") == "fails"
    assert outcome(case, "def f(xs): raise KeyError") == "passes"


def test_an_argument_that_is_changed_is_seen():
    unchanged = Property("argument_unchanged", "assert passed == args")
    (case,) = stated_cases([unchanged], ["f([3, 1, 2])"])
    assert outcome(case, "def f(xs): return sorted(xs)") == "passes"
    assert outcome(case, "def f(xs): xs.sort(); return xs") == "fails"


def test_what_must_raise_is_called_with_what_the_request_means_and_is_no_ordinary_call():
    natural = Property("at_least_0", "assert result >= 0")
    ordinary, raising = stated_cases([natural, NEGATIVE], ["f(3)"])
    assert "(-1,)" in raising.check
    assert "(-1,)" not in ordinary.check
    assert outcome(raising, "def f(n):\n    if n < 0:\n        raise ValueError\n    return n") == "passes"
    assert outcome(raising, "def f(n): return n") == "fails"


@pytest.mark.parametrize("calls", [[], ["f(x)"], ["f(a=1)"], ["not a call("], ["Stack().push(1)"]])
def test_without_a_plain_call_there_is_no_case(calls):
    assert stated_cases([SORTED, NEGATIVE], calls) == []


def test_from_the_request_to_the_case():
    request = "Write merge(a, b) which returns a list sorted in ascending order. merge([3], [1]) == [1, 3]"
    reading = read_request(request)
    cases = stated_cases(read_properties(request, reading), [case.call for case in reading.examples])
    assert any("ascending" in case.states for case in cases)
    assert any(outcome(case, "def merge(a, b): return a + b") == "fails" for case in cases)
    assert all(outcome(case, "def merge(a, b): return sorted(a + b)") == "passes" for case in cases)
