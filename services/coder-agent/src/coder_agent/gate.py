"""Are the tests that are delivered worth anything? Stubs must fail them, and so should faults put into the code."""

from collections.abc import Sequence
from dataclasses import replace

from coder_agent.candidates import Candidate, ExampleStrength
from coder_agent.evidence import Evidence
from coder_agent.mutants import mutants
from coder_agent.runs import caller_file, sandbox_run
from coder_agent.state import Task
from coder_agent.stubs import met_by_a_stub, stub_file, stubs_of_all_file, survivors
from coder_agent.suite import Suite
from kitty_sandbox import Sandbox, SandboxLimits, SandboxMatrix

STUBS_WITHIN_SEC = 10.0
HOLDS = {"passed", "value"}
"""How a check ends that finds nothing."""
MOST_MUTANTS = 16
MOST_MUTANTS_OF_FILES = 8
"""Where the tests are the caller's file, each mutant takes a run of its own."""
MUTANT_SEC = 1.0
"""Seconds a check of a mutant may take. The code itself must pass in half of them, else nothing is said: what takes too
long has found no fault."""


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


async def example_strength(
    sandbox: Sandbox, task: Task, suite: Suite, chosen: Candidate, names: Sequence[str]
) -> ExampleStrength | None:
    """How much the cases of `suite`, all of which `chosen` passes, say of it; None where that did not come out.

    Args:
        names: what is to be defined: what the stubs stand for.
    """
    tried = await _faults_found(sandbox, task, suite, chosen)
    if tried is None:
        return None
    brief = replace(task, timeout_sec=min(task.timeout_sec, STUBS_WITHIN_SEC))
    result = await sandbox.run(sandbox_run(brief, "", {"test_stubs.py": stubs_of_all_file(suite, names)}))
    outcomes = {case.id.partition("::test_")[2]: case.outcome for case in result.cases}
    stub_meets = met_by_a_stub(outcomes)
    return None if stub_meets is None else ExampleStrength(_share(tried), stub_meets)


async def mutation_score(sandbox: Sandbox, task: Task, suite: Suite, chosen: Candidate) -> float | None:
    """The share of the code's mutants that the delivered tests find; None where there is nothing to change, or the code
    takes too long to tell.
    """
    if task.caller_tests:
        return await _score_of_file(sandbox, task, chosen, task.caller_tests)
    tried = await _faults_found(sandbox, task, suite, chosen)
    return _share(tried) if tried else None


def _share(tried: tuple[int, int]) -> float | None:
    found, faults = tried
    return round(found / faults, 3) if faults else None


async def _faults_found(sandbox: Sandbox, task: Task, suite: Suite, chosen: Candidate) -> tuple[int, int] | None:
    """How many of how many mutants the cases find, (0, 0) where there is none; None where that did not come out."""
    faults = mutants(chosen.code, chosen.names, MOST_MUTANTS)
    if not faults or not suite.cases:
        return 0, 0
    itself = await sandbox.matrix(_matrix(task, suite, [chosen.code], MUTANT_SEC / 2))
    if not all(cell.outcome in HOLDS for row in itself for cell in row.cells):
        return None
    rows = await sandbox.matrix(_matrix(task, suite, [fault.code for fault in faults], MUTANT_SEC))
    shown = [row for row in rows if row.outcome != "infrastructure"]
    found = sum(any(cell.outcome not in HOLDS for cell in row.cells) for row in shown)
    return (found, len(shown)) if shown else None


def _matrix(task: Task, suite: Suite, codes: Sequence[str], check_sec: float) -> SandboxMatrix:
    return SandboxMatrix(
        candidates=tuple(codes),
        checks=tuple(case.check for _, case in suite.cases),
        module=task.module_name,
        files=task.files,
        limits=SandboxLimits(timeout_sec=2 * check_sec),
        check_sec=check_sec,
    )


async def _score_of_file(sandbox: Sandbox, task: Task, chosen: Candidate, tests: str) -> float | None:
    faults = mutants(chosen.code, chosen.names, MOST_MUTANTS_OF_FILES)

    async def passes(code: str, within_sec: float) -> bool:
        brief = replace(task, timeout_sec=min(task.timeout_sec, within_sec))
        return (await sandbox.run(sandbox_run(brief, code, {caller_file(task): tests}))).passed

    if not faults or not await passes(chosen.code, MUTANT_SEC):
        return None
    found = [not await passes(fault.code, 2 * MUTANT_SEC) for fault in faults]
    return round(sum(found) / len(faults), 3)


def cases_that_count(evidence: Evidence, chosen: Candidate) -> list[str]:
    """The generated cases that speak for `chosen`: those it passes, or all that stand where nothing else decides."""
    standing = evidence.standing
    passed = chosen.row.checks if chosen.row else {}
    if evidence.trusted or evidence.is_settled_by_generated(chosen):
        return [case for case in evidence.generated if case in passed and passed[case].passed]
    return standing
