"""More evidence for the code, more confidence; evidence against it, less."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrices import candidate, evidence, gives, row

from coder_agent.confidence import confidence

SAME = gives("1", "2", "3")
ALONE = evidence(candidate(0, row("t", "", SAME)), trusted=["t"])


def sure(seen, mutation_score=None):
    return confidence(seen, seen.best, mutation_score)


def test_code_that_was_not_run_or_does_not_load_has_none():
    assert sure(evidence(candidate(0))) == 0
    assert sure(evidence(candidate(0, row("", "t", loads=False)), trusted=["t"])) == 0


def test_it_is_a_share_and_high_only_with_a_second_signal():
    company = evidence(*(candidate(i, row("t", "", SAME)) for i in range(2)), trusted=["t"])
    assert 0 < sure(ALONE) < sure(company) < 1


def test_a_failed_example_leaves_little():
    assert sure(evidence(candidate(0, row("u", "t", SAME)), trusted=["t", "u"])) < 0.2


def test_more_examples_more_confidence_and_the_callers_tests_most():
    three = evidence(candidate(0, row("t u v", "", SAME)), trusted=["t", "u", "v"])
    assert sure(ALONE) < sure(three)
    assert sure(replace(ALONE, has_caller_tests=True)) > sure(ALONE)


def test_samples_that_part_cost_confidence():
    apart = evidence(candidate(0, row("t", "", SAME)), candidate(1, row("t", "", gives("1", "2", "9"))), trusted=["t"])
    assert sure(apart) < sure(ALONE)
    gave = [SAME, *[gives("4", "5", "6")] * 3]
    outvoted = evidence(*(candidate(i, row("t", "", values)) for i, values in enumerate(gave)), trusted=["t"])
    assert confidence(outvoted, outvoted.candidates[0]) < sure(apart)


def test_few_of_many_samples_that_meet_the_example_are_worth_less_than_two_of_two():
    pair = [candidate(i, row("t", "", SAME)) for i in range(2)]
    wrong = [candidate(i, row("", "t", SAME)) for i in range(2, 8)]
    assert sure(evidence(*pair, *wrong, trusted=["t"])) < sure(evidence(*pair, trusted=["t"]))


def test_one_that_was_written_from_other_code_is_none_of_those_that_were_asked():
    first, wrong = candidate(0, row("t", "", SAME)), candidate(1, row("", "t", SAME), "refine")
    anew = replace(wrong, style="anew")
    assert sure(evidence(first, wrong, trusted=["t"])) == sure(ALONE) > sure(evidence(first, anew, trusted=["t"]))


def test_what_the_examples_find_counts_before_what_the_delivered_tests_find():
    poor, rich = (evidence(candidate(0, row("t", "", SAME), faults_found=f), trusted=["t"]) for f in (0.2, 0.9))
    assert sure(poor) < sure(ALONE) < sure(rich)
    assert sure(poor, 1.0) == sure(poor)


@pytest.mark.parametrize("passed", range(4))
def test_each_generated_test_that_passes_adds_some(passed):
    names = ["a", "b", "c", "d"]

    def seen(count):
        return evidence(candidate(0, row(" ".join(names[:count]), " ".join(names[count:]))), generated=names)

    assert sure(seen(passed)) < sure(seen(passed + 1))


@settings(derandomize=True, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_tests_that_find_more_faults_never_cost_confidence(one, other):
    low, high = sorted((one, other))
    assert 0 <= sure(ALONE, low) <= sure(ALONE, high) <= 1
