"""Running a candidate: files into the sandbox, what happened out of it as a `Row`."""

from collections.abc import Sequence

from coder_agent.candidates import Candidate, Check, Row
from coder_agent.source_text import BYTE_ORDER_MARK
from coder_agent.state import Task
from coder_agent.tests_gate import Suite, render_tests
from coder_agent.variation import comparison_file, varied_calls
from kitty_sandbox import CaseResult, Sandbox, SandboxLimits, SandboxResult, SandboxRun

CALLER_PREFIX = "caller:"
COMPARED_WITHIN_SEC = 10.0
NOT_COLLECTED = f"{CALLER_PREFIX}tests were collected"
"""Stands for the caller's tests while no run has got as far as collecting them."""


async def run_candidate(sandbox: Sandbox, task: Task, candidate: Candidate, suite: Suite, entry: str | None) -> Row:
    """Run every case and the caller's tests on `candidate`, in one sandbox run."""
    files = {task.tests_file: render_tests(suite, task.module_name, entry, candidate.names)}
    if task.caller_tests:
        files = {caller_file(task): task.caller_tests} | (files if suite.cases else {})
    result = await sandbox.run(sandbox_run(task, candidate.code, files))
    return row_of(result, task, suite)


async def compare_candidates(
    sandbox: Sandbox, task: Task, candidates: Sequence[Candidate], calls: Sequence[str]
) -> dict[int, frozenset[int]]:
    """By index, the candidates (itself included) that were seen to do the same on every varied call."""
    modules = {candidate.index: f"candidate_{candidate.index}" for candidate in candidates}
    files = {f"{modules[candidate.index]}.py": candidate.code for candidate in candidates}
    test = "test_comparison.py"
    files[test] = comparison_file(modules, varied_calls(calls))
    limits = SandboxLimits(timeout_sec=min(task.timeout_sec, COMPARED_WITHIN_SEC))
    result = await sandbox.run(SandboxRun(files={**task.files, **files}, tests=(test,), limits=limits))
    same = {case.id.partition("::test_same__")[2] for case in result.cases if case.outcome == "passed"}
    return {
        one: frozenset(other for other in modules if other == one or f"{min(one, other)}__{max(one, other)}" in same)
        for one in modules
    }


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
