"""Running a candidate: files into the sandbox, what happened out of it as a `Row`."""

import ast
from collections.abc import Sequence
from dataclasses import replace

from coder_agent.candidates import Candidate, Check, Row
from coder_agent.reading.examples import Case
from coder_agent.reading.scripts import what_is_printed
from coder_agent.source_text import BYTE_ORDER_MARK
from coder_agent.state import Task
from coder_agent.suite import Suite, render_tests
from coder_agent.values import one_spelling
from kitty_sandbox import (
    CaseResult,
    Cell,
    MatrixRow,
    Sandbox,
    SandboxLimits,
    SandboxMatrix,
    SandboxResult,
    SandboxRun,
)

CALLER_PREFIX = "caller:"
READS = "stdin "
"""What an input of a script begins with; the text it reads follows as a literal."""
CHECKED_WITHIN_SEC = 6.0
"""For loading a candidate and all its cases and inputs."""
CHECK_SEC = 2.0
"""For each case and input, so that one endless loop costs little."""
NOTHING = "pass"
"""A check for candidates that only have to load."""
NOT_COLLECTED = f"{CALLER_PREFIX}tests were collected"
"""Stands for the caller's tests while no run has got as far as collecting them."""


async def run_candidates(
    sandbox: Sandbox,
    task: Task,
    candidates: Sequence[Candidate],
    suite: Suite,
    inputs: Sequence[str],
    *,
    is_script: bool = False,
) -> list[Row]:
    """A row for each of `candidates`: all cases and inputs in one matrix call, the caller's tests in a run each.

    A script does its work when it is loaded, so each of its cases loads it anew, from its file in a run of its own.
    """
    if is_script:
        rows = [await _run_script(sandbox, task, candidate, suite, inputs) for candidate in candidates]
    else:
        rows = await _fill(sandbox, task, candidates, suite, inputs)
    if not task.caller_tests:
        return rows
    files = {caller_file(task): task.caller_tests}
    runs = [await sandbox.run(sandbox_run(task, candidate.code, files)) for candidate in candidates]
    return [_with_callers(row, row_of(run, task, Suite())) for row, run in zip(rows, runs, strict=True)]


async def _run_script(sandbox: Sandbox, task: Task, candidate: Candidate, suite: Suite, inputs: Sequence[str]) -> Row:
    if not suite.cases:
        return Row({}, loads=True, outcome="not_run")
    text = render_tests(suite, task.module_name, None, is_script=True)
    row = row_of(await sandbox.run(sandbox_run(task, candidate.code, {task.tests_file: text})), task, suite)
    return replace(row, outputs=await _printed(sandbox, task, candidate, inputs)) if inputs else row


async def _printed(sandbox: Sandbox, task: Task, candidate: Candidate, inputs: Sequence[str]) -> dict[str, str]:
    """By input, the lines that the script prints for it; those for which it breaks off are left out."""
    read = [str(ast.literal_eval(given.removeprefix(READS))) for given in inputs]
    matrix = SandboxMatrix(
        candidates=(NOTHING,),
        checks=tuple(what_is_printed(task.module, text) for text in read),
        module=f"{task.module_name}_runner",
        files={**task.files, task.module: candidate.code},
        limits=_brief_limits(task),
        check_sec=min(task.timeout_sec, CHECK_SEC),
    )
    (row,) = await sandbox.matrix(matrix)
    return _outputs(row.cells, inputs)


async def _fill(
    sandbox: Sandbox, task: Task, candidates: Sequence[Candidate], suite: Suite, inputs: Sequence[str]
) -> list[Row]:
    checks = [case.check for _, case in suite.cases] + [_input_check(call) for call in inputs]
    matrix = SandboxMatrix(
        candidates=tuple(candidate.code for candidate in candidates),
        checks=tuple(checks) or (NOTHING,),
        module=task.module_name,
        files=task.files,
        limits=_brief_limits(task),
        check_sec=min(task.timeout_sec, CHECK_SEC),
    )
    return [_matrix_row(row, suite, inputs) for row in await sandbox.matrix(matrix)]


def _input_check(call: str) -> str:
    return f"import asyncio\n{call}" if "asyncio." in call else call


def _matrix_row(row: MatrixRow, suite: Suite, inputs: Sequence[str]) -> Row:
    cases, values = row.cells[: len(suite.cases)], row.cells[len(suite.cases) :]
    return Row(
        checks={name: _cell_check(cell, case, row) for (name, case), cell in zip(suite.cases, cases, strict=True)},
        loads=row.loads,
        missing_modules=row.missing_modules,
        outcome=row.outcome,
        reason=row.reason,
        stdout=row.stdout,
        outputs=_outputs(values, inputs),
    )


def _outputs(cells: Sequence[Cell], inputs: Sequence[str]) -> dict[str, str]:
    return {
        given: one_spelling(cell.value)
        for given, cell in zip(inputs, cells, strict=False)
        if cell.value and not _is_partial(cell.value)
    }


def _brief_limits(task: Task) -> SandboxLimits:
    return SandboxLimits(timeout_sec=min(task.timeout_sec, CHECKED_WITHIN_SEC))


def _is_partial(value: str) -> bool:
    """Whether it is not all of the value's text, so that others may look the same."""
    return value.endswith("…") or (value.startswith("<") and "its text could not be made" in value)


def _cell_check(cell: Cell, case: Case, row: MatrixRow) -> Check:
    match cell.outcome:
        case "passed" | "value":
            return Check(True)
        case "failed" if case.call and case.expected and cell.value is not None:
            return Check(False, "AssertionError", f"{case.call} gave {cell.value}, but {case.expected} is right.")
        case "failed":
            return Check(False, "AssertionError", cell.message or "The assert is false.")
        case "raised":
            return Check(False, cell.exception, f"{cell.exception}: {cell.message}")
        case "timeout":
            return Check(False, "Timeout", cell.message)
        case _:
            return Check(False, cell.exception, row.reason)


def _with_callers(row: Row, run: Row) -> Row:
    """The caller's tests beside the other cases; what the tests' own run says of loading and packages counts."""
    missing = tuple(dict.fromkeys([*row.missing_modules, *run.missing_modules]))
    return replace(run, checks={**run.checks, **row.checks}, outputs=row.outputs, missing_modules=missing)


def sandbox_run(task: Task, code: str, tests: dict[str, str]) -> SandboxRun:
    """The files of a run: the caller's context files, the module, the tests (without a byte order mark)."""
    tests = {path: text.removeprefix(BYTE_ORDER_MARK) for path, text in tests.items()}
    files = {**task.files, task.module: code, **tests}
    return SandboxRun(files=files, tests=tuple(tests), limits=SandboxLimits(timeout_sec=task.timeout_sec))


def caller_file(task: Task) -> str:
    """Where the caller's tests lie in the sandbox."""
    return f"test_{task.module_name}_caller.py"


def row_of(result: SandboxResult, task: Task, suite: Suite) -> Row:
    """What `result` says of each case; a case that was not reached failed, for the reason of the whole run."""
    reported = {_case_id(case, task): case for case in result.cases if "::" in case.id}
    loading = next((case for case in result.cases if "::" not in case.id and case.outcome == "error"), None)
    reason = loading.message if loading else result.reason
    missed = Check(False, loading.exception if loading else None, reason)
    wanted = [name for name, _ in suite.cases] + [name for name in reported if name.startswith(CALLER_PREFIX)]
    checks = {name: _check(reported[name]) if name in reported else missed for name in dict.fromkeys(wanted)}
    if result.outcome in {"tampered", "infrastructure"}:
        checks = {name: Check(False, None, result.reason) for name in checks}
    return Row(
        checks=checks,
        loads=bool(reported),
        missing_modules=result.missing_modules,
        outcome=result.outcome,
        reason=reason,
        stdout=result.stdout,
        stderr=result.stderr,
    )


def caller_ids(candidates: Sequence[Candidate]) -> list[str]:
    """Ids of the caller's tests that any run reported; one that never passes when none was."""
    rows = [candidate.row for candidate in candidates if candidate.row]
    ids = dict.fromkeys(name for row in rows for name in row.checks if name.startswith(CALLER_PREFIX))
    return list(ids) or [NOT_COLLECTED]


def _case_id(case: CaseResult, task: Task) -> str:
    file, _, name = case.id.partition("::")
    return f"{CALLER_PREFIX}{name}" if file == caller_file(task) else name.removeprefix("test_")


def _check(case: CaseResult) -> Check:
    return Check(case.outcome == "passed", case.exception, case.message)
