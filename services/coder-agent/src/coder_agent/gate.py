"""Are the tests that are delivered worth anything? Stubs must fail them, and so should faults put into the code."""

from collections.abc import Sequence
from dataclasses import replace

from coder_agent.candidates import Candidate
from coder_agent.evidence import Evidence
from coder_agent.mutants import mutants
from coder_agent.runs import caller_file, sandbox_run
from coder_agent.state import Task
from coder_agent.tests_gate import Suite, stub_file, survivors
from kitty_sandbox import Sandbox, SandboxLimits, SandboxMatrix

STUBS_WITHIN_SEC = 10.0
MOST_MUTANTS = 16
MOST_MUTANTS_OF_FILES = 8
"""Where the tests are the caller's file, each mutant takes a run of its own."""
MUTANT_SEC = 1.0


async def fail_on_stubs(
    sandbox: Sandbox, task: Task, suite: Suite, cases: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Those of `cases` that fail on stubs of `names`; none where a stub meets all of them."""
    if not cases:
        return []
    text = stub_file(suite.only(cases), names)
    brief = replace(task, timeout_sec=min(task.timeout_sec, STUBS_WITHIN_SEC))
    result = await sandbox.run(sandbox_run(brief, "", {"test_stubs.py": text}))
    passed = [case.id.partition("::test_")[2] for case in result.cases if case.outcome == "passed"]
    return survivors(suite.only(cases), passed)


async def mutation_score(sandbox: Sandbox, task: Task, suite: Suite, chosen: Candidate) -> float | None:
    """The share of the code's mutants that the delivered tests find; None where there is nothing to change."""
    if task.caller_tests:
        return await _score_of_file(sandbox, task, chosen, task.caller_tests)
    faults = mutants(chosen.code, chosen.names, MOST_MUTANTS)
    if not faults or not suite.cases:
        return None
    matrix = SandboxMatrix(
        candidates=tuple(fault.code for fault in faults),
        checks=tuple(case.check for _, case in suite.cases),
        module=task.module_name,
        files=task.files,
        limits=SandboxLimits(timeout_sec=2 * MUTANT_SEC),
        check_sec=MUTANT_SEC,
    )
    rows = await sandbox.matrix(matrix)
    shown = [row for row in rows if row.outcome != "infrastructure"]
    found = sum(any(cell.outcome not in {"passed", "value"} for cell in row.cells) for row in shown)
    return round(found / len(shown), 3) if shown else None


async def _score_of_file(sandbox: Sandbox, task: Task, chosen: Candidate, tests: str) -> float | None:
    faults = mutants(chosen.code, chosen.names, MOST_MUTANTS_OF_FILES)
    brief = replace(task, timeout_sec=min(task.timeout_sec, 2 * MUTANT_SEC))
    runs = [await sandbox.run(sandbox_run(brief, fault.code, {caller_file(task): tests})) for fault in faults]
    return round(sum(not run.passed for run in runs) / len(runs), 3) if runs else None


def cases_that_count(evidence: Evidence, chosen: Candidate) -> list[str]:
    """The generated cases that speak for `chosen`: those it passes, or all that stand where nothing else decides."""
    standing = evidence.standing
    passed = chosen.row.checks if chosen.row else {}
    if evidence.trusted or evidence.is_settled_by_generated(chosen):
        return [case for case in evidence.generated if case in passed and passed[case].passed]
    return standing
