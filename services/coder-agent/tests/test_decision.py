"""What to do next follows from the evidence alone."""

from dataclasses import replace

import pytest

from coder_agent.candidates import Candidate, Check, Row, best, contradicted
from coder_agent.decision import TIERS, Evidence, comparable, decide, refine_target

STANDARD = TIERS["standard"]


def row(passed="", failed="", **facts):
    checks = {name: Check(True) for name in passed.split()}
    checks |= {name: Check(False, "AssertionError", f"{name} was wrong") for name in failed.split()}
    return Row(checks, **{"loads": True, **facts})


def candidate(index, the_row=None, origin="sample", code=None):
    return Candidate(index, code or f"def f(): return {index}\n", ("f",), origin, row=the_row)


def evidence(*candidates, **facts):
    return Evidence(candidates=candidates, attempts=len(candidates), **facts)


def test_without_code_the_model_is_asked_again_and_then_given_up():
    assert decide(Evidence(attempts=1), STANDARD) == "write_code"
    assert decide(Evidence(attempts=2), STANDARD) == "stop"


def test_a_candidate_is_run_before_anything_is_decided_about_it():
    assert decide(evidence(candidate(0), trusted=["t"]), STANDARD) == "run_tests"


def test_tests_are_written_before_the_first_run_when_the_request_has_no_example():
    assert decide(evidence(candidate(0)), STANDARD) == "write_tests"


def test_all_examples_passed_is_accepted_once_tests_were_written_beside_them():
    seen = evidence(candidate(0, row("t")), trusted=["t"])
    assert decide(seen, STANDARD) == "write_tests"
    assert decide(replace(seen, rounds_of_tests=1), STANDARD) == "accept"
    assert decide(seen, TIERS["fast"]) == "accept"


def test_a_failed_example_is_refined_then_sampled_then_given_up():
    seen = evidence(candidate(0, row("", "t")), trusted=["t"])
    assert decide(seen, STANDARD) == "refine"
    assert decide(replace(seen, refinements=2), STANDARD) == "write_code"
    three = evidence(*(candidate(i, row("", "t")) for i in range(3)), trusted=["t"], refinements=2)
    assert decide(three, STANDARD) == "stop"


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


def test_code_that_passes_all_its_generated_tests_is_accepted():
    seen = evidence(candidate(0, row("a b c")), generated=["a", "b", "c"], rounds_of_tests=1)
    assert decide(seen, STANDARD) == "accept"


def test_two_generated_tests_are_too_few():
    seen = evidence(candidate(0, row("a b")), generated=["a", "b"], rounds_of_tests=1)
    assert decide(seen, STANDARD) == "stop"


def test_code_that_fails_some_generated_tests_is_compared_with_other_samples():
    seen = evidence(candidate(0, row("a b c d", "e f")), generated=list("abcdef"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "write_code"


def test_code_that_fails_most_generated_tests_is_refined():
    seen = evidence(candidate(0, row("a", "b c d")), generated=list("abcd"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "refine"


def test_a_missing_package_is_avoided_once_unless_the_request_asks_for_it():
    seen = evidence(candidate(0, row("", "t", missing_modules=("numpy",), loads=False)), trusted=["t"])
    assert decide(seen, STANDARD) == "refine"
    assert decide(replace(seen, asked_for=frozenset({"numpy"})), STANDARD) == "stop"
    assert decide(replace(seen, refinements=1), STANDARD) == "stop"


def test_a_missing_package_is_not_refined_away_where_no_refinement_is_allowed():
    seen = evidence(candidate(0, row("", "t", missing_modules=("numpy",), loads=False)), trusted=["t"])
    assert decide(seen, replace(TIERS["fast"], refinements=0)) == "stop"


def test_the_deep_tier_writes_tests_again_while_there_are_too_few():
    few = evidence(candidate(0, row("a b")), generated=["a", "b"], rounds_of_tests=1)
    assert decide(few, TIERS["deep"]) == "write_tests"
    enough = evidence(candidate(0, row("a b c")), generated=["a", "b", "c"], rounds_of_tests=1)
    assert decide(enough, TIERS["deep"]) == "accept"


def test_the_majoritys_tests_do_not_speak_for_a_candidate_that_is_outvoted():
    pool = [candidate(0, row("a b c", "d")), candidate(1, row("a b c", "d")), candidate(2, row("a b c", "d"))]
    alike = {index: frozenset({index}) for index in range(3)}
    seen = evidence(*pool, generated=list("abcd"), rounds_of_tests=1, can_compare=True)
    assert decide(replace(seen, alike={index: frozenset(range(3)) for index in range(3)}), STANDARD) == "accept"
    assert decide(replace(seen, alike=alike), STANDARD) == "stop"


def test_of_two_that_behave_differently_neither_is_backed():
    pool = [candidate(0, row("t")), candidate(1, row("t"))]
    alike = {0: frozenset({0}), 1: frozenset({1})}
    seen = evidence(*pool, trusted=["t"], rounds_of_tests=1, can_compare=True, alike=alike)
    assert decide(seen, STANDARD) == "write_code"


def test_with_the_callers_tests_nothing_is_compared_and_code_that_passes_them_is_accepted():
    pool = [candidate(0, row("t")), candidate(1, row("t"))]
    seen = evidence(*pool, trusted=["t"], can_compare=True, has_caller_tests=True)
    assert decide(seen, STANDARD) == "accept"


def test_code_that_passes_every_generated_test_is_accepted_without_a_comparison():
    pool = [candidate(0, row("a b c")), candidate(1, row("a b c"))]
    seen = evidence(*pool, generated=list("abc"), rounds_of_tests=1, can_compare=True)
    assert decide(seen, STANDARD) == "accept"


def test_only_candidates_about_as_good_as_the_best_are_compared():
    good, behind, wrong = row("t a b c", "d"), row("t a", "b c d"), row("a b c", "t d")
    seen = evidence(
        candidate(0, good),
        candidate(1, behind),
        candidate(2, wrong),
        candidate(3, good),
        trusted=["t"],
        generated=list("abcd"),
    )
    assert [c.index for c in comparable(seen)] == [0, 3]


def test_tests_that_stand_must_be_at_least_half_of_those_written():
    pool = [candidate(index, row("a b c", "d e f g")) for index in range(3)]
    seen = evidence(*pool, generated=list("abcdefg"), rounds_of_tests=1, refinements=2)
    assert decide(seen, STANDARD) == "stop"


def test_one_generated_test_beside_the_examples_must_pass_too():
    pool = [candidate(index, row("t", "a"), code="def f(): return 0\n") for index in range(3)]
    assert decide(evidence(*pool, trusted=["t"], generated=["a"], rounds_of_tests=1), STANDARD) == "stop"


def test_an_error_that_was_expected_and_did_not_come_is_no_crash():
    silent = replace(
        row("t", "a b c d"), checks=row("t", "b c d").checks | {"a": Check(False, "Failed", "DID NOT RAISE")}
    )
    seen = evidence(candidate(0, silent), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "write_code"


def test_nothing_is_run_when_running_is_switched_off():
    seen = evidence(candidate(0), rounds_of_tests=1)
    assert decide(seen, replace(STANDARD, runs_code=False)) == "stop"


def test_a_later_worse_candidate_never_replaces_a_better_one():
    first, worse, equal = candidate(0, row("t", "u")), candidate(1, row("", "t u")), candidate(2, row("u", "t"))
    assert best([first, worse, equal], ["t", "u"], []) is first


def test_a_later_better_candidate_does():
    first, better = candidate(0, row("t", "u")), candidate(1, row("t u"))
    assert best([first, better], ["t", "u"], []) is better


def test_trusted_tests_outrank_any_number_of_generated_ones():
    trusted, popular = candidate(0, row("t", "a b c")), candidate(1, row("a b c", "t"))
    assert best([popular, trusted], ["t"], ["a", "b", "c"]) is trusted


def test_a_generated_test_that_most_candidates_fail_is_dropped():
    pool = [candidate(0, row("a", "b")), candidate(1, row("a", "b")), candidate(2, row("a b"))]
    assert contradicted(pool, ["a", "b"]) == {"b"}


def test_a_generated_test_that_half_of_the_candidates_fail_stays():
    pool = [candidate(index, row("a b")) for index in range(2)] + [candidate(index, row("a", "b")) for index in (2, 3)]
    assert contradicted(pool, ["a", "b"]) == frozenset()


def test_a_candidate_that_loads_is_better_than_one_that_does_not():
    assert best([candidate(0, row("", "t", loads=False)), candidate(1, row("", "t"))], ["t"], []).index == 1


def test_a_refinement_has_no_vote_because_it_repeats_the_bug_it_was_made_from():
    pool = [candidate(0, row("a", "b")), candidate(1, row("a", "b"), "refine"), candidate(2, row("a", "b"), "refine")]
    assert contradicted(pool, ["a", "b"]) == frozenset()


def test_two_samples_that_agree_are_no_majority():
    assert contradicted([candidate(0, row("", "a")), candidate(1, row("", "a"))], ["a"]) == frozenset()


def test_a_candidate_that_only_crashes_has_no_vote():
    crash = Row({"a": Check(False, "TypeError", "boom")}, loads=True)
    assert contradicted([candidate(0, crash), candidate(1, crash), candidate(2, crash)], ["a"]) == frozenset()


@pytest.mark.parametrize(("latest", "target"), [(row("t", "u"), 1), (row("", "t u"), 0)])
def test_refining_starts_from_the_latest_unless_it_got_worse(latest, target):
    seen = evidence(candidate(0, row("t", "u")), candidate(1, latest, "refine"), trusted=["t", "u"])
    assert refine_target(seen).index == target


def test_examples_that_pass_while_nearly_all_other_tests_fail_are_not_enough():
    alone = evidence(candidate(0, row("t", "a b c d")), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(alone, STANDARD) == "write_code"
    backed = evidence(candidate(0, row("t a b c d")), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(backed, STANDARD) == "accept"


def test_while_one_of_the_models_tests_fails_other_samples_are_drawn_and_then_the_best_is_taken():
    half = row("t a b", "c d")
    seen = evidence(candidate(0, half), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "write_code"
    three = evidence(*(candidate(i, half) for i in range(3)), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(three, STANDARD) == "accept"


def test_a_crash_on_the_models_own_inputs_is_refined():
    crash = replace(row("t", "a b c d"), checks=row("t", "a b c d").checks | {"a": Check(False, "KeyError", "pop")})
    seen = evidence(candidate(0, crash), trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "refine"


def test_three_different_candidates_that_agree_outweigh_the_models_own_tests():
    pool = [candidate(index, row("t", "a b c d")) for index in range(3)]
    seen = evidence(*pool, trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "accept"


def test_the_same_code_three_times_does_not():
    codes = [
        "def f():\n    return 1\n",
        "def f():\n    # again\n    return 1\n",
        'def f():\n    "Doc."\n    return 1\n',
    ]
    pool = [candidate(index, row("t", "a b c d"), code=code) for index, code in enumerate(codes)]
    seen = evidence(*pool, trusted=["t"], generated=list("abcd"), rounds_of_tests=1)
    assert decide(seen, STANDARD) == "stop"


def test_candidates_that_pass_the_same_tests_are_compared_on_other_inputs():
    half = row("t a", "b")
    seen = evidence(
        candidate(0, half), candidate(1, half), trusted=["t"], generated=["a", "b"], rounds_of_tests=1, can_compare=True
    )
    assert decide(seen, STANDARD) == "compare"
    assert decide(replace(seen, can_compare=False), STANDARD) == "write_code"
    apart = replace(seen, alike={0: frozenset({0}), 1: frozenset({1})})
    assert decide(apart, STANDARD) == "write_code"


def test_the_candidate_that_most_others_behave_like_is_taken():
    passes = row("t a b", "c")
    alike = {0: frozenset({0}), 1: frozenset({1, 2}), 2: frozenset({1, 2})}
    pool = [candidate(index, passes) for index in range(3)]
    seen = evidence(*pool, trusted=["t"], generated=list("abc"), rounds_of_tests=1, can_compare=True, alike=alike)
    assert seen.best.index == 1
    assert decide(seen, STANDARD) == "accept"
    alone = replace(seen, alike={index: frozenset({index}) for index in range(3)})
    assert decide(alone, STANDARD) == "stop"


def test_a_candidate_that_passes_every_generated_test_outweighs_two_that_agree_on_less():
    pool = [candidate(0, row("a b c", "d")), candidate(1, row("a b c", "d")), candidate(2, row("a b c d"))]
    alike = {0: frozenset({0, 1}), 1: frozenset({0, 1}), 2: frozenset({2})}
    seen = evidence(*pool, generated=list("abcd"), rounds_of_tests=1, can_compare=True, alike=alike)
    assert seen.best.index == 2
    assert decide(seen, STANDARD) == "accept"


def test_what_most_candidates_do_outweighs_some_of_the_models_own_tests():
    pool = [candidate(0, row("a b", "c d")), candidate(1, row("a b c", "d")), candidate(2, row("a b", "c d"))]
    alike = {0: frozenset({0, 2}), 1: frozenset({1}), 2: frozenset({0, 2})}
    assert best(pool, [], list("abcd"), alike).index == 0
    assert best(pool, [], list("abcd")).index == 1
