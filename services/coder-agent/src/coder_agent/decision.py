"""What to do next, as a pure function of the evidence and the budget: tested without a model, replayable from a record.

                     ┌─ none ───────────────> write_tests ─┐
    write_code ──> trusted cases ── all pass ─> a second signal agrees? ──> accept
         ↑           └─ one fails ─┐                       └─ no ─┐
         └──── another style ──────┴── refine, once it shows why ─┴── split: which of two values? ── stop

- Tokens go where the evidence is bad: one greedy answer that meets the examples costs no second opinion in the fast
  tier, one more sample in the others where there are fewer than three examples.
- A trusted case that fails calls for a refinement with the concrete failure first, then for more samples, most of them
  the same question again; a refinement that changes nothing is not repeated.
- Without trusted cases the model's own are evidence, not law: they are scored one by one, and the majority of the
  samples may contradict them.
"""

from dataclasses import dataclass, replace
from typing import Literal

from coder_agent.candidates import Candidate, ExampleStrength, Style, passed_of
from coder_agent.evidence import ENOUGH_TO_SUSPECT, LEAST_GENERATED, LEAST_INPUTS, LEAST_VOTERS, Evidence

Action = Literal["write_code", "write_tests", "run_tests", "refine", "split", "repair", "accept", "stop"]


@dataclass(frozen=True)
class Limits:
    """What a tier may spend on one job."""

    styles: tuple[Style, ...]
    """How each sample is asked for, in turn; as many as there may be."""
    opinions: tuple[Style, ...]
    """The same where the first answer fails no example, and what is missing is another opinion on it."""
    rounds_of_tests: int
    most_tokens: float
    """Times the first answer's tokens, after which no sample, refinement or value is asked for."""
    most_when_pinned: float
    """The same once the examples find most small faults in the best candidate: another opinion adds little."""
    most_in_vain: float
    """The same while no candidate meets the examples: what more of the same tries cost buys hardly anything."""
    most_without_examples: float
    """The same where the request gives no example: checks must be written first, often dearer than the code."""
    asks_again_up_to: int | None = None
    """A bound in tokens as well while no candidate meets the examples: nothing is asked for after a long answer."""
    suspects_after: int = ENOUGH_TO_SUSPECT
    """Samples that must all fail one of several examples before the search is given up for it."""
    refinements: int = 2
    """CODER_REFINE_PASSES or `max_refinements` of the request say how many."""
    splits: int = 0
    empty_answers: int = 2
    wants_backing: bool = True
    """Whether fewer than three examples need a second signal for `verified`."""
    refines_wrong: bool = True
    """Whether wrong values are refined, not crashes alone."""
    runs_code: bool = True

    @property
    def samples(self) -> int:
        """Most samples."""
        return len(self.styles)


REPAIRS = {"fast": 2, "standard": 6, "deep": 12}
"""Corrections that a tier asks for, of code that came with the task."""
TIERS: dict[str, Limits] = {
    "fast": Limits(
        styles=("plain", "again"),
        opinions=("plain", "because"),
        rounds_of_tests=1,
        most_tokens=3,
        most_when_pinned=3,
        most_in_vain=3,
        most_without_examples=2,
        asks_again_up_to=160,
        wants_backing=False,
        refines_wrong=False,
    ),
    "standard": Limits(
        styles=("plain", "again", "again", "because", *(("again", "again", "again", "steps") * 2)),
        opinions=("plain", "because", "again", "steps", *(("again", "again", "because", "again") * 2)),
        rounds_of_tests=1,
        most_tokens=4.5,
        most_when_pinned=3,
        most_in_vain=2.75,
        most_without_examples=7.25,
        splits=1,
    ),
    "deep": Limits(
        styles=("plain", "again", "again", "because", *(("hot",) * 27)),
        opinions=("plain", "because", "again", "steps", *(("again", "again", "because") * 9)),
        rounds_of_tests=2,
        most_tokens=10,
        most_when_pinned=6,
        most_in_vain=10,
        most_without_examples=15,
        suspects_after=10,
        splits=3,
    ),
}


def decide(evidence: Evidence, limits: Limits) -> Action:
    """The next step. `accept` and `stop` both lead to the verdict; `accept`: every case that counts passed."""
    if evidence.given is not None:
        return _decide_correction(evidence, limits, evidence.given)
    return _decide_writing(evidence, limits)


def next_style(evidence: Evidence, limits: Limits) -> Style:
    """How the next sample is to be asked for."""
    if not evidence.candidates:
        return "plain" if evidence.attempts == 0 else "again"
    fails = bool(evidence.trusted) and not evidence.meets_trusted(evidence.candidates[0])
    styles = limits.styles if fails else limits.opinions
    return styles[min(evidence.attempts, len(styles) - 1)]


def may_be_verified(evidence: Evidence, limits: Limits, candidate: Candidate) -> bool:
    """Whether more than that it meets the examples speaks for it: other samples, or how many faults the examples find.

    Where the tier wants no more and there is no place for a fault, that nothing speaks against it.
    """
    if evidence.unproved(candidate):
        return False
    if not evidence.trusted:
        return evidence.is_settled_by_generated(candidate)
    if evidence.is_backed(candidate) or evidence.is_pinned(candidate):
        return True
    has_no_faults = candidate.strength == ExampleStrength(faults_found=None, stub_meets=False)
    return has_no_faults and not (limits.wants_backing or evidence.is_contradicted(candidate))


def refine_target(evidence: Evidence) -> Candidate | None:
    """The candidate a refinement starts from: of those that are no worse than the best the latest.

    Rather one that gives a wrong value than one that crashes, because there is more to say of it.
    """
    chosen = evidence.best
    if chosen is None:
        return None
    count = [*evidence.trusted, *evidence.properties, *evidence.standing]
    as_good = [c for c in evidence.candidates if passed_of(c, count) >= passed_of(chosen, count)]
    return max(as_good, key=lambda c: (c.row is not None and not c.row.only_crashes, c.index))


def split_input(evidence: Evidence) -> str | None:
    """The shortest input, not asked about before, on which the two leading groups of samples part."""
    leading = evidence.groups_with_values[:2]
    if len(leading) < 2:
        return None
    rows = [group[0].row for group in leading]
    for given in sorted(evidence.domain, key=len):
        values = [row.outputs.get(given) if row else None for row in rows]
        if given not in evidence.asked and None not in values and values[0] != values[1]:
            return given
    return None


def wants_wider_inputs(evidence: Evidence) -> bool:
    """Whether the inputs so far are too few for code that may be right, or it does the same for all of them."""
    best = evidence.best
    if best is None or best not in evidence.voters or (evidence.trusted and not evidence.meets_trusted(best)):
        return False
    return not _can_compare(evidence, best)


def _decide_writing(evidence: Evidence, limits: Limits) -> Action:
    chosen = evidence.best
    if chosen is None:
        return "write_code" if evidence.attempts < limits.empty_answers else "stop"
    if evidence.model_lost:
        limits = replace(
            limits,
            refinements=0,
            rounds_of_tests=0,
            most_tokens=0,
            most_when_pinned=0,
            most_in_vain=0,
            most_without_examples=0,
        )
    if not evidence.trusted and evidence.rounds_of_tests == 0 and limits.rounds_of_tests:
        return "write_tests"
    if not limits.runs_code:
        return "stop"
    if any(candidate.row is None for candidate in evidence.candidates):
        return "run_tests"
    if chosen.row and chosen.row.missing_modules:
        may_do_without = evidence.refinements < min(1, limits.refinements) and not evidence.asked_for
        return "refine" if may_do_without else "stop" if evidence.asked_for else _sample_or_stop(evidence, limits)
    if evidence.trusted:
        return _decide_by_trusted(evidence, limits, chosen)
    return _decide_by_generated(evidence, limits, chosen)


def _decide_correction(evidence: Evidence, limits: Limits, given: Candidate) -> Action:
    """Code that came with the task is run, and corrected until it passes; without tests it is corrected once."""
    if not limits.runs_code:
        return "repair" if evidence.refinements == 0 and not evidence.model_lost else "stop"
    if any(candidate.row is None for candidate in evidence.candidates):
        return "run_tests"
    if evidence.best is not None and evidence.meets_trusted(evidence.best):
        return "accept"
    is_corrected = not evidence.trusted and evidence.best is not given
    has_left = evidence.refinements < limits.refinements and not evidence.model_lost
    return "repair" if has_left and not is_corrected else "stop"


def _decide_by_trusted(evidence: Evidence, limits: Limits, chosen: Candidate) -> Action:
    if not evidence.meets_trusted(chosen):
        is_hopeless = passed_of(chosen, evidence.trusted) + len(evidence.suspects) == len(evidence.trusted)
        if evidence.suspects and is_hopeless and _samples(evidence) >= limits.suspects_after:
            return "stop"
        target = refine_target(evidence)
        crashes = target is not None and target.row is not None and target.row.only_crashes
        is_worth_it = (crashes or limits.refines_wrong) and _may_refine(evidence, limits)
        return "refine" if is_worth_it else _sample_or_stop(evidence, limits)
    may_write_tests = evidence.rounds_of_tests < limits.rounds_of_tests
    if evidence.unproved(chosen):
        return "write_tests" if may_write_tests else _sample_or_stop(evidence, limits)
    if evidence.has_caller_tests or not limits.wants_backing or evidence.is_backed(chosen):
        return "accept"
    if _wants_split(evidence, limits):
        return "split"
    if not _can_be_supported(evidence, chosen) and (may_write_tests or evidence.is_pinned(chosen)):
        return "accept" if evidence.is_pinned(chosen) else "write_tests"
    if not evidence.inputs and not evidence.generated:
        return "stop"  # nothing tells samples apart
    return _sample_or_stop(evidence, limits)


def _decide_by_generated(evidence: Evidence, limits: Limits, chosen: Candidate) -> Action:
    if may_be_verified(evidence, limits, chosen):
        return "accept"
    crashes = chosen.row is not None and chosen.row.only_crashes
    fails_half = passed_of(chosen, evidence.generated) * 2 <= len(evidence.generated) and bool(evidence.generated)
    if (crashes or (fails_half and limits.refines_wrong)) and _may_refine(evidence, limits):
        return "refine"
    if not evidence.generated and not evidence.inputs and evidence.rounds_of_tests >= limits.rounds_of_tests:
        return "stop"  # nothing tells samples apart
    if len(evidence.standing) < LEAST_GENERATED and evidence.rounds_of_tests < limits.rounds_of_tests:
        return "write_tests"
    if len(evidence.generated) < LEAST_GENERATED and len(evidence.voters) >= LEAST_VOTERS:
        return "stop"  # so few tests prove nothing, however many samples agree
    if _wants_split(evidence, limits):
        return "split"
    return _sample_or_stop(evidence, limits)


def _can_be_supported(evidence: Evidence, chosen: Candidate) -> bool:
    """Whether another sample could back `chosen`: it can be compared, and is not just written again and again."""
    return _can_compare(evidence, chosen) and not evidence.is_repeated(chosen)


def _can_compare(evidence: Evidence, chosen: Candidate) -> bool:
    """Whether there are enough inputs to compare on, and it does not give one value for all of them."""
    return len(evidence.domain) >= LEAST_INPUTS and not evidence.is_constant(chosen)


def _wants_split(evidence: Evidence, limits: Limits) -> bool:
    """Whether two groups lead about equally and the model may be asked which of their values is right."""
    leading = evidence.groups_with_values[:2]
    if evidence.splits >= limits.splits or len(leading) < 2 or not _has_budget(evidence, limits):
        return False
    is_close = len(leading[0]) - len(leading[1]) <= 1
    return len(evidence.voters) >= 3 and is_close and split_input(evidence) is not None


def _may_refine(evidence: Evidence, limits: Limits) -> bool:
    """Whether another refinement is allowed and the newest was not in vain.

    After the same failure twice another sample comes first.
    """
    if evidence.refinements >= limits.refinements or not _has_budget(evidence, limits):
        return False
    *earlier, latest = evidence.candidates
    if latest.origin != "refine" or latest.row is None:
        return True
    return all(before.row is None or before.row.signature() != latest.row.signature() for before in earlier)


def _sample_or_stop(evidence: Evidence, limits: Limits) -> Action:
    has_left = _samples(evidence) < limits.samples and evidence.attempts < limits.samples + 1
    return "write_code" if has_left and _has_budget(evidence, limits) else "stop"


def _samples(evidence: Evidence) -> int:
    return sum(candidate.origin == "sample" for candidate in evidence.candidates)


def _has_budget(evidence: Evidence, limits: Limits) -> bool:
    return evidence.paid_tokens < _most_tokens(evidence, limits) * max(1, evidence.first_tokens)


def _most_tokens(evidence: Evidence, limits: Limits) -> float:
    """Times the first answer's tokens."""
    if not evidence.trusted:
        return limits.most_without_examples
    if evidence.best is not None and evidence.meets_trusted(evidence.best):
        return limits.most_when_pinned if evidence.is_pinned(evidence.best) else limits.most_tokens
    is_long = limits.asks_again_up_to is not None and evidence.paid_tokens > limits.asks_again_up_to
    return 0 if is_long else limits.most_in_vain
