"""Inputs nobody wrote."""

import sys
import types

import pytest

from coder_agent.variation import MOST_CALLS, comparison_file, varied_calls


@pytest.mark.parametrize(
    ("call", "variant"),
    [
        ("f(3)", "f(4)"),
        ("f(3)", "f(1)"),
        ("f('the cat')", "f('THE CAT')"),
        ("f('ab')", "f('ab ab')"),
        ("f([3, 1])", "f([1, 3])"),
        ("f((1, 2))", "f((1, 2, 1, 2))"),
        ("f([1], 2)", "f([1], 3)"),
        ("f({'a': 1, 'b': 2})", "f({'b': 2})"),
    ],
)
def test_one_argument_is_changed_at_a_time(call, variant):
    assert variant in varied_calls([call])


@pytest.mark.parametrize("call", ["f()", "f(True)", "f(None)", "f('')", "f(x)", "f(key=1)", "f(", "1 + 1"])
def test_what_cannot_be_varied_gives_nothing(call):
    assert varied_calls([call]) == []


def test_all_calls_get_their_turn_within_the_limit():
    calls = varied_calls([f"f({number})" for number in range(100, 200, 5)])
    assert len(calls) == MOST_CALLS
    assert len({call for call in calls if call.endswith("1)") or call.endswith("6)")}) == MOST_CALLS


def same(one, other, calls):
    """Whether the comparison passes, run in this process: the code here is harmless."""
    for name, code in (("candidate_0", one), ("candidate_1", other)):
        module = types.ModuleType(name)
        exec(code, vars(module))  # noqa: S102
        sys.modules[name] = module
    names = {}
    exec(comparison_file({0: "candidate_0", 1: "candidate_1"}, calls), names)  # noqa: S102
    try:
        names["test_same__0__1"]()
    except AssertionError:
        return False
    finally:
        del sys.modules["candidate_0"], sys.modules["candidate_1"]
    return True


COUNTS_PARTS = "def f(text): return {w.lower(): text.count(w.lower()) for w in text.split()}"
COUNTS_WORDS = """
def f(text):
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return counts
"""


def test_two_programs_that_agree_on_the_example_part_on_a_varied_input():
    example = "f('the cat the dog')"
    assert same(COUNTS_PARTS, COUNTS_WORDS, [example])
    assert not same(COUNTS_PARTS, COUNTS_WORDS, varied_calls([example]))
    assert same(COUNTS_WORDS, COUNTS_WORDS + "# again", varied_calls([example]))


def test_raising_the_same_error_is_doing_the_same_and_generators_are_read():
    assert same("def f(x): raise KeyError(x)", "def f(x): return {}[x]", ["f(1)"])
    assert not same("def f(x): raise KeyError(x)", "def f(x): raise ValueError", ["f(1)"])
    assert same("def f(x): yield x", "def f(x): return (i for i in [x])", ["f(1)"])


def test_equal_values_of_different_types_are_not_the_same():
    assert not same("def f(x): return 1", "def f(x): return True", ["f(1)"])
