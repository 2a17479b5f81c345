"""The verdict: what may be claimed of exactly the code that is delivered.

verified      every trusted test passed (at least one) and a second signal speaks for it: other samples, or that these
              tests find most small faults put into it; or, where the request has none, at least three generated tests
              passed that were written without seeing the code, fail on stubs and stand against the majority of
              candidates; of several functions each is tested
tests_failed  a test that counts failed
not_verified  nothing that counts could be established: no code, nothing run, a package is missing, too few tests
"""

from dataclasses import replace

from coder_agent.candidates import Candidate, passed_of
from coder_agent.confidence import confidence
from coder_agent.decision import may_be_verified
from coder_agent.evidence import Evidence
from coder_agent.gate import cases_that_count, fail_on_stubs, mutation_score
from coder_agent.reading.examples import Reading
from coder_agent.runs import CALLER_PREFIX, caller_file, row_of, sandbox_run
from coder_agent.state import Report, Task, Verdict
from coder_agent.suite import Suite, render_tests
from coder_agent.wording import NOTHING_RAN, explain
from kitty_sandbox import Sandbox, SandboxResult

NOT_PASSED = 0.3
"""Most confidence in code that failed a test that counts."""
IDLE_TESTS = "Your tests pass on an empty module too, so they prove nothing of this code. Let them call it."


async def reach_verdict(sandbox: Sandbox, task: Task, reading: Reading, suite: Suite, evidence: Evidence) -> Report:
    """Gate the generated tests, run the delivered files once more, and say what that proves."""
    chosen = evidence.best
    if chosen is None:
        return _nothing_written(task)
    if chosen.row is None:
        return undecided(task, suite, chosen, reading)
    counted = cases_that_count(evidence, chosen)
    kept = await fail_on_stubs(sandbox, task, suite, counted, reading.to_define)
    delivered = suite.only([*suite.ids(trusted=True), *kept])
    is_script = reading.kind == "script"
    rendered = render_tests(delivered, task.module_name, reading.entry, chosen.names, is_script=is_script)
    files = {task.tests_file: rendered}
    if task.caller_tests:
        files = {caller_file(task): task.caller_tests} | (files if delivered.cases else {})
    result = await sandbox.run(replace(sandbox_run(task, chosen.code, files), split=not is_script))
    final = chosen.with_row(row_of(result, task, delivered))
    counting = [*evidence.trusted, *kept]
    passed = result.passed and all(passed_of(run, counting) == len(counting) for run in (chosen, final))
    idle_cases = set(counted) - set(kept)
    telling = replace(evidence, generated=[case for case in evidence.generated if case not in idle_cases])
    verdict = _verdict(result, evidence, kept, passed=passed, backed=may_be_verified(telling, task.limits, chosen))
    idle = verdict == "verified" and await _pass_without_code(sandbox, task, evidence)
    verdict = "not_verified" if idle else verdict
    found = await mutation_score(sandbox, task, delivered, chosen) if passed else None
    facts = _facts(evidence, chosen, kept, reading) | {"mutation_score": found}
    return Report(
        verdict=verdict,
        code=chosen.code,
        tests=task.caller_tests or rendered,
        passed=verdict == "verified",
        evidence=facts,
        confidence=min(confidence(evidence, chosen, found), 1.0 if passed else NOT_PASSED),
        verdict_strength=result.verdict_strength,
        sandbox_tier=result.sandbox_tier,
        stdout=result.stdout,
        stderr=result.stderr,
        test_output=_test_output(result),
        error=IDLE_TESTS if idle else explain(task, verdict, result, evidence, kept),
    )


async def _pass_without_code(sandbox: Sandbox, task: Task, evidence: Evidence) -> bool:
    """Whether only the caller's tests speak for the code, and they pass on an empty module just as well."""
    if not task.caller_tests or not all(name.startswith(CALLER_PREFIX) for name in evidence.trusted):
        return False
    return (await sandbox.run(sandbox_run(task, "", {caller_file(task): task.caller_tests}))).passed


def undecided(task: Task, suite: Suite, chosen: Candidate, reading: Reading) -> Report:
    """The report on code that was not run: nothing is claimed."""
    is_script = reading.kind == "script"
    rendered = render_tests(suite, task.module_name, reading.entry, chosen.names, is_script=is_script)
    tests = task.caller_tests or rendered
    return replace(_nothing_written(task), code=chosen.code, tests=tests, stderr=NOTHING_RAN, error=None)


def best_so_far(
    task: Task, reading: Reading, suite: Suite, evidence: Evidence, verdict: Verdict, error: str
) -> Report | None:
    """The report of a job broken off for `error`: the best code, judged by nothing; None when there is none."""
    chosen = evidence.best
    if chosen is None:
        return None
    facts = _facts(evidence, chosen, evidence.standing, reading)
    report = undecided(task, suite, chosen, reading)
    return replace(report, verdict=verdict, stderr="", evidence=facts, error=error)


def _verdict(result: SandboxResult, evidence: Evidence, kept: list[str], *, passed: bool, backed: bool) -> Verdict:
    """`passed`: everything that counts passed in the run it was judged by and in the last one on what is delivered."""
    if result.missing_modules or result.outcome == "infrastructure":
        return "not_verified"
    if evidence.trusted:
        return ("verified" if backed else "not_verified") if passed else "tests_failed"
    if not passed:
        return "tests_failed"
    return "verified" if backed and len(kept) >= evidence.enough_generated else "not_verified"


def _nothing_written(task: Task) -> Report:
    return Report(
        verdict="not_verified",
        code="",
        tests=task.caller_tests or "",
        passed=False,
        evidence={"caller_tests": 0, "examples": 0, "generated_tests": 0, "candidates": 0},
        confidence=0.0,
        verdict_strength="in-process",
        sandbox_tier="none",
        error="The model wrote no code.",
    )


def _facts(evidence: Evidence, chosen: Candidate, kept: list[str], reading: Reading) -> dict[str, object]:
    examples = len(reading.examples)
    checks = chosen.row.checks if chosen.row else {}
    asked = [*evidence.trusted, *evidence.properties]
    agreeing = len(evidence.supporters(chosen)) + (chosen in evidence.voters)
    return {
        "caller_tests": len(evidence.trusted) - examples,
        "examples": examples,
        "properties": len(evidence.properties),
        "trusted_passed": passed_of(chosen, evidence.trusted),
        "trusted_failed": [name for name in asked if name not in checks or not checks[name].passed],
        "generated_tests": len(kept),
        "generated_written": len(evidence.generated),
        "generated_dropped": [name for name in evidence.generated if name not in kept],
        "candidates": len(evidence.candidates),
        "inputs_compared": len(evidence.domain),
        "faults_examples_find": chosen.strength.faults_found if chosen.strength else None,
        "agreement": round(agreeing / max(1, len(evidence.voters)), 3),
        "delivered_candidate": chosen.index,
        **_facts_of_given(evidence),
    }


def _facts_of_given(evidence: Evidence) -> dict[str, object]:
    """How the code fared that came with the task, where some came."""
    given = evidence.given
    if given is None:
        return {}
    failed = [case for case in evidence.trusted if not passed_of(given, [case])]
    return {"given_passed": len(evidence.trusted) - len(failed), "given_failed": failed}


def _test_output(result: SandboxResult) -> str:
    lines = [f"{case.outcome.upper():7} {case.id}" for case in result.cases]
    for case in result.cases:
        if case.outcome != "passed" and case.message:
            lines += ["", case.id, case.message]
    return "\n".join([*lines, "", result.reason]).strip()
