"""What to do next, as a pure function of the evidence: tested without a model, replayable from a job's record.

- No code: ask again, then give up.
- Trusted cases (the caller's tests, the request's examples) decide where there are any. While one fails: refine with
  the concrete failure as long as each refinement changes the picture, then other samples. When all examples pass, a
  second signal must agree (`is_backed`): while one of the model's own cases fails, other samples are drawn, and
  candidates are compared on inputs nobody wrote.
- Without them the model's own cases are evidence, not law. All pass: accept. Most fail, or nothing but crashes: refine.
  In between either side may be wrong: sample more and let the majority of candidates tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from coder_agent.candidates import LEAST_VOTERS, Candidate, best, contradicted, passed_of, voters

Action = Literal["write_code", "write_tests", "run_tests", "compare", "refine", "accept", "stop"]
LEAST_GENERATED = 3
"""Accepted generated cases that a verdict without trusted ones needs."""


@dataclass(frozen=True)
class Limits:
    """What a tier may spend on one job."""

    samples: int
    refinements: int
    rounds_of_tests: int
    empty_answers: int = 2
    tests_beside_examples: bool = True
    runs_code: bool = True


TIERS: dict[str, Limits] = {
    "fast": Limits(samples=1, refinements=2, rounds_of_tests=1, tests_beside_examples=False),
    "standard": Limits(samples=3, refinements=2, rounds_of_tests=1),
    "deep": Limits(samples=6, refinements=2, rounds_of_tests=2),
}


@dataclass(frozen=True)
class Evidence:
    """Everything known so far about one job."""

    candidates: Sequence[Candidate] = ()
    trusted: Sequence[str] = ()
    """Ids of the request's examples and the caller's tests."""
    generated: Sequence[str] = ()
    """Ids of the model's cases."""
    rounds_of_tests: int = 0
    refinements: int = 0
    attempts: int = 0
    """Answers to "write the code" so far, with and without code in them."""
    alike: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """By index, the candidates (itself included) that do the same on inputs nobody wrote; empty before a comparison."""
    can_compare: bool = False
    """Whether there are calls to vary."""
    has_caller_tests: bool = False
    asked_for: frozenset[str] = frozenset()
    """Packages the sandbox lacks that the request itself asks for."""

    @property
    def best(self) -> Candidate | None:
        """The candidate that would be delivered now."""
        return best(self.candidates, self.trusted, self.generated, self.alike)

    def standing(self) -> list[str]:
        """The generated cases that the candidates do not contradict."""
        dropped = contradicted(self.candidates, self.generated)
        return [case for case in self.generated if case not in dropped]


def decide(evidence: Evidence, limits: Limits) -> Action:
    """The next step. `accept` and `stop` both lead to the verdict; `accept`: every case that counts passed."""
    chosen = evidence.best
    if chosen is None:
        return "write_code" if evidence.attempts < limits.empty_answers else "stop"
    if _wants_tests(evidence, limits):
        return "write_tests"
    if not limits.runs_code:
        return "stop"
    if any(candidate.row is None for candidate in evidence.candidates):
        return "run_tests"
    if chosen.row and chosen.row.missing_modules:
        may_do_without = evidence.refinements < min(1, limits.refinements) and not evidence.asked_for
        return "refine" if may_do_without else "stop"
    if evidence.trusted:
        return _decide_by_trusted(evidence, limits, chosen)
    return _decide_by_generated(evidence, limits, chosen)


def refine_target(evidence: Evidence) -> Candidate | None:
    """The candidate a refinement starts from: the latest where it is no worse than the best, else the best."""
    if not evidence.candidates:
        return None
    latest, chosen = evidence.candidates[-1], evidence.best
    count = [*evidence.trusted, *evidence.standing()]
    if chosen is None or passed_of(latest, count) >= passed_of(chosen, count):
        return latest
    return chosen


def counts_as_settled(candidate: Candidate, evidence: Evidence) -> bool:
    """Whether the generated cases alone speak for `candidate`: it passes all, or all that stand and enough stand."""
    if passes_everything(candidate, evidence):
        return True
    standing = evidence.standing()
    enough = max(LEAST_GENERATED, (len(evidence.generated) + 1) // 2)
    passes = len(standing) >= enough and passed_of(candidate, standing) == len(standing)
    return passes and not is_outvoted(candidate, evidence)


def passes_everything(candidate: Candidate, evidence: Evidence) -> bool:
    """Whether `candidate` passes every generated case, and there are enough: the strongest word there is."""
    return len(evidence.generated) >= LEAST_GENERATED and passed_of(candidate, evidence.generated) == len(
        evidence.generated
    )


def is_outvoted(candidate: Candidate, evidence: Evidence) -> bool:
    """Whether at least half of those compared do otherwise than `candidate` on some input."""
    return bool(evidence.alike) and len(evidence.alike.get(candidate.index, ())) * 2 <= len(evidence.alike)


def is_backed(candidate: Candidate, evidence: Evidence) -> bool:
    """Whether a second signal agrees with the examples: one example alone is easily met by wrong code.

    The signal is half of the model's own cases (all, where they are fewer than three), or that most of at least three
    samples, written differently, behave alike on all of them. The same code written three times shows what the model
    prefers, not that it is right.
    """
    generated = evidence.generated
    wanted = (len(generated) + 1) // 2 if len(generated) >= LEAST_GENERATED else len(generated)
    if passes_everything(candidate, evidence):
        return True
    if is_outvoted(candidate, evidence):
        return False
    if passed_of(candidate, generated) >= wanted:
        return True
    others = voters(evidence.candidates)
    alike = [c for c in others if all(passed_of(c, [g]) == passed_of(candidate, [g]) for g in generated)]
    is_majority = len(others) >= LEAST_VOTERS and len(alike) * 2 > len(others)
    return is_majority and len({c.form for c in alike}) >= 2


def comparable(evidence: Evidence) -> list[Candidate]:
    """The candidates worth comparing: they load, pass as many trusted cases as the best, and half as many others."""
    if (chosen := evidence.best) is None:
        return []
    trusted, generated = passed_of(chosen, evidence.trusted), passed_of(chosen, evidence.generated)
    return [
        c
        for c in evidence.candidates
        if c.row and c.row.loads and passed_of(c, evidence.trusted) == trusted
        if passed_of(c, evidence.generated) * 2 >= generated
    ]


def _wants_comparison(evidence: Evidence) -> bool:
    chosen = evidence.best
    if not evidence.can_compare or evidence.has_caller_tests or chosen is None or passes_everything(chosen, evidence):
        return False
    wanted = {candidate.index for candidate in comparable(evidence)}
    return len(wanted) > 1 and set(evidence.alike) != wanted


def _wants_tests(evidence: Evidence, limits: Limits) -> bool:
    if evidence.has_caller_tests or evidence.rounds_of_tests >= limits.rounds_of_tests:
        return False
    if not evidence.trusted:
        return evidence.rounds_of_tests == 0 or len(evidence.generated) < LEAST_GENERATED
    chosen = evidence.best
    is_right_so_far = chosen is not None and passed_of(chosen, evidence.trusted) == len(evidence.trusted)
    return limits.tests_beside_examples and is_right_so_far and evidence.rounds_of_tests == 0


def _decide_by_trusted(evidence: Evidence, limits: Limits, chosen: Candidate) -> Action:
    may_refine = evidence.refinements < limits.refinements and _last_refinement_changed_something(evidence)
    if passed_of(chosen, evidence.trusted) < len(evidence.trusted):
        return "refine" if may_refine else _sample_or_stop(evidence, limits)
    if _wants_comparison(evidence):
        return "compare"
    standing = evidence.standing()
    if is_backed(chosen, evidence) and passed_of(chosen, standing) == len(standing):
        return "accept"
    return "refine" if may_refine and _crashes_on_generated(chosen, evidence) else _sample_or_stop(evidence, limits)


def _decide_by_generated(evidence: Evidence, limits: Limits, chosen: Candidate) -> Action:
    if _wants_comparison(evidence):
        return "compare"
    if counts_as_settled(chosen, evidence):
        return "accept"
    may_refine = evidence.refinements < limits.refinements and _last_refinement_changed_something(evidence)
    fails_most = passed_of(chosen, evidence.generated) * 2 <= len(evidence.generated)
    crashes = chosen.row is not None and chosen.row.only_crashes
    if may_refine and (crashes or (evidence.generated and fails_most)):
        return "refine"
    if len(evidence.generated) < LEAST_GENERATED and not crashes:
        return "stop"
    return _sample_or_stop(evidence, limits)


def _crashes_on_generated(chosen: Candidate, evidence: Evidence) -> bool:
    checks = chosen.row.checks if chosen.row else {}
    failed = [checks[case] for case in evidence.generated if case in checks and not checks[case].passed]
    return any(check.exception not in {"AssertionError", "Failed", None} for check in failed)


def _sample_or_stop(evidence: Evidence, limits: Limits) -> Action:
    samples = sum(candidate.origin == "sample" for candidate in evidence.candidates)
    return "write_code" if samples < limits.samples and evidence.attempts < limits.samples + 1 else "stop"


def _last_refinement_changed_something(evidence: Evidence) -> bool:
    """Whether the newest candidate fails otherwise than every one before it; the same failure twice ends refining."""
    *earlier, latest = evidence.candidates
    if latest.origin != "refine" or latest.row is None:
        return True
    return all(before.row is None or before.row.signature() != latest.row.signature() for before in earlier)
