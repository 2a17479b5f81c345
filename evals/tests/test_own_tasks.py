"""Our own tasks: a request, hidden tests that mean something, and a reference that passes them."""

import ast
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coder_agent.mutants import mutants
from kitty_sandbox import BubblewrapSandbox, SandboxRun

EVALS = Path(__file__).parents[1]
TASKS = [json.loads(line) for name in ("easy", "own") for line in (EVALS / f"{name}.jsonl").read_text().splitlines()]
OWN = [task for task in TASKS if task["id"].startswith("own/")]
KINDS = {"function": 40, "functions": 4, "class": 6, "generator": 4, "async": 3, "script": 4}
"""And how many of each there are at least."""
MOST_MUTANTS = 6

every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task["id"])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[BubblewrapSandbox]:
    """One for all: its escape programs run once."""
    made = BubblewrapSandbox()
    yield made
    made.close()


async def passes(sandbox: BubblewrapSandbox, task: dict[str, Any], code: str) -> bool:
    run = SandboxRun(files={task["module"]: code, **task["tests"]}, tests=tuple(task["tests"]))
    result = await sandbox.run(run)
    assert result.outcome in {"passed", "failed"}, result.reason
    return result.passed


def public_definitions(task: dict[str, Any]) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    nodes = [node for node in ast.parse(task["reference"]).body if isinstance(node, kinds)]
    return [node for node in nodes if not node.name.startswith("_")]


def stub_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    match node:
        case ast.AsyncFunctionDef(name=name):
            return f"async def {name}(*args, **kwargs): return None"
        case ast.FunctionDef(name=name):
            return f"def {name}(*args, **kwargs): return None"
        case ast.ClassDef(name=name):
            methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)} - {"__init__"}
            nothing = [f"    def {method}(self, *args): return None" for method in sorted(methods)]
            return "\n".join([f"class {name}:", "    def __init__(self, *args): pass", *nothing])


@every_task
def test_a_row_is_complete(task):
    assert set(task) - {"kind"} == {"id", "request", "module", "tests", "reference"}
    assert task["module"] == "solution.py"
    assert list(task["tests"]) == ["test_hidden.py"]
    assert task["request"] == task["request"].strip() != ""
    compile(task["reference"], "solution.py", "exec")


@pytest.mark.parametrize("task", OWN, ids=lambda task: task["id"])
def test_our_own_have_a_few_hidden_tests_each(task):
    tree = ast.parse(task["tests"]["test_hidden.py"])
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert 3 <= len(names) == len(set(names)) <= 8
    assert "solution" in task["tests"]["test_hidden.py"]


def test_ids_and_requests_are_unique():
    assert len({task["id"] for task in TASKS}) == len({task["request"] for task in TASKS}) == len(TASKS)


def test_there_are_enough_of_each_kind():
    kinds = [task["kind"] for task in OWN]
    assert set(kinds) == set(KINDS)
    assert {kind for kind, least in KINDS.items() if kinds.count(kind) < least} == set()


@every_task
async def test_the_reference_passes_and_what_does_nothing_fails(sandbox, task):
    stubs = "\n".join(map(stub_of, public_definitions(task)))
    assert stubs
    codes = (task["reference"], "", stubs)
    assert await asyncio.gather(*(passes(sandbox, task, code) for code in codes)) == [True, False, False]


@every_task
async def test_the_hidden_tests_see_a_small_fault(sandbox, task):
    made = mutants(task["reference"], [node.name for node in public_definitions(task)], MOST_MUTANTS)
    # A fault may also be one that is none, or make a loop that never ends: one that is seen is enough.
    for mutant in made:
        if not await passes(sandbox, task, mutant.code):
            return
    pytest.fail(f"none of {len(made)} is seen: {[mutant.change for mutant in made]}")
