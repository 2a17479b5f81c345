"""What one matrix call says of candidates, in the real sandbox."""

import pytest
from matrices import candidate

from coder_agent.decision import TIERS
from coder_agent.evidence import Evidence
from coder_agent.gathering import inputs_of
from coder_agent.reading.examples import read_request
from coder_agent.runs import run_candidates
from coder_agent.state import Task
from coder_agent.suite import Suite

TASK = Task("Write f(x). f(2) == 4", TIERS["standard"])


@pytest.fixture
def run(sandbox):
    """run(code, …) -> the candidates with the rows they got for f(2) == 4 and its variations."""

    async def run(*codes, task=TASK):
        reading = read_request(task.request)
        suite = Suite().extended(reading.examples)
        pool = [candidate(index, code=code) for index, code in enumerate(codes)]
        is_script = reading.kind == "script"
        rows = await run_candidates(sandbox, task, pool, suite, inputs_of(suite), is_script=is_script)
        pool = [one.with_row(row) for one, row in zip(pool, rows, strict=True)]
        return Evidence(candidates=pool, trusted=suite.ids(trusted=True), inputs=inputs_of(suite))

    return run


async def test_two_programs_that_agree_on_the_example_part_on_a_varied_input(run):
    seen = await run("def f(x): return x * 2\n", "def f(x): return x ** 2\n", "def f(x): return x + x\n")
    twice, square, sum_ = seen.candidates
    assert all(seen.meets_trusted(c) for c in seen.candidates)
    assert seen.supporters(twice) == [sum_]
    assert seen.is_outvoted(square)


def test_what_was_compared_on_stays_whatever_more_is_known():
    suite = Suite().extended(read_request(TASK.request).examples)
    more = suite.extended(read_request("f([3]) == 6 and f([1, 2]) == 9").examples)
    known = [*inputs_of(suite), "f(99)"]
    assert inputs_of(more, known)[: len(known)] == known


async def test_equal_values_of_different_types_are_not_the_same(run):
    seen = await run("def f(x): return x * 2\n", "def f(x): return x * 2.0\n")
    assert seen.supporters(seen.candidates[0]) == []


async def test_generators_are_read_and_sets_are_the_same_in_any_order(run):
    one = "def f(x): return {str(i) for i in range(x)}\n"
    other = "def f(x): return {str(x - 1 - i) for i in range(x)}\n"
    lazy = "def f(x): return (i * i for i in range(x))\n"
    seen = await run(one, other, lazy, lazy + "\n")
    assert seen.candidates[0].row.outputs == seen.candidates[1].row.outputs
    assert seen.candidates[2].row.outputs["f(3)"] == "[0, 1, 4]"


async def test_what_fails_says_what_it_gave_and_what_is_right(run):
    seen = await run("def f(x): return x\n", "def f(x): return y\n", "def f(x): return\n")
    messages = [check.message for c in seen.candidates for check in c.row.checks.values()]
    assert messages[0] == "f(2) gave 2, but 4 is right."
    assert "NameError" in messages[1]
    assert messages[2] == "f(2) gave None, but 4 is right."


async def test_an_endless_loop_on_one_input_costs_that_input_alone(run):
    seen = await run("def f(x):\n    while x == 1:\n        pass\n    return x * 2\n")
    outputs = seen.candidates[0].row.outputs
    assert "f(1)" not in outputs
    assert outputs["f(3)"] == "6"
    assert seen.meets_trusted(seen.candidates[0])


async def test_the_callers_tests_are_run_as_they_are_beside_the_examples(run):
    tests = "from solution import f\n\n\ndef test_mine():\n    assert f(10) == 20\n"
    seen = await run(
        "def f(x): return x * 2\n",
        "def f(x): return x ** 2\n",
        task=Task(TASK.request, TASK.limits, caller_tests=tests),
    )
    fared = [{name: check.passed for name, check in c.row.checks.items()} for c in seen.candidates]
    assert fared == [{"caller:test_mine": True, "f_2": True}, {"caller:test_mine": False, "f_2": True}]


async def test_code_that_does_not_load_says_why(run):
    seen = await run("def f(x) return x\n", "import nothing_of_that_name\n")
    first, second = (c.row for c in seen.candidates)
    assert not first.loads
    assert "SyntaxError" in first.reason or "invalid syntax" in first.reason
    assert second.missing_modules == ("nothing_of_that_name",)


async def test_coroutines_and_generators_are_compared_by_what_they_give(run):
    task = Task("Write an async def f(x). asyncio.run(f(2)) == 4", TASK.limits)
    seen = await run("async def f(x): return x * 2\n", "async def f(x): return x ** 2\n", task=task)
    assert all(seen.meets_trusted(c) for c in seen.candidates)
    assert [c.row.outputs.get("asyncio.run(f(3))") for c in seen.candidates] == ["6", "9"]
    task = Task("Write a generator f(x) that yields numbers. f(2) yields [0, 1]", TASK.limits)
    seen = await run("def f(x):\n    yield from range(x)\n", "def f(x):\n    yield from [0, 1]\n", task=task)
    assert all(seen.meets_trusted(c) for c in seen.candidates)
    assert [c.row.outputs.get("list(f(3))") for c in seen.candidates] == ["[0, 1, 2]", "[0, 1]"]


async def test_a_script_is_run_with_its_input_by_its_name(run):
    request = (
        "Write a program that reads numbers from stdin and prints their sum.\nExample input:\n1 2\nExample output:\n3\n"
    )
    code = "import sys\n\n\nprint(sum(map(int, sys.stdin.read().split())))\n"
    seen = await run(code, code.replace("sum(", "max("), task=Task(request, TASK.limits))
    assert [seen.meets_trusted(c) for c in seen.candidates] == [True, False]
