"""What stubs meet shows nothing."""

import contextlib

import pytest

from coder_agent.stubs import STUBS, SUITE_STUBS, met_by_a_stub, stub_file, survivors
from coder_agent.suite import Suite
from coder_agent.written_cases import read_cases


def passed_on_stubs(text):
    """Runs the stub file in this process: the cases here are harmless."""
    suite = Suite().extended(read_cases(text, ["f"], (), most=9))
    namespace = {}
    exec(compile(stub_file(suite, ["f"]), "test_stubs.py", "exec"), namespace)  # noqa: S102
    passed = []
    for name, test in namespace.items():
        if name.startswith("test_"):
            with contextlib.suppress(AssertionError):
                test()
                passed.append(name.removeprefix("test_"))
    return survivors(suite, passed)


def test_cases_that_fail_on_every_stub_count():
    assert passed_on_stubs("assert f(1) == 2\nassert f(3) == 4") == ["f_1", "f_3"]


def test_a_case_that_a_stub_passes_does_not_count():
    assert passed_on_stubs("assert f(0) is None\nassert f(1) == 2\nassert f(3) == 4") == ["f_1", "f_3"]


def test_a_case_that_breaks_off_by_itself_does_not_count():
    assert passed_on_stubs("assert f(1) == g\nassert f(3) == 4\nassert f(5) == 6") == ["f_3", "f_5"]


@pytest.mark.parametrize("value", ["[]", "''", "0", "True", "False"])
def test_cases_that_one_constant_satisfies_all_count_for_nothing(value):
    assert passed_on_stubs(f"assert f(1) == {value}\nassert f(2) == {value}") == []


def test_cases_that_returning_the_argument_satisfies_count_for_nothing():
    assert passed_on_stubs("assert f(1) == 1\nassert f('a') == 'a'") == []


@pytest.mark.parametrize("error", ["ValueError", "TypeError"])
def test_cases_that_a_function_which_always_raises_satisfies_count_for_nothing(error):
    assert passed_on_stubs(f"with pytest.raises({error}):\n    f(1)\nwith pytest.raises({error}):\n    f(2)") == []


def test_what_was_not_reached_has_shown_nothing():
    suite = Suite().extended(read_cases("assert f(1) == 2", ["f"], (), most=9))
    assert survivors(suite, ["case__f_1"]) == []


def test_stubs_that_were_not_reached_say_nothing():
    assert met_by_a_stub({}) is None
    every = dict.fromkeys([*STUBS, *SUITE_STUBS], "passed")
    assert met_by_a_stub(every) is False
    assert met_by_a_stub(every | {"zero": "failed"}) is True
    assert met_by_a_stub({name: "passed" for name in every if name != "zero"}) is None
