"""Who supports whom, which case stands, which candidate leads: read off the matrix alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrices import CRASH, candidate, evidence, gives, row

from coder_agent.candidates import passed_of
from coder_agent.evidence import votes


def test_a_later_worse_candidate_never_replaces_a_better_one():
    first, worse, equal = candidate(0, row("t", "u")), candidate(1, row("", "t u")), candidate(2, row("u", "t"))
    assert evidence(first, worse, equal, trusted=["t", "u"]).best is first


def test_a_later_better_candidate_does():
    first, better = candidate(0, row("t", "u")), candidate(1, row("t u"))
    assert evidence(first, better, trusted=["t", "u"]).best is better


def test_trusted_tests_outrank_any_number_of_generated_ones():
    trusted, popular = candidate(0, row("t", "a b c")), candidate(1, row("a b c", "t"))
    assert evidence(popular, trusted, trusted=["t"], generated=["a", "b", "c"]).best is trusted


def test_what_the_request_says_of_every_result_comes_after_its_examples_and_before_the_score():
    seen = evidence(
        candidate(0, row("t", "p", gives("1", "2", "3"))),
        candidate(1, row("t", "p", gives("1", "2", "3"))),
        candidate(2, row("t p", "", gives("1", "2", "4"))),
        candidate(3, row("p", "t")),
        trusted=["t"],
        properties=["p"],
    )
    assert seen.best.index == 2


def test_a_candidate_that_loads_is_better_than_one_that_does_not():
    seen = evidence(candidate(0, row("", "t", loads=False)), candidate(1, row("", "t")), trusted=["t"])
    assert seen.best.index == 1


def test_the_candidate_that_most_others_behave_like_leads():
    alone, together = gives("1", "2", "3"), gives("1", "2", "9")
    gave = [alone, together, together, together]
    seen = evidence(*(candidate(i, row("t", "", values)) for i, values in enumerate(gave)))
    assert seen.best.index == 1
    assert [len(group) for group in seen.groups] == [3, 1]


def test_the_greedy_answer_has_two_votes():
    greedy, drawn = gives("1", "2", "3"), gives("1", "2", "9")
    tie = evidence(*(candidate(i, row("t", "", gave)) for i, gave in enumerate([greedy, drawn, drawn])), trusted=["t"])
    assert tie.best.index == 0
    assert not tie.is_outvoted(tie.candidates[0])
    assert not tie.is_backed(tie.candidates[0]), "two thirds must agree"


def test_equal_candidates_are_led_by_the_first_then_by_the_form_written_most_often_then_by_the_shorter():
    codes = ["def f(): return 0\n", "def f(): return 1\n", "def f(): return 2\n", "def f():\n    # 2\n    return 2\n"]
    pool = [candidate(i, row("t"), code=code) for i, code in enumerate(codes)]
    assert evidence(*pool, trusted=["t"]).best.index == 0
    assert evidence(candidate(0), *pool[1:], trusted=["t"]).best.index == 2


def test_what_most_candidates_do_outweighs_some_of_the_models_own_tests():
    same, other = gives("1", "2", "3", "4"), gives("1", "5", "6", "7")
    pool = [
        candidate(0, row("a b", "c d", same)),
        candidate(1, row("a b c", "d", other)),
        candidate(2, row("a b", "c d", same)),
    ]
    assert evidence(*pool, generated=list("abcd")).best.index == 0
    unseen = [replace(c, row=replace(c.row, outputs={})) for c in pool]
    assert evidence(*unseen, generated=list("abcd")).best.index == 0, "c is contradicted by two of three"
    assert evidence(*unseen[:2], generated=list("abcd")).best.index == 1


def test_a_generated_test_that_most_candidates_fail_is_dropped():
    pool = [candidate(0, row("a", "b")), candidate(1, row("a", "b")), candidate(2, row("a b"))]
    assert evidence(*pool, generated=["a", "b"]).standing == ["a"]


def test_a_generated_test_that_half_of_the_candidates_fail_stays():
    pool = [candidate(index, row("a b")) for index in range(2)] + [candidate(index, row("a", "b")) for index in (2, 3)]
    assert evidence(*pool, generated=["a", "b"]).standing == ["a", "b"]


def test_of_two_that_fail_a_test_the_ones_that_agree_weigh_more():
    pool = [
        candidate(0, row("a", "", gives("1", "2", "3"))),
        candidate(1, row("a", "", gives("1", "2", "3"))),
        candidate(2, row("", "a", gives("7", "8", "9"))),
        candidate(3, row("", "a", gives("4", "5", "6"))),
    ]
    assert evidence(*pool, generated=["a"]).weights["a"] > 0.5


def test_a_refinement_has_no_vote_because_it_repeats_the_bug_it_was_made_from():
    pool = [candidate(0, row("a", "b")), candidate(1, row("a", "b"), "refine"), candidate(2, row("a", "b"), "refine")]
    assert evidence(*pool, generated=["a", "b"]).standing == ["a", "b"]


def test_two_samples_that_agree_are_no_majority():
    assert evidence(candidate(0, row("", "a")), candidate(1, row("", "a")), generated=["a"]).standing == ["a"]


def test_a_candidate_that_only_crashes_has_no_vote():
    assert evidence(*(candidate(i, CRASH) for i in range(3)), generated=["a"]).standing == ["a"]


def test_a_sample_that_fails_an_example_others_meet_has_no_vote():
    pool = [candidate(0, row("t a")), candidate(1, row("a", "t")), candidate(2, row("a", "t"))]
    assert [c.index for c in evidence(*pool, trusted=["t"], generated=["a"]).voters] == [0]


def test_an_input_that_most_give_nothing_for_is_outside_of_what_was_asked():
    pool = [candidate(i, row("t", "", gives("1", value, "3", "4"))) for i, value in enumerate([None, None, "2"])]
    assert evidence(*pool, trusted=["t"]).domain == ["f(0)", "f(2)", "f(3)"]


def test_support_needs_the_same_value_for_every_input_and_enough_inputs():
    alike, other = gives("1", "2", "3"), gives("1", "2", "4")
    pool = [candidate(i, row("t", "", gave)) for i, gave in enumerate([alike, alike, other])]
    seen = evidence(*pool, trusted=["t"])
    assert [c.index for c in seen.supporters(pool[0])] == [1]
    assert seen.supporters(pool[2]) == []
    few = evidence(*(candidate(i, row("t", "", gives("1", "2"))) for i in range(3)), trusted=["t"])
    assert few.supporters(few.candidates[0]) == []


@pytest.mark.parametrize("value", ["3", "False", "None"])
def test_code_that_always_gives_the_same_is_not_supported(value):
    same = [candidate(i, row("t", "", gives(*[value] * 3))) for i in range(2)]
    assert evidence(*same, trusted=["t"]).supporters(same[0]) == []
    assert not evidence(*same, trusted=["t"]).is_backed(same[0])


@pytest.mark.parametrize(
    ("facts", "pins"),
    [
        ({"faults_found": 0.7}, True),
        ({"faults_found": 0.69}, False),
        ({"faults_found": None}, False),
        ({"faults_found": 1.0, "stub_meets": True}, False),
    ],
)
def test_examples_that_find_most_small_faults_and_no_stub_meets_pin_the_code(facts, pins):
    one = candidate(0, row("t", "", gives("1", "2", "3")), **facts)
    assert evidence(one, trusted=["t"]).is_pinned(one) is pins


def test_code_that_others_contradict_or_that_always_gives_the_same_is_not_pinned():
    def first(values, *others, **facts):
        pool = [candidate(0, row("t", "u", values), faults_found=1.0), *others]
        return evidence(*pool, trusted=["t"], **facts).is_pinned(pool[0])

    others = [candidate(i, row("t", "", gives("4", "5", "6"))) for i in (1, 2, 3)]
    assert first(gives("1", "2", "3"), *others[:2])
    assert not first(gives("1", "2", "3"), *others)
    assert not first(gives("1", "1", "1"))
    assert not first(gives("1", "2", "3"), properties=["u"])
    assert first(gives("1", "2", "3"), generated=["v", "u"])
    assert not first(gives("1", "2", "3"), generated=["v", "w", "u"])


def test_code_that_gives_nothing_but_the_examples_is_neither_pinned_nor_backed_by_them():
    """As `{"ab": 2, "c": 1, "": 0}[text]` is, which meets three examples and raises for all else."""
    facts = {"trusted": ["t", "u", "v"], "inputs": [f"f({n})" for n in range(6)]}
    holding, working = (candidate(0, row("t u v", "", gives(*gave)), faults_found=1.0) for gave in ("12", "123"))
    assert evidence(working, **facts).is_pinned(working)
    assert evidence(working, **facts).is_backed(working)
    assert not evidence(holding, **facts).is_pinned(holding)
    assert not evidence(holding, **facts).is_backed(holding)
    few = facts | {"inputs": ["f(0)", "f(1)"]}
    assert evidence(holding, **few).is_backed(holding)


def test_three_examples_do_not_back_code_that_gives_the_same_for_all_else():
    table = candidate(0, row("t u v", "", gives("None", "None", "None")))
    assert not evidence(table, trusted=["t", "u", "v"]).is_backed(table)


def test_one_example_alone_is_not_backed_and_three_are():
    alone = candidate(0, row("t"))
    assert not evidence(alone, trusted=["t"]).is_backed(alone)
    three = candidate(0, row("t u v"))
    assert evidence(three, trusted=["t", "u", "v"]).is_backed(three)
    callers = evidence(alone, trusted=["t"], has_caller_tests=True)
    assert callers.is_backed(alone)


def test_one_example_and_half_of_the_models_own_tests_are_backed():
    half, few = candidate(0, row("t a b", "c d")), candidate(0, row("t a", "b c d"))
    facts = {"trusted": ["t"], "generated": list("abcd"), "rounds_of_tests": 1}
    assert evidence(half, **facts).is_backed(half)
    assert not evidence(few, **facts).is_backed(few)
    assert not evidence(half, **facts | {"generated": ["a", "b"]}).is_backed(half), "two tests are too few"
    assert not evidence(half, **facts | {"rounds_of_tests": 0}).is_backed(half), (
        "values asked for in splits do not count"
    )


def test_two_thirds_of_those_that_meet_the_examples_must_agree():
    gave = [gives("1", "2", "3"), gives("1", "2", "3"), gives("4", "5", "6"), gives("7", "8", "9")]
    pool = [candidate(i, row("t", "", values)) for i, values in enumerate(gave)]
    assert not evidence(*pool, trusted=["t"]).is_backed(pool[0]), "three votes of five"
    assert evidence(*pool[:3], trusted=["t"]).is_backed(pool[0]), "three votes of four"


def test_samples_that_meet_the_example_are_not_backed_where_most_samples_fail_it():
    same = [candidate(i, row("t", "", gives("1", "2", "3"))) for i in (4, 5)]
    wrong = [candidate(i, row("", "t", gives("1", "2", "3"))) for i in range(4)]
    assert not evidence(*wrong, *same, trusted=["t"]).is_backed(same[0])
    assert evidence(*wrong[1:3], *same, trusted=["t"]).is_backed(same[0])


def test_the_same_code_is_not_backed_however_often_it_is_drawn_and_other_code_backs_it():
    same = "def f(x):\n    # {}\n    return x\n"
    pool = [candidate(i, row("t", "", gives("1", "2", "3")), code=same.format(i)) for i in range(5)]
    assert not evidence(*pool, trusted=["t"]).is_backed(pool[0])
    assert evidence(*pool, trusted=["t"]).is_repeated(pool[0])
    other = candidate(5, row("t", "", gives("1", "2", "3")), code="def f(y): return y\n")
    assert evidence(*pool, other, trusted=["t"]).is_backed(pool[0])
    assert not evidence(*pool, other, trusted=["t"]).is_repeated(pool[0])


def test_the_same_code_come_to_in_two_ways_is_backed():
    first, second = (candidate(i, row("t", "", gives("1", "2", "3")), code="def f(x): return x\n") for i in (0, 1))
    because = replace(second, style="because", row=second.row)
    assert not evidence(first, replace(second, style="again"), trusted=["t"]).is_backed(first)
    assert evidence(first, because, trusted=["t"]).is_backed(first)


def test_code_that_breaks_what_the_request_says_of_every_result_is_not_backed():
    breaks = candidate(0, row("t u v a b c", "stated"))
    assert evidence(breaks, trusted=["t", "u", "v"]).is_backed(breaks)
    assert not evidence(breaks, trusted=["t", "u", "v"], properties=["stated"]).is_backed(breaks)
    assert not evidence(breaks, generated=list("abc"), properties=["stated"]).is_settled_by_generated(breaks)


def test_a_refinement_that_was_not_shown_the_code_has_a_vote_and_is_another_way():
    """Its code is that of a sample, word for word: by two ways, so it backs it."""
    failed = candidate(0, row("", "t"))
    same = [candidate(i, row("t", "", gives("1", "2", "3")), code="def f(x): return x\n") for i in (1, 2)]
    anew = replace(same[0], origin="refine", style="anew")
    drawn = replace(same[1], style="again")
    assert evidence(failed, anew, drawn, trusted=["t"]).is_backed(anew)
    assert not evidence(failed, replace(anew, style="plain"), drawn, trusted=["t"]).is_backed(anew)


def test_two_of_few_that_meet_the_example_back_each_other_with_the_first_answer_among_them_and_three_without():
    wrong = [candidate(i, row("", "t", gives("7", str(i), "9"))) for i in range(2, 8)]
    right = [candidate(i, row("t", "", gives("1", "2", "3"))) for i in (0, 1, 8, 9)]
    assert evidence(right[0], *wrong, right[2], trusted=["t"]).is_backed(right[0])
    assert not evidence(right[1], *wrong, right[2], trusted=["t"]).is_backed(right[1])
    assert evidence(right[1], *wrong, *right[2:], trusted=["t"]).is_backed(right[1])


def test_a_refinement_gives_no_vote_to_itself():
    refined = candidate(1, row("t", "", gives("1", "2", "3")), "refine")
    alike, other = (candidate(i, row("t", "", gives("1", "2", last))) for i, last in ((2, "3"), (3, "9")))
    assert not evidence(candidate(0, row("", "t")), refined, alike, other, trusted=["t"]).is_backed(refined)


def test_the_first_code_has_one_vote_where_it_was_drawn():
    greedy, drawn = candidate(0), replace(candidate(0), style="again")
    assert (votes([greedy]), votes([drawn]), votes([candidate(1)])) == (2, 1, 1)


def test_two_ways_that_agree_overrule_a_generated_case():
    first = candidate(0, row("a b c", "d", gives("1", "2", "3")))
    second = replace(candidate(1, row("a b c", "d", gives("1", "2", "3"))), style="because")
    seen = evidence(first, second, generated=list("abcd"))
    assert seen.standing == ["a", "b", "c"]
    assert seen.is_settled_by_generated(first)
    assert evidence(first, replace(second, style="again"), generated=list("abcd")).standing == list("abcd")


def test_where_another_way_leads_elsewhere_two_ways_must_lead_here():
    same, other = row("t", "", gives("1", "2", "3")), row("t", "", gives("1", "2", "9"))
    at_once = [candidate(i, same) for i in range(3)]
    elsewhere = replace(candidate(3, other), style="because")
    assert not evidence(*at_once, elsewhere, trusted=["t"]).is_backed(at_once[0])
    with_steps = replace(candidate(4, same), style="steps")
    assert evidence(*at_once, elsewhere, with_steps, trusted=["t"]).is_backed(at_once[0])


def test_three_ways_need_only_more_than_half_of_the_votes():
    """The first answer has two votes of five: two thirds are not reached, and its mistake is outvoted all the same."""
    first = candidate(0, row("t", "", gives("1", "2", "9")))
    styles = ["because", "again", "steps"]
    others = [replace(candidate(i, row("t", "", gives("1", "2", "3"))), style=styles[i - 1]) for i in (1, 2, 3)]
    assert evidence(first, *others, trusted=["t"]).is_backed(others[0])
    in_two = replace(others[2], style="again")
    assert not evidence(first, *others[:2], in_two, trusted=["t"]).is_backed(others[0])
    part = [candidate(i, row("t", "", gives("1", "2", str(i)))) for i in (4, 5)]
    assert not evidence(first, *others, *part, trusted=["t"]).is_backed(others[0])


def test_one_that_does_as_no_other_sample_does_is_not_settled_by_tests_of_which_some_were_dropped():
    gave = [gives("1", "2", "3"), gives("1", "2", "9"), gives("1", "2", "9")]
    pool = [candidate(i, row("a b c", "d e", values)) for i, values in enumerate(gave)]
    seen = evidence(*pool, generated=list("abcde"))
    assert seen.standing == ["a", "b", "c"]
    assert not seen.is_settled_by_generated(pool[0])


def test_who_is_outvoted_is_not_backed_whatever_else_speaks_for_it():
    gave = [gives("1", "2", "3"), *[gives("1", "2", "9")] * 3]
    pool = [candidate(i, row("t u v a b c", "", values)) for i, values in enumerate(gave)]
    seen = evidence(*pool, trusted=["t", "u", "v"], generated=list("abc"))
    assert not seen.is_backed(pool[0])
    assert seen.is_backed(pool[1])


def test_generated_tests_alone_settle_it_when_enough_stand_and_all_of_these_pass():
    all_pass = candidate(0, row("a b c"))
    assert evidence(all_pass, generated=list("abc")).is_settled_by_generated(all_pass)
    assert not evidence(all_pass, generated=["a", "b"]).is_settled_by_generated(all_pass)
    pool = [candidate(i, row("a b c", "d")) for i in range(3)]
    assert evidence(*pool, generated=list("abcd")).is_settled_by_generated(pool[0])
    many = [candidate(i, row("a b c", "d e f g")) for i in range(3)]
    assert not evidence(*many, generated=list("abcdefg")).is_settled_by_generated(many[0]), "most were dropped"


def test_an_example_that_nothing_meets_while_others_are_met_is_suspected():
    pool = [candidate(i, row("t u", "w")) for i in range(4)]
    assert evidence(*pool, trusted=["t", "u", "w"]).suspects == ["w"]
    assert evidence(*pool[:3], trusted=["t", "u", "w"]).suspects == []
    assert evidence(*pool, trusted=["w"]).suspects == []
    assert evidence(*pool, trusted=["t", "w"], has_caller_tests=True).suspects == []


VALUES = st.sampled_from([None, "1", "2", "3"])
ROWS = st.lists(
    st.tuples(st.lists(st.booleans(), min_size=4, max_size=4), st.lists(VALUES, min_size=4, max_size=4)),
    min_size=1,
    max_size=6,
)


def seen_of(table):
    """Cases t, a, b, c; t is trusted."""
    pool = []
    for index, (passed, values) in enumerate(table):
        names = ["t", "a", "b", "c"]
        good = " ".join(name for name, is_good in zip(names, passed, strict=True) if is_good)
        bad = " ".join(name for name, is_good in zip(names, passed, strict=True) if not is_good)
        pool.append(candidate(index, row(good, bad, gives(*values))))
    return evidence(*pool, trusted=["t"], generated=["a", "b", "c"])


@settings(derandomize=True, deadline=None)
@given(ROWS)
def test_the_best_meets_as_many_trusted_cases_as_any(table):
    seen = seen_of(table)
    assert passed_of(seen.best, ["t"]) == max(passed_of(c, ["t"]) for c in seen.candidates)


@settings(derandomize=True, deadline=None)
@given(ROWS)
def test_support_is_mutual_and_groups_hold_every_voter_once(table):
    seen = seen_of(table)
    for one in seen.voters:
        for other in seen.supporters(one):
            assert one in seen.supporters(other)
    assert sorted(c.index for group in seen.groups for c in group) == [c.index for c in seen.voters]


@settings(derandomize=True, deadline=None)
@given(ROWS, st.permutations(range(4)))
def test_the_order_of_the_inputs_changes_nothing(table, order):
    seen = seen_of(table)
    turned = replace(seen, inputs=[seen.inputs[i] for i in order])
    assert seen.best.index == turned.best.index
    assert seen.weights == pytest.approx(turned.weights)


@settings(derandomize=True, deadline=None)
@given(ROWS)
def test_one_more_sample_that_does_the_same_never_costs_support(table):
    seen = seen_of(table)
    chosen = seen.best
    twin = candidate(len(table), chosen.row)
    more = replace(seen, candidates=(*seen.candidates, twin))
    if chosen in seen.voters:
        before = {c.index for c in seen.supporters(chosen)}
        assert more.agreement(chosen) >= 0
        assert twin.index in {c.index for c in more.supporters(chosen)} or not before or more.domain != seen.domain


@settings(derandomize=True, deadline=None)
@given(ROWS)
def test_weights_are_shares_and_a_dropped_case_never_stands(table):
    seen = seen_of(table)
    assert all(0 <= weight <= 1 for weight in seen.weights.values())
    assert set(seen.standing) == {case for case, weight in seen.weights.items() if weight}


def test_what_is_written_again_does_not_contradict_a_generated_case():
    """A fizzbuzz without its third line was written twice, in two ways, and the case that told so was dropped."""
    same = "def f(x): return x\n"
    pool = [candidate(i, row("a b c", "d", gives("1", "2", "3")), code=same) for i in range(3)]
    pool = [replace(one, style=style) for one, style in zip(pool, ["plain", "because", "steps"], strict=True)]
    seen = evidence(*pool[:2], generated=list("abcd"))
    assert (seen.standing, seen.is_settled_by_generated(pool[0])) == (list("abcd"), False)
    assert evidence(*pool, generated=list("abcd")).standing == list("abc"), "three ways are enough"
    other = replace(pool[1], code="def f(y): return y\n")
    assert evidence(pool[0], other, generated=list("abcd")).standing == list("abc")
    passes = candidate(3, row("a b c d", "", gives("1", "2", "9")))
    assert evidence(*pool[:2], passes, generated=list("abcd")).standing == list("abcd"), "it is not against the case"


def test_groups_that_give_no_value_are_not_what_to_choose_between():
    silent = [candidate(i, row("t", "", gives("1", None, None))) for i in (0, 1)]
    crash = candidate(2, row("t", "", gives(None, None, None)))
    seen = evidence(*silent, crash, trusted=["t"])
    assert [len(group) for group in seen.groups] == [2, 1]
    assert seen.groups_with_values == seen.groups[:1]


def test_tests_alone_do_not_settle_what_more_samples_do_otherwise():
    gave = [gives("1", "2", "9"), *[gives("1", "2", "3")] * 3]
    pool = [candidate(i, row("a b c", "", values)) for i, values in enumerate(gave)]
    seen = evidence(*pool, generated=["a", "b", "c"])
    assert seen.is_settled_by_generated(pool[1])
    assert not seen.is_settled_by_generated(pool[0])
