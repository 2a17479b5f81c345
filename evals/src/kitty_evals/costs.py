"""What answers cost: tokens and seconds, as means over tasks. Pure functions of records.

`paid` tokens are those the machine had to compute: prefill that was not cached, and completion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kitty_evals.records import Record, Spent

MANY_CALLS = 3
"""From so many calls on, a task can profit from the server's cache."""


@dataclass(frozen=True)
class Tokens:
    """Means a task. None where no answer told its tokens."""

    tasks: int
    prefill: float | None
    cached: float | None
    completion: float | None
    paid: float | None
    ratio_to_raw: float | None
    """Paid tokens over those of the raw arm, on the tasks both have."""


@dataclass(frozen=True)
class Seconds:
    """Per task; `outside_model` is the share of the time in which no model was at work."""

    tasks: int
    wall: float | None
    outside_model: float | None


@dataclass(frozen=True)
class PrefillShare:
    """Of the prompt tokens of tasks with three calls or more, the share that was computed, not cached."""

    tasks: int
    computed: float | None


def count_tokens(records: Sequence[Record], raw: Mapping[str, Record]) -> Tokens:
    """`raw` is the raw arm by task, empty where there is none."""
    spent = {record.task: record.usage for record in records if record.usage}
    both = [(usage, raw[task].usage) for task, usage in spent.items() if task in raw]
    pairs = [(usage.paid_tokens, other.paid_tokens) for usage, other in both if other]
    values = list(spent.values())
    return Tokens(
        tasks=len(values),
        prefill=_mean([usage.prefill_tokens for usage in values]),
        cached=_mean([usage.cached_tokens for usage in values]),
        completion=_mean([usage.completion_tokens for usage in values]),
        paid=_mean([usage.paid_tokens for usage in values]),
        ratio_to_raw=_ratio(sum(ours for ours, _ in pairs), sum(theirs for _, theirs in pairs)),
    )


def count_seconds(records: Sequence[Record]) -> Seconds:
    """Of the answers that told what the model took."""
    timed = [(record.wall_seconds, record.usage) for record in records if record.usage]
    outside = sum(max(0.0, wall - usage.model_seconds) for wall, usage in timed)
    return Seconds(len(timed), _mean([wall for wall, _ in timed]), _ratio(outside, sum(wall for wall, _ in timed)))


def count_prefill(records: Sequence[Record]) -> PrefillShare:
    many: list[Spent] = [record.usage for record in records if record.usage and record.usage.calls >= MANY_CALLS]
    computed = sum(usage.prefill_tokens for usage in many)
    return PrefillShare(len(many), _ratio(computed, computed + sum(usage.cached_tokens for usage in many)))


def held_example(record: Record) -> bool:
    """Whether an example was found in the request."""
    examples = record.evidence.get("examples")
    return isinstance(examples, int) and examples > 0


def _mean(values: Sequence[float]) -> float | None:
    return _ratio(sum(values), len(values))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
