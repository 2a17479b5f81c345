"""Everything that is said about one or several runs, as plain data. Pure: records in, report out.

runs → arms ─┬─> what each is worth
             └─> each tier against the raw arm of its model, on the tasks both were given
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kitty_evals.arms import Arm, Run, sort_into_arms
from kitty_evals.calibration import Calibration, calibrate
from kitty_evals.costs import PrefillShare, Seconds, Tokens, count_prefill, count_seconds, count_tokens, held_example
from kitty_evals.inference import FEW, WIDE_POINTS, Interval, Share, bootstrap_mean, mcnemar, wilson
from kitty_evals.records import Record


@dataclass(frozen=True)
class ArmReport:
    """What an arm is worth. Tasks that the sandbox could not judge are in `unjudged` and nowhere else."""

    label: str
    model: str
    model_sha256: str | None
    tier: str | None
    tasks: int
    errors: int
    unjudged: int
    solved: Share
    """pass@1: hidden tests passed, of the tasks that were judged."""
    too_few_tasks: bool
    """To take its shares for more than a hint."""
    precision: Share | None
    """Right, of the answers called verified."""
    recall: Share | None
    """Verified, of the answers that are right."""
    calibration: Calibration | None
    tokens: Tokens
    tokens_with_example: Tokens | None
    tokens_without_example: Tokens | None
    prefill_of_many_calls: PrefillShare
    seconds: Seconds


@dataclass(frozen=True)
class Difference:
    """A tier against the raw model, on the same tasks. Points are hundredths of pass@1."""

    label: str
    against: str
    tasks: int
    points: float
    interval: Interval
    only_tier: int
    only_raw: int
    mcnemar_p: float
    too_few_tasks: bool
    """To tell how large the difference is: fewer than 30, or the interval spans more than 20 points."""


@dataclass(frozen=True)
class Report:
    arms: tuple[ArmReport, ...]
    differences: tuple[Difference, ...]
    tasks: tuple[dict[str, Any], ...]
    """A line a task and arm."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_report(runs: Sequence[Run]) -> Report:
    arms = sort_into_arms(runs)
    raw = {arm.model: arm for arm in arms if arm.tier is None}
    pairs = [(arm, raw[arm.model]) for arm in arms if arm.tier and arm.model in raw]
    differences = [_difference(tier, against) for tier, against in pairs]
    return Report(
        arms=tuple(_arm_report(arm, raw[arm.model].by_task if arm.model in raw else {}) for arm in arms),
        differences=tuple(difference for difference in differences if difference is not None),
        tasks=tuple(_line(arm.label, record) for arm in arms for record in arm.records),
    )


def _arm_report(arm: Arm, raw: Mapping[str, Record]) -> ArmReport:
    judged = [record for record in arm.records if record.is_settled]
    right = [record for record in judged if record.right]
    verified = [record for record in judged if record.verdict == "verified"]
    both = sum(record.verdict == "verified" for record in right)
    sure = [(record.confidence, bool(record.right)) for record in judged if record.confidence is not None]
    is_tier = arm.tier is not None
    return ArmReport(
        label=arm.label,
        model=arm.model,
        model_sha256=next((record.model_sha256 for record in arm.records if record.model_sha256), None),
        tier=arm.tier,
        tasks=len(arm.records),
        errors=sum(record.error is not None for record in arm.records),
        unjudged=len(arm.records) - len(judged),
        solved=wilson(len(right), len(judged)),
        too_few_tasks=len(judged) < FEW,
        precision=wilson(both, len(verified)) if is_tier else None,
        recall=wilson(both, len(right)) if is_tier else None,
        calibration=calibrate(sure) if is_tier else None,
        tokens=count_tokens(arm.records, raw if is_tier else {}),
        tokens_with_example=_tokens_where(arm.records, raw, True) if is_tier else None,
        tokens_without_example=_tokens_where(arm.records, raw, False) if is_tier else None,
        prefill_of_many_calls=count_prefill(arm.records),
        seconds=count_seconds(arm.records),
    )


def _tokens_where(records: Iterable[Record], raw: Mapping[str, Record], has_example: bool) -> Tokens:
    return count_tokens([record for record in records if held_example(record) is has_example], raw)


def _difference(tier: Arm, raw: Arm) -> Difference | None:
    """None where no task was judged in both."""
    others = raw.by_task
    pairs = [(record, others[record.task]) for record in tier.records if record.task in others]
    judged = [(bool(ours.right), bool(theirs.right)) for ours, theirs in pairs if ours.is_settled and theirs.is_settled]
    if not judged:
        return None
    points = [100.0 * (ours - theirs) for ours, theirs in judged]
    only_tier = sum(ours and not theirs for ours, theirs in judged)
    only_raw = sum(theirs and not ours for ours, theirs in judged)
    interval = bootstrap_mean(points)
    return Difference(
        label=tier.label,
        against=raw.label,
        tasks=len(judged),
        points=sum(points) / len(points),
        interval=interval,
        only_tier=only_tier,
        only_raw=only_raw,
        mcnemar_p=mcnemar(only_tier, only_raw),
        too_few_tasks=len(judged) < FEW or interval.span > WIDE_POINTS,
    )


def _line(label: str, record: Record) -> dict[str, Any]:
    usage = record.usage
    return {
        "task": record.task,
        "arm": label,
        "right": record.right,
        "grade": record.grade,
        "verdict": record.verdict,
        "confidence": record.confidence,
        "calls": usage.calls if usage else None,
        "paid_tokens": usage.paid_tokens if usage else None,
        "wall_seconds": record.wall_seconds,
        "error": record.error,
    }
