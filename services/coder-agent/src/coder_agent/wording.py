"""The verdict in words: what it rests on, why it is not better, and what would settle it."""

from collections.abc import Mapping

from coder_agent.candidates import Candidate, passed_of
from coder_agent.evidence import LEAST_GENERATED, Evidence
from coder_agent.state import Report, Task
from coder_agent.task import TEST_LIBRARIES
from kitty_sandbox import SandboxResult, package_hint

NOTHING_RAN = "Sandbox disabled"
MORE = "Add another example such as `f(2) == 4` to the request, or pass tests."


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
    if task.given is not None:
        lines.append(f"- {_changed(task, report)}")
    lines.append(f"- Candidates tried: {facts.get('candidates', 0)}; confidence {report.confidence:.2f}")
    if report.stderr == NOTHING_RAN:
        lines.append("- Nothing was executed: the sandbox is disabled.")
    if report.error:
        lines += ["", report.error]
    return "\n".join(lines)


def _changed(task: Task, report: Report) -> str:
    """What became of the code that came with the task."""
    failed = report.evidence.get("given_failed")
    before = f"before, {len(failed)} failed" if isinstance(failed, list) and failed else "it passed as it was"
    return f"Nothing was changed: {before}." if report.code == task.given else f"Corrected: {before}."


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


def explain(task: Task, verdict: str, result: SandboxResult, evidence: Evidence, kept: list[str]) -> str | None:
    """What keeps the code from being verified, and what to do; None where it is."""
    if result.missing_modules:
        imported = {name.partition(".")[0] for name in task.imports}
        other = ", ".join(sorted(imported & set(result.missing_modules) - TEST_LIBRARIES))
        if other and task.module_name not in imported:
            return f"Your tests import {other}; the module here is {task.module}. Name it with `module`."
        hints = "\n".join(_hint(name) for name in result.missing_modules)
        return f"The sandbox lacks the package(s) {', '.join(result.missing_modules)}. To add them:\n{hints}"
    if verdict == "tests_failed":
        return _what_failed(result, evidence)
    if verdict == "not_verified":
        return f"The sandbox failed: {result.reason}" if result.outcome == "infrastructure" else _doubt(evidence, kept)
    return None


def _what_failed(result: SandboxResult, evidence: Evidence) -> str:
    failed = next((case for case in result.cases if case.outcome != "passed"), None)
    if failed is None and result.passed:
        return "The same code passed in one run and failed in another: its behaviour is not constant."
    told = f"{failed.id}: {failed.message}" if failed else result.reason
    if suspects := evidence.suspects:
        names = ", ".join(suspects)
        return f"{told}\nNo candidate met {names}, while others were met: please look whether that example is right."
    return told


def _hint(module: str) -> str:
    try:
        return package_hint(module)
    except ValueError:
        return f"{module!r} is not the name of a package."


def _doubt(evidence: Evidence, kept: list[str]) -> str:
    """Why code that fails nothing that counts is still not verified, and what would settle it."""
    chosen = evidence.best
    if evidence.model_lost:
        return (
            "The model was lost on the way, so there was no second opinion on code that meets the examples. Try again."
        )
    if chosen is not None and (against := _against(evidence, chosen)):
        return f"{against} {MORE}"
    if evidence.trusted:
        return (
            f"It meets the request's {_examples(evidence)}{_missed(chosen) or ','} and nothing else speaks for it"
            f"{_tests(evidence)}. {MORE}"
        )
    if not evidence.generated and not evidence.inputs:
        return (
            "Nothing could be put to the test. Add an example (of a script: its input and its output), or pass tests."
        )
    if len(kept) >= LEAST_GENERATED:
        return f"The samples part on other inputs, or contradict most of the tests written from the request. {MORE}"
    return (
        f"Only {len(kept)} generated test(s) could be accepted; without an example in the request at least "
        f"{LEAST_GENERATED} are needed. {MORE}"
    )


def _against(evidence: Evidence, chosen: Candidate) -> str | None:
    if unproved := evidence.unproved(chosen):
        return f"Nothing that counts shows that {', '.join(unproved)} is there and works."
    if evidence.is_outvoted(chosen):
        return "Other candidates that pass the same tests behave differently on other inputs: one is wrong."
    if evidence.is_constant(chosen):
        return "It gives the same value whatever goes in, the example's: that is hardly what is meant."
    if evidence.is_silent(chosen):
        return "It fails with an error for nearly everything but the examples, as code does that holds their answers."
    return None if evidence.meets_stated(chosen) else "It does not do what the request says of every result."


def _examples(evidence: Evidence) -> str:
    return "example" if len(evidence.trusted) == 1 else f"{len(evidence.trusted)} examples"


def _missed(chosen: Candidate | None) -> str:
    strength = chosen.strength if chosen is not None else None
    if strength is not None and strength.stub_meets:
        return ", which code that always does the same could meet,"
    found = strength.faults_found if strength is not None else None
    return "" if found is None or found == 1 else f", which would not notice {1 - found:.0%} of small faults in it,"


def _tests(evidence: Evidence) -> str:
    generated, chosen = evidence.generated, evidence.best
    if not generated:
        return ": no other sample does the same on other inputs"
    if chosen is not None and 2 * passed_of(chosen, generated) >= len(generated):
        return ": of the tests written from the request too few say anything"
    return f": it fails most of the {len(evidence.generated)} tests written from the request, and either may be wrong"
