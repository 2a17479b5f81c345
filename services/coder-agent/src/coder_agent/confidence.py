"""How likely the code is right, 0 to 1, from the evidence alone.

A logistic function of what each signal has shown on recorded jobs of the 0.5B and the 1.5B (docs/benchmarks.md gives
the reliability curve). It is for telling good answers from doubtful ones; the verdict follows rules, not this number.
"""

import math

from coder_agent.candidates import Candidate, passed_of
from coder_agent.evidence import Evidence

BASE = -1.0
FIRST_EXAMPLE, FURTHER_EXAMPLES, CALLERS_TESTS = 2.2, 0.5, 3.5
AGREEING_SHARE, SUPPORTER = 1.2, 0.5
GENERATED_SHARE, FAULTS_FOUND = 1.6, 3.0
OUTVOTED, CONSTANT, FAILS_TRUSTED = -1.5, -1.5, -3.0
MOST_COUNTED = 3
USUAL_FAULTS_FOUND = 0.7


def confidence(evidence: Evidence, candidate: Candidate, mutation_score: float | None = None) -> float:
    """The estimate for `candidate`; 0 where it was not run or does not load.

    Args:
        mutation_score: share of the code's mutants that the delivered tests find, 0 to 1; None: not measured. It
            counts where it was not tried what the examples find.
    """
    if candidate.row is None or not candidate.row.loads:
        return 0.0
    sum_ = BASE + _trusted(evidence, candidate) + _company(evidence, candidate)
    if evidence.generated:
        sum_ += GENERATED_SHARE * (passed_of(candidate, evidence.generated) / len(evidence.generated) - 0.25)
    tried = candidate.strength.faults_found if candidate.strength else None
    found = mutation_score if tried is None else tried
    if found is not None:
        sum_ += FAULTS_FOUND * (found - USUAL_FAULTS_FOUND)
    return round(1 / (1 + math.exp(-sum_)), 3)


def _trusted(evidence: Evidence, candidate: Candidate) -> float:
    if not evidence.trusted:
        return 0.0
    if not evidence.meets_trusted(candidate):
        return FAILS_TRUSTED
    if evidence.has_caller_tests:
        return CALLERS_TESTS
    return FIRST_EXAMPLE + FURTHER_EXAMPLES * min(len(evidence.trusted) - 1, MOST_COUNTED)


def _company(evidence: Evidence, candidate: Candidate) -> float:
    """What the other samples say: how many of all meet the trusted cases and do the same."""
    if evidence.is_outvoted(candidate):
        return OUTVOTED
    if evidence.is_constant(candidate):
        return CONSTANT
    supporters = len(evidence.supporters(candidate))
    asked = sum(c.is_independent for c in evidence.candidates)
    share = (supporters + 1) / max(1, asked) if supporters or asked == 1 else 0.0
    return AGREEING_SHARE * (share - 0.5) + SUPPORTER * min(supporters, MOST_COUNTED)
