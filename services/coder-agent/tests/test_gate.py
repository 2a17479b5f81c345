"""What tests are worth: stubs and faults that pass them, in the real sandbox."""

from dataclasses import replace

from matrices import candidate, evidence, row

from coder_agent.decision import TIERS
from coder_agent.gate import cases_that_count, fail_on_stubs, mutation_score
from coder_agent.reading.examples import Case
from coder_agent.state import Task
from coder_agent.tests_gate import Suite

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
