"""What tests are worth: stubs and faults that pass them, in the real sandbox."""

from dataclasses import replace

import pytest
from matrices import candidate, evidence, row

from coder_agent.candidates import ExampleStrength
from coder_agent.decision import TIERS
from coder_agent.gate import cases_that_count, example_strength, fail_on_stubs, mutation_score
from coder_agent.reading.examples import Case
from coder_agent.state import Task
from coder_agent.suite import Suite

CODE = "def larger(a, b):\n    if a <= b - 2:\n        return b\n    return a\n"
TASK = Task("Write larger(a, b)", TIERS["standard"])


def suite(*checks):
    return Suite().extended([Case(check, trusted=False) for check in checks])


def written(code=CODE):
    return replace(candidate(0, row("a"), code=code), names=("larger",))


async def test_tests_of_both_branches_find_every_fault_and_tests_of_one_do_not(sandbox):
    both = suite("assert larger(1, 2) == 1", "assert larger(1, 3) == 3", "assert larger(1, 4) == 4")
    one = suite("assert larger(2, 2) == 2")
    found = await mutation_score(sandbox, TASK, both, written())
    assert found == 1.0
    assert 0 < await mutation_score(sandbox, TASK, one, written()) < found


async def test_code_without_anything_to_change_has_no_score_and_neither_have_no_tests(sandbox):
    assert await mutation_score(sandbox, TASK, suite("assert larger"), written("def larger(): pass\n")) is None
    assert await mutation_score(sandbox, TASK, Suite(), written()) is None


async def test_a_case_that_ends_in_an_expression_finds_no_fault_by_that(sandbox):
    assert await mutation_score(sandbox, TASK, suite("larger(1, 2)"), written()) == 0


async def test_a_fault_that_never_ends_is_found(sandbox):
    code = "def larger(a, b):\n    while a < b:\n        a += 1\n    return a\n"
    assert await mutation_score(sandbox, TASK, suite("assert larger(1, 4) == 4"), written(code)) > 0.5


async def test_code_too_slow_for_its_mutants_to_be_told_from_it_has_no_score(sandbox):
    slow = written(CODE.replace("    if", "    import time\n\n    time.sleep(0.7)\n    if", 1))
    assert await mutation_score(sandbox, TASK, suite("assert larger(1, 2) == 1"), slow) is None
    assert await example_strength(sandbox, TASK, suite("assert larger(1, 2) == 1"), slow, ["larger"]) is None


async def test_how_much_examples_say_is_the_faults_they_find_and_whether_one_stub_meets_all(sandbox):
    async def strength(code, *checks):
        return await example_strength(sandbox, TASK, suite(*checks), written(code), ["larger"])

    both = ("assert larger(1, 2) == 1", "assert larger(1, 3) == 3", "assert larger(1, 4) == 4")
    assert await strength(CODE, *both) == ExampleStrength(faults_found=1.0)
    assert await strength("def larger(a, b): pass\n", "assert larger(1, 2) is None") == ExampleStrength(stub_meets=True)
    assert (await strength("def larger(a, b): return a > b\n", "assert larger(2, 1)")).stub_meets


@pytest.mark.parametrize(
    "checks",
    [
        ("assert larger(2, 1)", "assert not larger(1, 2)"),
        ("assert larger(2, 1) == 1", "assert larger(1, 2) is None"),
    ],
)
async def test_no_stub_meets_examples_that_each_another_stub_meets(sandbox, checks):
    code = "def larger(a, b):\n    if a > b:\n        return 1\n"
    found = await example_strength(sandbox, TASK, suite(*checks), written(code), ["larger"])
    assert not found.stub_meets


async def test_a_file_that_takes_too_long_has_no_score(sandbox):
    body = "import time\n\n    time.sleep(1.5)\n    assert larger(1, 2) == 1"
    task = replace(TASK, caller_tests=f"from solution import larger\n\n\ndef test_it():\n    {body}\n")
    assert await mutation_score(sandbox, task, Suite(), written()) is None


async def test_the_callers_own_file_is_scored_too(sandbox):
    body = "assert (larger(1, 2), larger(1, 3), larger(1, 4)) == (1, 3, 4)"
    tests = f"from solution import larger\n\n\ndef test_it():\n    {body}\n"
    task = Task("Write larger(a, b)", TIERS["standard"], caller_tests=tests)
    assert await mutation_score(sandbox, task, Suite(), written()) == 1.0
    weak = Task("Write larger(a, b)", TIERS["standard"], caller_tests=tests.replace("== (1, 3, 4)", "> (0,)"))
    assert await mutation_score(sandbox, weak, Suite(), written()) < 1.0


async def test_cases_that_a_stub_meets_are_dropped_and_the_others_kept(sandbox):
    checks = suite("assert larger(1, 3) == 3", "assert larger(0, 0) is None", "assert larger(5, 1) == 5")
    names = [name for name, _ in checks.cases]
    kept = await fail_on_stubs(sandbox, TASK, checks, names, ["larger"])
    assert [dict(checks.cases)[name].check for name in kept] == [checks.cases[0][1].check, checks.cases[2][1].check]
    assert await fail_on_stubs(sandbox, TASK, checks, [], ["larger"]) == []


def test_of_the_models_cases_those_count_that_pass_or_where_nothing_else_decides_those_that_stand():
    half = candidate(0, row("t a", "b"))
    assert cases_that_count(evidence(half, trusted=["t"], generated=["a", "b"]), half) == ["a"]
    assert cases_that_count(evidence(half, generated=["a", "b"]), half) == ["a", "b"]
