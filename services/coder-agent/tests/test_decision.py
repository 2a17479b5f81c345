"""What to do next follows from the evidence and the budget alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrices import CRASH, candidate, evidence, gives, row

from coder_agent.candidates import Check
from coder_agent.decision import (
    TIERS,
    decide,
    may_be_verified,
    next_style,
    refine_target,
    split_input,
    wants_wider_inputs,
)
from coder_agent.evidence import Evidence

FAST, STANDARD, DEEP = TIERS["fast"], TIERS["standard"], TIERS["deep"]
FAILS = {"trusted": ["t"], "refinements": STANDARD.refinements}


def agreeing(count, **facts):
    return evidence(*(candidate(i, row("t", "", gives("1", "2", "3"))) for i in range(count)), trusted=["t"], **facts)


def test_without_code_the_model_is_asked_again_and_then_given_up():
    assert decide(Evidence(attempts=1), STANDARD) == "write_code"
    assert decide(Evidence(attempts=2), STANDARD) == "stop"


def test_a_candidate_is_run_before_anything_is_decided_about_it():
    assert decide(evidence(candidate(0), trusted=["t"]), STANDARD) == "run_tests"


def test_tests_are_written_before_the_first_run_when_the_request_has_no_example():
    assert decide(evidence(candidate(0)), STANDARD) == "write_tests"


def test_an_example_that_passes_is_enough_for_the_fast_tier_and_wants_a_second_sample_in_the_others():
    assert decide(agreeing(1), FAST) == "accept"
    assert decide(agreeing(1), STANDARD) == decide(agreeing(1), DEEP) == "write_code"
    assert decide(agreeing(2), STANDARD) == "accept"


def test_three_examples_that_pass_want_nothing_more():
    seen = evidence(candidate(0, row("t u v", "", gives("1", "2", "3"))), trusted=["t", "u", "v"])
    assert decide(seen, STANDARD) == "accept"


def test_where_nothing_can_be_compared_the_model_writes_tests_beside_the_example():
    seen = evidence(candidate(0, row("t")), trusted=["t"])
    assert decide(seen, STANDARD) == "write_tests"
    half = evidence(candidate(0, row("t a b", "c d")), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(half, STANDARD) == "accept"
    few = evidence(candidate(0, row("t", "a b c d")), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(few, STANDARD) == "write_code"


def test_code_that_gives_the_same_whatever_goes_in_is_put_to_more_tests():
    seen = evidence(*(candidate(i, row("t", "", gives("3", "3", "3"))) for i in range(2)), trusted=["t"])
    assert decide(seen, STANDARD) == "write_tests"


def test_less_is_spent_on_other_opinions_once_the_examples_pin_the_code():
    facts = {"trusted": ["t"], "first_tokens": 100, "paid_tokens": 300}
    pinned = evidence(candidate(0, row("t", "", gives("1", "2", "3")), faults_found=1.0), **facts)
    loose = evidence(candidate(0, row("t", "", gives("1", "2", "3")), faults_found=0.3), **facts)
    assert decide(pinned, STANDARD) == "stop"
    assert decide(replace(pinned, paid_tokens=299), STANDARD) == decide(loose, STANDARD) == "write_code"
    assert decide(pinned, DEEP) == "write_code"
    assert [may_be_verified(seen, STANDARD, seen.best) for seen in (pinned, loose)] == [True, False]


def test_pinned_code_that_nothing_can_be_compared_with_is_accepted():
    pinned = candidate(0, row("t"), faults_found=1.0)
    assert decide(evidence(pinned, trusted=["t"]), STANDARD) == "accept"
    same = [candidate(i, row("t", "", gives("1", "2", "3")), code="def f(): pass", faults_found=1.0) for i in range(3)]
    assert decide(evidence(*same, trusted=["t"]), STANDARD) == "accept"


@pytest.mark.parametrize(
    ("facts", "verified"),
    [
        ({"faults_found": None}, True),
        ({"faults_found": 0.9}, True),
        ({"faults_found": 0.5}, False),
        ({"stub_meets": True}, False),
        ({}, False),
    ],
)
def test_the_fast_tier_verifies_what_the_examples_pin_or_what_has_no_place_for_a_fault(facts, verified):
    seen = evidence(candidate(0, row("t", "", gives("1", "2", "3")), **facts), trusted=["t"])
    assert decide(seen, FAST) == "accept"
    assert may_be_verified(seen, FAST, seen.best) is verified


def test_more_inputs_are_wanted_where_there_are_too_few_or_the_best_does_the_same_for_all():
    def seen(*values):
        return evidence(candidate(0, row("t", "", gives(*values))), trusted=["t"])

    assert wants_wider_inputs(seen("True", "True", "True"))
    assert wants_wider_inputs(seen("1", "2"))
    assert not wants_wider_inputs(evidence(candidate(0, row("", "t", gives("1", "1", "1"))), trusted=["t"]))
    assert not wants_wider_inputs(evidence(candidate(0, CRASH), trusted=["t"], inputs=["f(1)", "f(2)", "f(3)"]))
    assert not wants_wider_inputs(seen("True", "True", "False"))
    assert not wants_wider_inputs(Evidence())


def test_code_that_the_model_just_writes_again_is_put_to_more_tests():
    pool = [candidate(i, row("t", "", gives("1", "2", "3")), code="def f(x): return x\n") for i in range(3)]
    assert decide(evidence(*pool[:2], trusted=["t"]), STANDARD) == "write_code"
    assert decide(evidence(*pool, trusted=["t"]), STANDARD) == "write_tests"


def test_code_whose_inputs_are_too_few_to_compare_on_is_put_to_more_tests():
    seen = evidence(candidate(0, row("t", "", gives("1", "2"))), trusted=["t"])
    assert decide(seen, STANDARD) == "write_tests"
    assert decide(replace(seen, rounds_of_tests=1), STANDARD) == "write_code"


def test_of_several_functions_each_must_be_defined_and_tested():
    one, both = (
        replace(candidate(i, row("t a", "", gives("1", "2", "3"))), names=names, code=f"def f(): return {i}\n")
        for i, names in enumerate([("f",), ("f", "g")])
    )
    facts = {"trusted": ["t"], "calls": {"f": ["t"], "g": []}}
    seen = evidence(both, replace(both, index=2, code="def f(): return 2\n"), **facts)
    assert seen.is_backed(both)
    assert decide(seen, STANDARD) == decide(seen, FAST) == "write_tests", "nothing calls g"
    assert not may_be_verified(seen, FAST, both)
    tested = replace(seen, calls={"f": ["t"], "g": ["a"]}, generated=["a"], rounds_of_tests=1)
    assert decide(tested, STANDARD) == "accept"
    assert evidence(one, both, **facts).best is both
    assert decide(evidence(one, **facts, rounds_of_tests=1), STANDARD) == "write_code", "g is missing"
    failed = replace(
        tested, candidates=[one.with_row(row("t", "a", gives("1", "2", "3"))) for one in tested.candidates]
    )
    assert not may_be_verified(failed, STANDARD, failed.candidates[0])


def test_where_nothing_tells_samples_apart_no_more_are_drawn():
    assert decide(evidence(candidate(0, row("t")), trusted=["t"], rounds_of_tests=1), STANDARD) == "stop"


def test_two_examples_of_which_one_is_missed_by_all_end_the_search_later_in_the_deep_tier():
    pool = [candidate(i, row("t", "u"), code=f"def f(): return {i}\n") for i in range(10)]
    seen = evidence(*pool[:4], trusted=["t", "u"], refinements=2)
    assert (decide(seen, STANDARD), decide(seen, DEEP)) == ("stop", "write_code")
    assert decide(evidence(*pool, trusted=["t", "u"], refinements=2), DEEP) == "stop"


def test_samples_are_drawn_until_most_of_those_that_meet_the_example_agree():
    pool = [candidate(i, row("t", "", gives(str(i), "2", "3"))) for i in range(STANDARD.samples)]
    for count in range(2, STANDARD.samples):
        seen = evidence(*pool[:count], trusted=["t"], splits=STANDARD.splits, rounds_of_tests=1)
        assert decide(seen, STANDARD) == "write_code"
    assert decide(evidence(*pool, trusted=["t"], splits=1, rounds_of_tests=1), STANDARD) == "stop"


def test_a_failed_example_is_refined_then_sampled_then_given_up():
    seen = evidence(candidate(0, row("", "t")), trusted=["t"])
    assert decide(seen, STANDARD) == "refine"
    assert decide(replace(seen, refinements=2), STANDARD) == "write_code"
    pool = [candidate(i, row("", "t")) for i in range(STANDARD.samples)]
    assert decide(evidence(*pool, **FAILS), STANDARD) == "stop"


def test_the_fast_tier_refines_a_crash_and_not_a_wrong_value():
    assert decide(evidence(candidate(0, row("", "t")), trusted=["t"]), FAST) == "write_code"
    assert decide(evidence(candidate(0, CRASH), trusted=["t"]), FAST) == "refine"


def test_the_fast_tier_refines_no_crash_once_there_is_a_wrong_value():
    seen = evidence(candidate(0, CRASH), candidate(1, row("", "t a")), trusted=["t"])
    assert seen.best.index == 0
    assert decide(seen, FAST) == "stop"
    assert decide(evidence(candidate(0, CRASH), trusted=["t"]), FAST) == "refine"


def test_the_same_failure_twice_ends_refining():
    seen = evidence(candidate(0, row("", "t")), candidate(1, row("", "t"), "refine"), trusted=["t"], refinements=1)
    assert decide(seen, STANDARD) == "write_code"


def test_a_new_failure_is_refined_further():
    other = replace(row("", "t"), checks={"t": Check(False, "AssertionError", "another")})
    seen = evidence(candidate(0, row("", "t")), candidate(1, other, "refine"), trusted=["t"], refinements=1)
    assert decide(seen, STANDARD) == "refine"


def test_no_refinement_is_made_when_none_is_allowed():
    seen = evidence(candidate(0, row("", "t")), trusted=["t"])
    assert decide(seen, replace(STANDARD, refinements=0)) == "write_code"


def test_an_example_nothing_can_meet_stops_the_search_once_the_others_are_met():
    pool = [candidate(i, row("t u", "w")) for i in range(4)]
    assert decide(evidence(*pool, trusted=["t", "u", "w"], refinements=2), STANDARD) == "stop"
    assert decide(evidence(*pool[:3], trusted=["t", "u", "w"], refinements=2), STANDARD) == "write_code"


def test_code_that_passes_all_its_generated_tests_is_accepted():
    seen = evidence(candidate(0, row("a b c")), generated=["a", "b", "c"], rounds_of_tests=1)
    assert decide(seen, STANDARD) == "accept"


def test_two_generated_tests_are_too_few():
    seen = evidence(candidate(0, row("a b")), generated=["a", "b"], rounds_of_tests=1)
    assert decide(seen, STANDARD) == "write_code"
    assert decide(seen, replace(STANDARD, styles=("plain",))) == "stop"


def test_code_that_fails_some_generated_tests_is_compared_with_other_samples():
    seen = evidence(candidate(0, row("a b c d", "e f")), generated=list("abcdef"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "write_code"


def test_code_that_fails_most_generated_tests_is_refined():
    seen = evidence(candidate(0, row("a", "b c d")), generated=list("abcd"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "refine"
    assert decide(seen, FAST) == "write_code"


def test_samples_that_agree_are_enough_where_too_few_tests_were_written():
    pool = [candidate(i, row("a", "b", gives("1", "2", "3"))) for i in range(3)]
    assert decide(evidence(*pool, generated=["a", "b"], rounds_of_tests=1, refinements=2), STANDARD) == "stop"
    assert decide(evidence(*pool[:2], generated=["a", "b"], rounds_of_tests=1, refinements=2), STANDARD) == "write_code"


def test_a_missing_package_is_avoided_once_unless_the_request_asks_for_it():
    seen = evidence(candidate(0, row("", "t", missing_modules=("numpy",), loads=False)), trusted=["t"])
    assert decide(seen, STANDARD) == "refine"
    assert decide(replace(seen, asked_for=frozenset({"numpy"})), STANDARD) == "stop"
    assert decide(replace(seen, refinements=1), STANDARD) == "write_code", "another sample may do without it"
    assert decide(seen, replace(FAST, refinements=0)) == "write_code"


def test_the_deep_tier_writes_tests_again_while_too_few_stand():
    few = evidence(candidate(0, row("a b")), generated=["a", "b"], rounds_of_tests=1)
    assert decide(few, DEEP) == "write_tests"
    pool = [candidate(i, row("a b", "c d")) for i in range(3)]
    assert decide(evidence(*pool, generated=list("abcd"), rounds_of_tests=1, refinements=2), DEEP) == "write_tests"
    enough = evidence(candidate(0, row("a b c")), generated=["a", "b", "c"], rounds_of_tests=1)
    assert decide(enough, DEEP) == "accept"


def test_with_the_callers_tests_code_that_passes_them_is_accepted():
    seen = evidence(candidate(0, row("t")), candidate(1, row("t")), trusted=["t"], has_caller_tests=True)
    assert decide(seen, STANDARD) == "accept"


def test_nothing_is_run_when_running_is_switched_off():
    seen = evidence(candidate(0), rounds_of_tests=1)
    assert decide(seen, replace(STANDARD, runs_code=False)) == "stop"


def test_the_model_is_asked_which_value_is_right_where_two_groups_lead_alike():
    gave = [gives("1", "2", "3"), gives("1", "2", "9"), gives("1", "7", "8")]
    seen = evidence(*(candidate(i, row("t", "", values)) for i, values in enumerate(gave)), trusted=["t"])
    assert decide(seen, STANDARD) == "split"
    assert split_input(seen) == "f(2)"
    assert decide(replace(seen, splits=1), STANDARD) == "write_code"
    assert decide(seen, FAST) == "accept", "the fast tier looks no further"


@pytest.mark.parametrize(("latest", "target"), [(row("t", "u"), 1), (row("", "t u"), 0)])
def test_refining_starts_from_the_latest_unless_it_got_worse(latest, target):
    seen = evidence(candidate(0, row("t", "u")), candidate(1, latest, "refine"), trusted=["t", "u"])
    assert refine_target(seen).index == target


def test_refining_starts_from_a_wrong_value_rather_than_from_a_crash():
    crash = candidate(1, CRASH, "refine")
    assert refine_target(evidence(candidate(0, row("", "t")), crash, trusted=["t"])).index == 0
    assert refine_target(evidence(candidate(0, CRASH), crash, trusted=["t"])).index == 1


def test_nothing_more_is_asked_for_when_the_tokens_are_spent():
    seen = evidence(candidate(0, row("t", "", gives("1", "2", "3"))), trusted=["t"], first_tokens=100, paid_tokens=449)
    assert decide(seen, STANDARD) == "write_code"
    assert decide(replace(seen, paid_tokens=450), STANDARD) == "stop"


def test_less_is_spent_while_nothing_meets_the_examples():
    seen = evidence(candidate(0, row("", "t")), trusted=["t"], first_tokens=100, paid_tokens=274)
    assert decide(seen, STANDARD) == decide(replace(seen, paid_tokens=999), DEEP) == "refine"
    assert decide(replace(seen, paid_tokens=275), STANDARD) == decide(replace(seen, paid_tokens=1000), DEEP) == "stop"


def test_the_fast_tier_asks_again_only_after_a_short_answer():
    seen = evidence(candidate(0, row("", "t")), trusted=["t"], first_tokens=160, paid_tokens=160)
    assert decide(seen, TIERS["fast"]) == "write_code"
    assert decide(replace(seen, paid_tokens=161), TIERS["fast"]) == "stop"


def test_without_examples_more_tokens_may_be_spent_because_tests_are_written_first():
    seen = evidence(candidate(0, row("a b", "c")), generated=list("abc"), rounds_of_tests=1, first_tokens=100)
    assert decide(replace(seen, paid_tokens=724), STANDARD) == "write_code"
    assert decide(replace(seen, paid_tokens=725), STANDARD) == "stop"


def test_another_opinion_on_code_that_meets_the_examples_comes_by_another_way():
    assert next_style(agreeing(1), STANDARD) == "because"
    fails = evidence(candidate(0, row("", "t")), **FAILS)
    assert next_style(fails, STANDARD) == "again"


def test_the_next_question_is_about_another_input():
    gave = [gives("1", "2", "3", "4"), gives("1", "2", "8", "9")]
    seen = evidence(*(candidate(i, row("t", "", values)) for i, values in enumerate(gave)), trusted=["t"])
    asked = ["f(2)", "f(3)"]
    assert [split_input(replace(seen, asked=asked[:number])) for number in range(3)] == [*asked, None]


def test_a_style_that_gave_no_code_is_not_tried_again_at_once():
    assert next_style(replace(agreeing(1), attempts=2), STANDARD) == STANDARD.opinions[2] == "again"


@pytest.mark.parametrize("limits", TIERS.values(), ids=TIERS)
def test_there_is_a_style_for_each_sample_of_a_tier_whatever_the_first_shows(limits):
    assert len(limits.opinions) == len(limits.styles)
    assert limits.opinions[0] == limits.styles[0] == "plain"


def test_samples_come_in_the_styles_of_the_tier_in_turn_and_refinements_do_not_count():
    assert next_style(Evidence(), STANDARD) == "plain"
    seen = evidence(candidate(0, row("", "t")), candidate(1, row("", "t"), "refine"), trusted=["t"])
    assert next_style(seen, STANDARD) == STANDARD.styles[1]


CASES = ["t", "a", "b", "c"]
TABLE = st.lists(
    st.tuples(
        st.lists(st.booleans(), min_size=4, max_size=4),
        st.lists(st.sampled_from([None, "1", "2"]), min_size=3, max_size=3),
        st.sampled_from(["sample", "refine"]),
        st.booleans(),
    ),
    max_size=9,
)
BUDGET = st.fixed_dictionaries(
    {
        "rounds_of_tests": st.integers(0, 2),
        "refinements": st.integers(0, 4),
        "splits": st.integers(0, 3),
        "paid_tokens": st.integers(0, 3000),
        "first_tokens": st.integers(0, 200),
        "trusted": st.sampled_from([[], ["t"]]),
        "generated": st.sampled_from([[], ["a", "b", "c"]]),
        "has_caller_tests": st.booleans(),
    }
)


def seen_of(table, budget):
    pool = []
    for index, (passed, values, origin, has_run) in enumerate(table):
        marks = list(zip(CASES, passed, strict=True))
        good, bad = (" ".join(name for name, is_good in marks if is_good is wanted) for wanted in (True, False))
        pool.append(candidate(index, row(good, bad, gives(*values)) if has_run else None, origin))
    return evidence(*pool, **budget)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(TABLE, BUDGET, st.sampled_from([FAST, STANDARD, DEEP]))
def test_every_evidence_has_a_next_step_that_the_budget_allows(table, budget, limits):
    seen = seen_of(table, budget)
    action = decide(seen, limits)
    samples = sum(c.origin == "sample" for c in seen.candidates)
    allowed = {
        "write_code": not table or (samples < limits.samples and seen.attempts <= limits.samples),
        "write_tests": seen.rounds_of_tests < limits.rounds_of_tests,
        "run_tests": any(c.row is None for c in seen.candidates),
        "refine": seen.refinements < limits.refinements and refine_target(seen) is not None,
        "split": seen.splits < limits.splits and split_input(seen) is not None,
        "accept": seen.best is not None,
        "stop": True,
    }
    assert allowed[action]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(TABLE, BUDGET, st.sampled_from([FAST, STANDARD, DEEP]))
def test_what_is_accepted_fails_no_trusted_case(table, budget, limits):
    seen = seen_of(table, budget)
    if decide(seen, limits) == "accept" and seen.trusted:
        assert seen.meets_trusted(seen.best)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(TABLE, BUDGET)
def test_the_same_evidence_gives_the_same_step(table, budget):
    assert decide(seen_of(table, budget), STANDARD) == decide(seen_of(table, budget), STANDARD)
