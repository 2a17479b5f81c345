"""From the records of the guest to an outcome. Pure: `judge` sees bytes and numbers, and starts nothing.

ready → [collect_error*] → collected → (started → phase setup → phase call → phase teardown)* → [aborted] → end
   (a failed part of a test: subtest, before its call)
   every record: the nonce, and its place in the row

It stops: a verdict printed or written without the nonce, missing, doubled, reordered or unknown records, an early exit
with code 0, tests that were skipped or left out, an interpreter in which nothing can fail any more (the control).
It does not stop: a program that finds the channel in its own process and forges a complete, consistent report.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kitty_sandbox.expectations import Expectations, base_name
from kitty_sandbox.port import CaseOutcome, CaseResult, Outcome
from kitty_sandbox.records import Forged, missing_packages, read_records, readable

HowItEnded = Literal["exited", "timeout", "flood", "report_flood", "not_started"]
_PHASES = ("setup", "call", "teardown")
_MESSAGE_CHARACTERS = 2000
_ASYNC_HINT = "async def functions are not natively supported"


@dataclass(frozen=True)
class Evidence:
    """What the supervisor saw of one process."""

    ended: HowItEnded
    exit_code: int | None
    report: bytes


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    reason: str
    cases: tuple[CaseResult, ...] = ()
    missing_modules: tuple[str, ...] = ()
    unfit: str | None = None
    """Why tests and program cannot run apart, where that was tried and is so."""


@dataclass
class _Case:
    phases: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    started: bool = False
    subtest: Mapping[str, Any] | None = None
    """The first part (`subTest`) of it that did not pass."""


@dataclass
class _Story:
    """The records, sorted. Filling it checks their order and that nothing comes twice."""

    apart: bool = False
    unfit: str | None = None
    ready: bool = False
    collected: list[str] | None = None
    cases: dict[str, _Case] = field(default_factory=dict)
    errors: list[CaseResult] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    aborted: Mapping[str, Any] | None = None
    end: int | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        kind = record.get("kind")
        handler = {
            "ready": self._add_ready,
            "collect_error": self._add_collect_error,
            "collected": self._add_collected,
            "started": self._add_started,
            "phase": self._add_phase,
            "subtest": self._add_subtest,
            "aborted": self._add_aborted,
            "end": self._add_end,
            **({"unfit": self._add_unfit} if self.apart else {}),
        }.get(str(kind))
        if handler is None or self.end is not None or (kind != "ready") != self.ready:
            raise Forged(f"an unexpected record {kind!r}"[:80])
        if record.get("missing") is not None:
            self.missing.append(str(record["missing"]))
        handler(record)

    def _add_ready(self, record: Mapping[str, Any]) -> None:
        self.ready = True

    def _add_collect_error(self, record: Mapping[str, Any]) -> None:
        self.errors.append(CaseResult(_text(record, "id"), "error", _text(record, "message"), _name(record)))

    def _add_collected(self, record: Mapping[str, Any]) -> None:
        ids = record.get("ids")
        if self.collected is not None or not isinstance(ids, list) or len(set(map(str, ids))) != len(ids):
            raise Forged("a second or malformed list of tests")
        self.collected = [str(item) for item in ids]
        self.cases = {item: _Case() for item in self.collected}

    def _add_started(self, record: Mapping[str, Any]) -> None:
        case = self.cases.get(str(record.get("id")))
        if case is None or case.started:
            raise Forged("a test that started twice or was never collected")
        case.started = True

    def _add_phase(self, record: Mapping[str, Any]) -> None:
        case, when = self.cases.get(str(record.get("id"))), str(record.get("when"))
        if case is None or when not in _PHASES or when in case.phases:
            raise Forged("a test result that is doubled or belongs to no test")
        case.phases[when] = record

    def _add_subtest(self, record: Mapping[str, Any]) -> None:
        case = self.cases.get(str(record.get("id")))
        if case is None or record.get("outcome") == "passed":
            raise Forged("a part of a test that belongs to no test")
        case.subtest = case.subtest or record

    def _add_aborted(self, record: Mapping[str, Any]) -> None:
        self.aborted = record
        self.errors.append(CaseResult(_text(record, "id"), "error", _text(record, "message"), _name(record)))

    def _add_unfit(self, record: Mapping[str, Any]) -> None:
        self.unfit = _text(record, "reason")

    def _add_end(self, record: Mapping[str, Any]) -> None:
        self.end = record["rc"] if isinstance(record.get("rc"), int) else -1


def judge(
    evidence: Evidence,
    expected: Expectations,
    control: str,
    nonce: str,
    own_modules: Iterable[str],
    *,
    apart: bool = False,
) -> Verdict:
    """The verdict on one run.

    Args:
        control: the file whose tests must fail.
        own_modules: the top-level names among the run's files.
        apart: the program ran in a process of its own, so that the report is not its word.
    """
    story = _Story(apart=apart)
    forged = ""
    try:
        for record in read_records(evidence.report, nonce, complete=evidence.ended == "exited"):
            story.add(record)
    except Forged as error:
        forged = str(error)
    if not story.ready and not forged:
        return Verdict("infrastructure", "The sandbox did not start its test runner.")
    cases = tuple(_results(story, control, evidence.ended))
    missing = missing_packages(story.missing, own_modules)
    outcome, reason = _decide(evidence, story, expected, control, forged)
    return Verdict(outcome, reason, cases, missing, None if forged else story.unfit)


def _decide(
    evidence: Evidence, story: _Story, expected: Expectations, control: str, forged: str
) -> tuple[Outcome, str]:
    if forged:
        return "tampered", f"The report of the test run was tampered with: {forged}."
    stopped = _stopped(evidence, story)
    if stopped is not None:
        return stopped
    if story.aborted is not None:
        place = _text(story.aborted, "id") or "a test"
        return "failed", f"The program ended the test run by raising {_name(story.aborted)} in {place}."
    if story.errors:
        first = story.errors[0]
        return "failed", f"{first.id} could not be loaded: {_first_line(first.message)}"
    return _decide_finished(story, expected, control)


def _stopped(evidence: Evidence, story: _Story) -> tuple[Outcome, str] | None:
    """The outcomes of a process that did not end as our runner ends it."""
    code = evidence.exit_code
    if evidence.ended == "timeout":
        return "timeout", "The program did not finish within the time limit."
    if evidence.ended == "flood":
        return "killed", "The program wrote more output than is allowed and was killed."
    if evidence.ended == "report_flood":
        return "tampered", "The report of the test run was flooded."
    if story.end is not None and story.end != code:
        return "tampered", f"The test run said that it ends with code {story.end}, but the process ended with {code}."
    if story.end is None and code is not None and code > 128:
        return "killed", f"The program was killed by signal {code - 128}."
    if story.end is None:
        return "failed", f"The program ended (exit code {code}) before all its tests had reported."
    return None


def _decide_finished(story: _Story, expected: Expectations, control: str) -> tuple[Outcome, str]:
    if story.collected is None:
        return "failed", "The tests could not be collected."
    collected = story.collected
    controls = [item for item in collected if item.startswith(control + "::")]
    names = {base_name(item) for item in collected} - {base_name(item) for item in controls}
    if len(controls) != 1 or not _control_failed(story.cases[controls[0]]):
        return "tampered", "A test that must fail did not fail: the test machinery was tampered with."
    if not names:
        return "no_tests", "There was no test to run."
    if names - expected.allowed:
        return "failed", f"A test ran that is not in the test files: {min(names - expected.allowed)}."
    if expected.required - names:
        return "failed", f"A test of the test files did not run: {min(expected.required - names)}."
    return _decide_cases(story, [item for item in collected if item not in controls])


def _decide_cases(story: _Story, tests: list[str]) -> tuple[Outcome, str]:
    cases = [story.cases[item] for item in tests]
    if not all(_is_consistent(case) for case in cases):
        return "tampered", "The report of a test does not agree with what was observed while it ran."
    outcomes = [_outcome(case) for case in cases]
    bad = sum(item in {"failed", "error"} for item in outcomes)
    if bad:
        return "failed", f"{bad} of {len(outcomes)} tests failed."
    unproven = sum(item != "passed" for item in outcomes)
    if unproven:
        return "failed", f"{unproven} of {len(outcomes)} tests were skipped or expected to fail; that is not a pass."
    if story.end != 0:
        return "tampered", f"Every test reported a pass, but the test run ended with code {story.end}."
    return "passed", "The only test passed." if len(outcomes) == 1 else f"All {len(outcomes)} tests passed."


def _control_failed(case: _Case) -> bool:
    call = case.phases.get("call", {})
    return call.get("outcome") == "failed" and call.get("observed") == "AssertionError"


def _is_consistent(case: _Case) -> bool:
    """Setup and teardown exactly once, a call exactly if setup passed, and pytest says what we observed."""
    setup, call, teardown = (case.phases.get(when) for when in _PHASES)
    if setup is None or teardown is None or (call is None) == (setup.get("outcome") == "passed"):
        return False
    return all(
        (phase.get("observed") == "ok") or phase.get("outcome") != "passed" or phase.get("xfail") is True
        for phase in case.phases.values()
    )


def _outcome(case: _Case) -> CaseOutcome:
    found: CaseOutcome = "passed"
    if case.subtest is not None:
        return "failed" if case.subtest.get("outcome") == "failed" else "skipped"
    for when in _PHASES:
        phase = case.phases.get(when, {})
        outcome, xfail = phase.get("outcome"), phase.get("xfail") is True
        if outcome == "failed":
            return "failed" if when == "call" else "error"
        if outcome == "skipped":
            found = "xfailed" if xfail else "skipped"
        elif outcome == "passed" and xfail:
            found = "xpassed"
        elif phase and outcome != "passed":
            return "error"
    return found


def _results(story: _Story, control: str, ended: HowItEnded) -> Iterable[CaseResult]:
    yield from story.errors
    told = {error.id for error in story.errors}
    for node_id, case in story.cases.items():
        if node_id.startswith(control + "::") or not case.started or node_id in told:
            continue
        if "teardown" not in case.phases and _outcome(case) == "passed":
            late = ended == "timeout"
            message = "It did not finish within the time limit." if late else "The process ended while this test ran."
            yield CaseResult(readable(node_id), "failed", message, "TimeoutError" if late else None)
            continue
        yield _result(node_id, case)


def _result(node_id: str, case: _Case) -> CaseResult:
    told = case.subtest or next((phase for phase in case.phases.values() if phase.get("message")), {})
    seconds = sum(float(phase["seconds"]) for phase in case.phases.values() if isinstance(phase.get("seconds"), float))
    message = _text(told, "message")
    if _ASYNC_HINT in message:
        message = "The test is an async function, which pytest cannot run here; call asyncio.run(...) in a plain test."
    return CaseResult(readable(node_id), _outcome(case), message, _name(told), seconds)


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    return readable(value[:_MESSAGE_CHARACTERS]) if isinstance(value, str) else ""


def _name(record: Mapping[str, Any]) -> str | None:
    value = record.get("exception")
    return readable(value[:200]) if isinstance(value, str) else None


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:300]
