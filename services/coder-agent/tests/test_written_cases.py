"""The model's own cases: which are read from what it wrote."""

import pytest

from coder_agent.reading.examples import read_request
from coder_agent.stubs import stub_file
from coder_agent.suite import Suite
from coder_agent.written_cases import read_cases


def checks(text, entry="f", request=""):
    return [case.check for case in read_cases(text, [entry], read_request(request).examples, most=10)]


def test_a_torn_line_costs_only_itself():
    assert checks("assert f(1) == 2\nassert f(2) == \nassert f(3) == 4") == ["assert f(1) == 2", "assert f(3) == 4"]


def test_asserts_in_test_functions_and_lists_are_read():
    assert checks("def test_f():\n    '''doc'''\n    assert f(1) == 2\n    assert f(2) == 3\n") == [
        "assert f(1) == 2",
        "assert f(2) == 3",
    ]
    assert checks("1. `assert f(1) == 2`\n- assert f(2) == 3\nprose (") == ["assert f(1) == 2", "assert f(2) == 3"]


def test_what_was_only_thought_is_not_read():
    assert checks("<think>\nassert f(1) == 9\n</think>\nassert f(2) == 3") == ["assert f(2) == 3"]


def test_no_more_than_asked_for_is_read():
    written = "\n".join(f"assert f({number}) == 0" for number in range(9))
    assert len(read_cases(written, ["f"], (), most=4)) == 4


def test_raises_blocks_are_read():
    assert checks("with pytest.raises(ValueError):\n    f(-1)\n") == ["with pytest.raises(ValueError):\n    f(-1)"]


def test_tautologies_repetitions_and_other_functions_are_dropped():
    assert checks("assert f(1) == f(1)\nassert g(1) == 1\nassert 1 == 1\nassert f(1) == 2\nassert f(1) == 3\n") == [
        "assert f(1) == 2"
    ]


def test_what_repeats_or_contradicts_an_example_is_dropped_however_it_is_spelt():
    written = "assert f('a') == 3\nassert f( 'a' ) == 2\nassert f('b') == 4"
    assert checks(written, request='f("a") == 2') == ["assert f('b') == 4"]


def test_calls_with_another_number_of_arguments_than_the_examples_are_dropped():
    written = "assert f(1, 2) == 3\nassert f([1, 2]) == 3\nassert f(*[1]) == 1\nassert f(x=[4]) == 4"
    kept = ["assert f([1, 2]) == 3", "assert f(*[1]) == 1", "assert f(x=[4]) == 4"]
    assert checks(written, request="f([5]) == 5") == kept
    assert len(checks(written)) == 4


def test_a_test_function_that_only_wants_an_error_is_read():
    written = "def test_pop():\n    s = Stack()\n    with pytest.raises(IndexError):\n        s.pop()\n"
    assert len(read_cases(written, ["Stack"], (), 6, "class")) == 1


def test_cases_of_each_of_several_functions_are_read_and_told_apart():
    cases = read_cases("assert f(1) == 2\nassert g(1) == 3\nassert h(1) == 4\nassert f(2) == g(1)", ["f", "g"], (), 6)
    suite = Suite().extended(cases)
    assert suite.calls_of(["f", "g", "h"]) == {"f": ["f_1"], "g": ["g_1"], "h": []}
    names = {}
    exec(compile(stub_file(suite, ["f", "g"]), "test_stubs.py", "exec"), names)  # noqa: S102
    assert names["kept"]() == ["f_1", "g_1"]


def test_an_import_inside_a_test_is_dropped_and_the_test_kept():
    written = "def test_x():\n    from solution import f\n    import math\n    x = f(1)\n    assert math.fabs(x) == 2\n"
    assert checks(written) == ["import math\nx = f(1)\nassert math.fabs(x) == 2"]


def test_a_number_too_long_for_python_to_write_costs_only_its_line():
    assert checks(f"assert f(1) == 0x{'F' * 5000}\nassert f(2) == 3") == ["assert f(2) == 3"]


def test_a_check_of_a_generator_looks_at_what_it_yields_and_one_of_a_coroutine_at_what_it_returns():
    yields = read_cases("assert countdown(3) == [3, 2, 1]", ["countdown"], [], 6, "generator")
    assert [case.check for case in yields] == ["assert list(countdown(3)) == [3, 2, 1]"]
    returns = read_cases("assert fetch(3) == 4", ["fetch"], [], 6, "async")
    assert [case.check for case in returns] == ["import asyncio\nassert asyncio.run(fetch(3)) == 4"]


def test_of_a_text_that_was_cut_off_the_whole_functions_are_read():
    whole = "def test_first():\n    c = Counter()\n    c.add(2)\n    assert c.total == 2\n"
    text = f"{whole}\n\ndef test_torn():\n    c = Counter("
    (case,) = read_cases(text, ["Counter"], [], 6)
    assert "c.add(2)" in case.check


@pytest.mark.parametrize(
    ("signature", "kept"),
    [
        ("primes() -> list[int]", ["assert primes() == [2]"]),
        ("primes(limit)", ["assert primes(2) == []", "assert primes(limit=3) == [2]"]),
        (
            "primes(limit, first=2)",
            ["assert primes(2) == []", "assert primes(limit=3) == [2]", "assert primes(9, 5) == [5]"],
        ),
        (
            "primes(limit, *, first=2)",
            ["assert primes(2) == []", "assert primes(limit=3) == [2]", "assert primes(9, 5) == [5]"],
        ),
        ("primes(*numbers)", None),
        ("primes(...)", None),
        ("other(limit)", None),
        (None, None),
    ],
)
def test_without_an_example_a_call_that_the_signature_does_not_take_is_dropped(signature, kept):
    every = [
        "assert primes() == [2]",
        "assert primes(2) == []",
        "assert primes(limit=3) == [2]",
        "assert primes(9, 5) == [5]",
    ]
    found = read_cases("\n".join(every), ["primes"], (), 9, signature=signature)
    assert [case.check for case in found] == (every if kept is None else kept)


def test_an_example_says_more_than_the_signature_how_many_arguments_there_are():
    examples = read_request("Write add(a, b=1). add(1, 2) == 3").examples
    found = read_cases("assert add(1) == 2\nassert add(2, 2) == 4", ["add"], examples, 9, signature="add(a, b=1)")
    assert [case.check for case in found] == ["assert add(2, 2) == 4"]
