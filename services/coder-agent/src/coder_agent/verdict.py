"""The verdict: what may be claimed of exactly the code that is delivered.

verified      every trusted test passed (at least one) and no second signal speaks against it, or, where the request has
              none, at least three generated tests passed that were written without seeing the code, fail on stubs and
              stand against the majority of candidates
tests_failed  a test that counts failed
not_verified  nothing that counts could be established: no code, nothing run, a package is missing, too few tests
"""

from collections.abc import Mapping
from dataclasses import replace

from coder_agent.candidates import Candidate, passed_of
from coder_agent.decision import LEAST_GENERATED, Evidence, is_backed, is_outvoted, passes_everything
from coder_agent.examples import Reading
from coder_agent.runs import CALLER_PREFIX, caller_file, row_of, sandbox_run
from coder_agent.state import Report, Task, Verdict
from coder_agent.task import TEST_LIBRARIES
from coder_agent.tests_gate import Suite, render_tests, stub_file, survivors
from kitty_sandbox import Sandbox, SandboxResult, package_hint

NOTHING_RAN = "Sandbox disabled"
STUBS_WITHIN_SEC = 10.0
IDLE_TESTS = "Your tests pass on an empty module too, so they prove nothing of this code. Let them call it."


async def reach_verdict(sandbox: Sandbox, task: Task, reading: Reading, suite: Suite, evidence: Evidence) -> Report:
    """Gate the generated tests, run the delivered files once more, and say what that proves."""
    chosen = evidence.best
    if chosen is None:
        return _nothing_written(task)
    if chosen.row is None:
        return undecided(task, suite, chosen, reading.entry)
    kept = await _accepted(sandbox, task, reading, suite, evidence, chosen)
    delivered = suite.only([*suite.ids(trusted=True), *kept])
    rendered = render_tests(delivered, task.module_name, reading.entry, chosen.names)
    tests = task.caller_tests or rendered
    files = {task.tests_file: rendered}
    if task.caller_tests:
        files = {caller_file(task): task.caller_tests} | (files if delivered.cases else {})
    result = await sandbox.run(replace(sandbox_run(task, chosen.code, files), split=True))
    final = chosen.with_row(row_of(result, task, delivered))
    counting = [*evidence.trusted, *kept]
    passed = result.passed and all(passed_of(run, counting) == len(counting) for run in (chosen, final))
    verdict = _verdict(result, evidence, kept, passed=passed, backed=is_backed(chosen, evidence))
    idle = verdict == "verified" and await _pass_without_code(sandbox, task, evidence)
    verdict = "not_verified" if idle else verdict
    facts = _facts(evidence, chosen, kept, reading, task)
    return Report(
        verdict=verdict,
        code=chosen.code,
        tests=tests,
        passed=verdict == "verified",
        evidence=facts,
        confidence=_confidence(evidence, chosen, verdict == "verified"),
        verdict_strength=result.verdict_strength,
        sandbox_tier=result.sandbox_tier,
        stdout=result.stdout,
        stderr=result.stderr,
        test_output=_test_output(result),
        error=IDLE_TESTS if idle else _explain(task, verdict, result, evidence, kept),
    )


async def _pass_without_code(sandbox: Sandbox, task: Task, evidence: Evidence) -> bool:
    """Whether only the caller's tests speak for the code, and they pass on an empty module just as well."""
    if not task.caller_tests or not all(name.startswith(CALLER_PREFIX) for name in evidence.trusted):
        return False
    return (await sandbox.run(sandbox_run(task, "", {caller_file(task): task.caller_tests}))).passed


def undecided(task: Task, suite: Suite, chosen: Candidate, entry: str | None) -> Report:
    """The report on code that was not run: nothing is claimed."""
    tests = task.caller_tests or render_tests(suite, task.module_name, entry, chosen.names)
    return replace(_nothing_written(task), code=chosen.code, tests=tests, stderr=NOTHING_RAN, error=None)


def best_so_far(task: Task, reading: Reading, suite: Suite, evidence: Evidence) -> Report | None:
    """The report when the time is up: the best code, judged by nothing; None when there is no code yet."""
    chosen = evidence.best
    if chosen is None:
        return None
    report = undecided(task, suite, chosen, reading.entry)
    facts = _facts(evidence, chosen, evidence.standing(), reading, task)
    error = f"The deadline of {task.deadline_sec:g} s passed before a verdict was reached."
    return replace(report, verdict="budget_exhausted", stderr="", evidence=facts, error=error)


async def _accepted(
    sandbox: Sandbox, task: Task, reading: Reading, suite: Suite, evidence: Evidence, chosen: Candidate
) -> list[str]:
    """The generated cases that count: failing on stubs, and passed by the code or not contradicted."""
    if evidence.trusted or passes_everything(chosen, evidence):
        kept = [case for case in evidence.generated if passed_of(chosen, [case])]
    else:
        kept = evidence.standing()
    if not kept or reading.entry is None:
        return []
    name = "test_stubs.py"
    text = stub_file(suite.only(kept), reading.entry)
    brief = replace(task, timeout_sec=min(task.timeout_sec, STUBS_WITHIN_SEC))
    result = await sandbox.run(sandbox_run(brief, "", {name: text}))
    passed = [case.id.partition("::test_")[2] for case in result.cases if case.outcome == "passed"]
    return survivors(suite.only(kept), passed)


def _verdict(result: SandboxResult, evidence: Evidence, kept: list[str], *, passed: bool, backed: bool) -> Verdict:
    """`passed`: everything that counts passed in the run it was judged by and in the last one on what is delivered."""
    if result.missing_modules or result.outcome == "infrastructure":
        return "not_verified"
    if evidence.trusted:
        return ("verified" if backed else "not_verified") if passed else "tests_failed"
    if not passed:
        return "tests_failed"
    enough = max(LEAST_GENERATED, (len(evidence.generated) + 1) // 2)
    return "verified" if len(kept) >= enough else "not_verified"


def _explain(task: Task, verdict: str, result: SandboxResult, evidence: Evidence, kept: list[str]) -> str | None:
    if result.missing_modules:
        imported = {name.partition(".")[0] for name in task.imports}
        other = ", ".join(sorted(imported & set(result.missing_modules) - TEST_LIBRARIES))
        if other and task.module_name not in imported:
            return f"Your tests import {other}; the module here is {task.module}. Name it with `module`."
        hints = "\n".join(_hint(name) for name in result.missing_modules)
        return f"The sandbox lacks the package(s) {', '.join(result.missing_modules)}. To add them:\n{hints}"
    if verdict == "tests_failed":
        failed = next((case for case in result.cases if case.outcome != "passed"), None)
        if failed is None and result.passed:
            return "The same code passed in one run and failed in another: its behaviour is not constant."
        return f"{failed.id}: {failed.message}" if failed else result.reason
    if verdict == "not_verified":
        return f"The sandbox failed: {result.reason}" if result.outcome == "infrastructure" else _doubt(evidence, kept)
    return None


def _hint(module: str) -> str:
    try:
        return package_hint(module)
    except ValueError:
        return f"{module!r} is not the name of a package."


def _doubt(evidence: Evidence, kept: list[str]) -> str:
    """Why code that fails nothing that counts is still not verified, and what would settle it."""
    more = "Add another example such as `f(2) == 4` to the request, or pass tests."
    if evidence.best is not None and is_outvoted(evidence.best, evidence):
        return f"Other candidates that pass the same tests behave differently on other inputs: one is wrong. {more}"
    if evidence.trusted:
        return (
            f"It passes the examples, and fails most of the {len(evidence.generated)} tests written from the request: "
            f"either may be wrong. {more}"
        )
    return (
        f"Only {len(kept)} generated test(s) could be accepted; without an example in the request at least "
        f"{LEAST_GENERATED} are needed. {more}"
    )


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


def _facts(
    evidence: Evidence, chosen: Candidate, kept: list[str], reading: Reading, task: Task
) -> Mapping[str, object]:
    examples = len(reading.examples)
    checks = chosen.row.checks if chosen.row else {}
    return {
        "caller_tests": len(evidence.trusted) - examples,
        "examples": examples,
        "trusted_passed": passed_of(chosen, evidence.trusted),
        "trusted_failed": [name for name in evidence.trusted if name not in checks or not checks[name].passed],
        "generated_tests": len(kept),
        "generated_written": len(evidence.generated),
        "generated_dropped": [name for name in evidence.generated if name not in kept],
        "candidates": len(evidence.candidates),
        "agreement": _agreement(evidence, chosen),
        "delivered_candidate": chosen.index,
    }


def _agreement(evidence: Evidence, chosen: Candidate) -> float:
    """Share of candidates that fare on every case as the delivered one does, itself included."""

    def pattern(candidate: Candidate) -> list[int]:
        return [passed_of(candidate, [case]) for case in [*evidence.trusted, *evidence.generated]]

    alike = sum(pattern(candidate) == pattern(chosen) for candidate in evidence.candidates)
    return round(alike / len(evidence.candidates), 3)


def _confidence(evidence: Evidence, chosen: Candidate, verified: bool) -> float:
    """0 to 1: the share of cases passed, trusted ones counting three times, with one doubt added (Laplace)."""
    trusted, generated = list(evidence.trusted), list(evidence.generated)
    weight = 3 * len(trusted) + len(generated)
    share = (3 * passed_of(chosen, trusted) + passed_of(chosen, generated) + 1) / (weight + 2)
    return round(share if verified else min(share, 0.5) / 2, 3)


def _test_output(result: SandboxResult) -> str:
    lines = [f"{case.outcome.upper():7} {case.id}" for case in result.cases]
    for case in result.cases:
        if case.outcome != "passed" and case.message:
            lines += ["", case.id, case.message]
    return "\n".join([*lines, "", result.reason]).strip()


def write_summary(task: Task, report: Report) -> str:
    """The answer in markdown: the verdict in words and what it rests on."""
    said = {
        "verified": f"**Verified.** `{task.module}` passed every test that counts.",
        "tests_failed": f"**Tests failed.** `{task.module}` is the best candidate, and it does not pass.",
        "not_verified": "**Not verified.** There is no proof that this works.",
        "budget_exhausted": "**Out of time.** This is the best code so far; it has not been verified.",
    }
    facts = report.evidence
    lines = [said.get(report.verdict, report.verdict), "", f"- Tests: {_counted(facts)}"]
    lines.append(f"- Candidates tried: {facts.get('candidates', 0)}; confidence {report.confidence:.2f}")
    if report.stderr == NOTHING_RAN:
        lines.append("- Nothing was executed: the sandbox is disabled.")
    if report.error:
        lines += ["", report.error]
    return "\n".join(lines)


def _counted(facts: Mapping[str, object]) -> str:
    parts = [
        f"{facts[key]} {word}"
        for key, word in (
            ("caller_tests", "of yours"),
            ("examples", "from examples in the request"),
            ("generated_tests", "written from the request and accepted"),
        )
        if facts.get(key)
    ]
    return ", ".join(parts) or "none"
