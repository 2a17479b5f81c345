"""Against values computed by hand and from the literature."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitty_evals.calibration import calibrate
from kitty_evals.inference import bootstrap_mean, mcnemar, wilson


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17 (1998), table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(count, of, low, high):
    share = wilson(count, of)
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_holds_the_share_stays_within_0_and_1_and_is_mirrored(pair):
    count, of = pair
    share, mirrored = wilson(count, of), wilson(of - count, of)
    assert 0 <= share.low <= share.value <= share.high <= 1
    assert share.low == pytest.approx(1 - mirrored.high)


def test_of_nothing_no_share_is_claimed():
    share = wilson(0, 0)
    assert (share.value, share.low, share.high) == (None, None, None)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (8, 1, 2 * 10 / 512), (5, 0, 2 / 32), (3, 3, 1.0), (10, 2, 2 * 79 / 4096)],
)
def test_mcnemar_is_the_exact_two_sided_binomial(first, second, p):
    assert mcnemar(first, second) == pytest.approx(p)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_the_bootstrap_of_fifty_fifty_is_near_the_normal_interval():
    # 100 tasks, half of them won: the mean's standard error is 5 points, so 95 % are within about 9.8
    interval = bootstrap_mean([100.0, 0.0] * 50)
    assert interval.low == pytest.approx(40.2, abs=1.0)
    assert interval.high == pytest.approx(59.8, abs=1.0)


@given(st.lists(st.sampled_from([-100.0, 0.0, 100.0]), min_size=1, max_size=40))
def test_the_bootstrap_stays_between_the_extremes_and_is_the_same_each_time(values):
    interval = bootstrap_mean(values, resamples=200)
    assert min(values) <= interval.low <= interval.high <= max(values)
    assert interval == bootstrap_mean(values, resamples=200)


def test_nothing_cannot_be_resampled():
    with pytest.raises(ValueError, match="nothing to draw from"):
        bootstrap_mean([])


def test_confidence_is_binned_by_rank_and_halved():
    pairs = [(n / 10, n > 4) for n in range(10)]
    found = calibrate(pairs)
    assert [one.tasks for one in found.bins] == [2, 2, 2, 2, 2]
    assert [one.confidence for one in found.bins] == pytest.approx([0.05, 0.25, 0.45, 0.65, 0.85])
    assert [one.right for one in found.bins] == [0, 0, 0.5, 1, 1]
    assert (found.lower, found.upper) == (0.0, 1.0)


def test_the_middle_one_belongs_to_neither_half_and_few_answers_make_few_bins():
    found = calibrate([(0.1, False), (0.5, False), (0.9, True)])
    assert [one.tasks for one in found.bins] == [1, 1, 1]
    assert (found.lower, found.upper) == (0.0, 1.0)
    assert calibrate([]).bins == ()
    assert calibrate([(0.5, True)]).lower is None


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.booleans()), min_size=2), st.randoms())
def test_the_order_of_answers_changes_no_calibration(pairs, order):
    shuffled = list(pairs)
    order.shuffle(shuffled)
    found, again = calibrate(pairs), calibrate(shuffled)
    assert found == again
    assert sum(one.tasks for one in found.bins) == len(pairs)
    assert sum(one.tasks * one.right for one in found.bins) == pytest.approx(sum(right for _, right in pairs))
    assert max(one.tasks for one in found.bins) - min(one.tasks for one in found.bins) <= 1
