"""The records of one or several runs, sorted into arms: ways to solve a task that are to be compared.

A tier's arm is one run's: the same tier twice is a comparison of two runs. The raw arm is the model's: its answers are
greedy, so they are the same in each run, and the first one that is settled counts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kitty_evals.records import Record

Run = tuple[str, Sequence[Record]]
"""The name of a folder, and its records."""


@dataclass(frozen=True)
class Arm:
    """One way to solve tasks, and what it did."""

    label: str
    model: str
    tier: str | None
    """None: raw."""
    records: tuple[Record, ...]

    @property
    def by_task(self) -> dict[str, Record]:
        return {record.task: record for record in self.records}


def sort_into_arms(runs: Sequence[Run]) -> list[Arm]:
    """Raw answers are greedy: those of one model are one arm, whatever run they come from; the first settled counts."""
    found: dict[tuple[str, str | None, int], dict[str, Record]] = {}
    for at, (_, records) in enumerate(runs):
        for record in records:
            place = (record.model, record.tier, at if record.tier else -1)
            known = found.setdefault(place, {}).setdefault(record.task, record)
            if record.is_settled and not known.is_settled:
                found[place][record.task] = record
    places = sorted(found, key=lambda place: (place[0], place[1] is not None))
    several = len({model for model, _, _ in places}) > 1
    short = {place: _short(place, several) for place in places}
    twice = {label for label, count in Counter(short.values()).items() if count > 1}
    labels = {place: f"{name} ({runs[place[2]][0]})" if name in twice else name for place, name in short.items()}
    return [Arm(labels[place], place[0], place[1], tuple(found[place].values())) for place in places]


def _short(place: tuple[str, str | None, int], several: bool) -> str:
    model, tier, _ = place
    return f"{model} {tier or 'raw'}" if several else tier or "raw"
