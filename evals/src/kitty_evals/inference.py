"""How far a share or a difference that was counted on some tasks can be trusted. Pure functions of counts.

Wilson: E. B. Wilson, JASA 22 (1927). McNemar, exact: Q. McNemar, Psychometrika 12 (1947), with the binomial
distribution in place of its approximation. Bootstrap: B. Efron, Annals of Statistics 7 (1979), percentile intervals.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

Z_95 = 1.959963984540054
RESAMPLES = 10_000
SEED = 20_240_901
FEW = 30
"""Of fewer tasks or answers no share is told as if it were known: a rule of thumb, as is the next."""
WIDE_POINTS = 20.0
"""An interval of a difference that spans more hundredths than that does not tell how large it is."""


@dataclass(frozen=True)
class Share:
    """`count` of `of`, and where the true share lies in 95 of 100 such samples. None where `of` is 0."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    @property
    def span(self) -> float:
        return self.high - self.low


def wilson(count: int, of: int) -> Share:
    """A share with its Wilson 95 % interval, which stays within 0 and 1 and holds for few tasks too."""
    if of == 0:
        return Share(0, 0, None, None, None)
    share, spread = count / of, Z_95**2 / of
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * sqrt(share * (1 - share) / of + spread / (4 * of))
    # At the ends the formula gives 0 and 1 exactly; floating point need not.
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == of else min(1.0, centre + half)
    return Share(count, of, share, low, high)


def bootstrap_mean(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The 95 % percentile interval of the mean of `values`, one a task; the same for the same values.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("There is nothing to draw from.")
    draw = random.Random(seed)
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(resamples))
    return Interval(means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1])


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p: how often tasks that exactly one of two solves would fall apart at least so unevenly."""
    differing = only_first + only_second
    tail = sum(comb(differing, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, float(2 * tail / 2**differing))
