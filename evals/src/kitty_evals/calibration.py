"""Does `confidence` say how often an answer is right? Pure functions of (confidence, right) pairs.

Answers of equal confidence cannot be told apart by it, so each of them counts with their common share of right answers:
then it does not matter in which order equal ones are sorted into bins and halves.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_BINS = 5


@dataclass(frozen=True)
class Bin:
    """Answers of neighbouring confidence."""

    tasks: int
    confidence: float
    """Mean."""
    right: float
    """Share."""


@dataclass(frozen=True)
class Calibration:
    """`lower` and `upper`: share of right answers in the halves by confidence; a middle one belongs to neither."""

    bins: tuple[Bin, ...]
    lower: float | None
    upper: float | None

    @property
    def answers(self) -> int:
        return sum(one.tasks for one in self.bins)


def calibrate(pairs: Iterable[tuple[float, bool]]) -> Calibration:
    """The reliability curve in up to five bins of equal size (they differ by one at most), and the two halves."""
    ranked = _ranked(pairs)
    half = len(ranked) // 2
    return Calibration(
        bins=tuple(_bin(part) for part in _parts(ranked, min(MOST_BINS, len(ranked)))),
        lower=_bin(ranked[:half]).right if half else None,
        upper=_bin(ranked[-half:]).right if half else None,
    )


def _ranked(pairs: Iterable[tuple[float, bool]]) -> list[tuple[float, float]]:
    """By confidence, rising; each with the share of right answers among those of the same confidence."""
    alike: dict[float, list[bool]] = defaultdict(list)
    for confidence, right in pairs:
        alike[confidence].append(right)
    return [(at, sum(alike[at]) / len(alike[at])) for at in sorted(alike) for _ in alike[at]]


def _parts(ranked: Sequence[tuple[float, float]], count: int) -> list[Sequence[tuple[float, float]]]:
    return [ranked[len(ranked) * at // count : len(ranked) * (at + 1) // count] for at in range(count)]


def _bin(part: Sequence[tuple[float, float]]) -> Bin:
    return Bin(len(part), sum(at for at, _ in part) / len(part), sum(share for _, share in part) / len(part))
