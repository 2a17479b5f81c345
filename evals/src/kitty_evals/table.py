"""A report as a person reads it: a line a task, then a column an arm."""

import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from kitty_evals.costs import Tokens
from kitty_evals.inference import FEW, Share
from kitty_evals.progress import RIGHT, printable
from kitty_evals.report import ArmReport, Difference, Report

PLAIN_WIDTH = 160
"""Where there is no terminal: nothing is cut off for a file or a pipe."""

ROWS: tuple[tuple[str, Callable[[ArmReport], str]], ...] = (
    ("model", lambda arm: arm.model),
    ("tasks", lambda arm: _tasks(arm)),
    ("solved (pass@1)", lambda arm: _share(arm.solved)),
    ("verified is right", lambda arm: _share(arm.precision)),
    ("right is verified", lambda arm: _share(arm.recall)),
    ("right, upper/lower half by confidence", lambda arm: _halves(arm)),
    ("paid tokens a task", lambda arm: _number(arm.tokens.paid)),
    ("  prefill + completion, cached", lambda arm: _parts(arm.tokens)),
    ("  times raw", lambda arm: _number(arm.tokens.ratio_to_raw, 2)),
    ("  times raw, example in the request", lambda arm: _split(arm.tokens_with_example)),
    ("  times raw, no example", lambda arm: _split(arm.tokens_without_example)),
    ("prefill computed, tasks of 3+ calls", lambda arm: _prefill(arm)),
    ("seconds a task", lambda arm: _number(arm.seconds.wall, 1)),
    ("  outside the model", lambda arm: _percent(arm.seconds.outside_model)),
)


LEGEND = "In brackets: the share's 95 % interval. How to read all this, and report.png: evals/README.md"


def show(report: Report, stream: TextIO | None = None) -> None:
    """Prints to `stream` (stdout)."""
    chosen = stream or sys.stdout
    console = Console(file=chosen, width=None if chosen.isatty() else PLAIN_WIDTH, highlight=False)
    console.print(task_table(report))
    console.print(arm_table(report))
    for line in (*map(difference_line, report.differences), *doubts(report), LEGEND):
        console.print(Text(printable(line)), soft_wrap=True)


def arm_table(report: Report) -> Table:
    """A column an arm."""
    table = Table("", *(Column(Text(printable(arm.label))) for arm in report.arms), box=SIMPLE)
    for title, cell in ROWS:
        cells = [cell(arm) for arm in report.arms]
        if any(cells):
            table.add_row(title, *(Text(printable(cell)) for cell in cells))
    return table


def task_table(report: Report) -> Table:
    """A line a task and arm. On a narrow terminal long texts go on below, and nothing is cut off."""
    columns = [Column(name, overflow="fold") for name in ("task", "arm", "", "verdict")]
    columns += [Column(name, justify="right") for name in ("conf.", "calls", "paid", "seconds")]
    table = Table(*columns, box=SIMPLE, collapse_padding=True, pad_edge=False)
    for line in report.tasks:
        right = RIGHT[line["right"]] if not line["error"] else f"error: {line['error']}"
        numbers = (_number(line["confidence"], 2), _number(line["calls"]), _number(line["paid_tokens"]))
        texts = (line["task"], line["arm"], right, line["verdict"] or "", *numbers, _number(line["wall_seconds"], 1))
        table.add_row(*(Text(printable(text)) for text in texts))
    return table


def difference_line(difference: Difference) -> str:
    """One comparison in words."""
    interval = f"95 % of resamples {difference.interval.low:+.1f} to {difference.interval.high:+.1f}"
    return (
        f"{difference.label} against {difference.against}: {difference.points:+.1f} points on "
        f"{_number_of_tasks(difference.tasks)} "
        f"({interval}); only it {difference.only_tier}, only the other {difference.only_raw}, "
        f"McNemar p = {difference.mcnemar_p:.3g}"
    )


def doubts(report: Report) -> Iterator[str]:
    """Where too few tasks were done to tell, one sentence each."""
    few = [f"{arm.label} {arm.solved.of}" for arm in report.arms if arm.too_few_tasks]
    if few:
        yield f"Fewer than {FEW} tasks ({', '.join(few)}): go by the brackets, not by the shares."
    given = {arm.label: {line["task"] for line in report.tasks if line["arm"] == arm.label} for arm in report.arms}
    if any(tasks != given[report.arms[0].label] for tasks in given.values()):
        yield "Not every column is of the same tasks: compare the paired lines, not the columns."
    for one in report.differences:
        if one.too_few_tasks:
            span = f"the interval spans {one.interval.span:.1f} points."
            alike = "all came out alike, so the interval says nothing."
            yield (
                f"{one.label} against {one.against}: too few tasks to tell how large the difference is: "
                f"{span if one.interval.span else alike}"
            )


def _tasks(arm: ArmReport) -> str:
    extra = [f"{arm.errors} errors"] * bool(arm.errors) + [f"{arm.unjudged} not judged"] * bool(arm.unjudged)
    return f"{arm.tasks}" + (f" ({', '.join(extra)})" if extra else "")


def _share(share: Share | None) -> str:
    if share is None:
        return ""
    if share.value is None or share.low is None or share.high is None:
        return "none"
    return f"{share.count}/{share.of} = {100 * share.value:.1f} % ({100 * share.low:.0f}–{100 * share.high:.0f})"


def _halves(arm: ArmReport) -> str:
    both = arm.calibration
    return f"{_percent(both.upper)} / {_percent(both.lower)}" if both and both.upper is not None else ""


def _parts(tokens: Tokens) -> str:
    if tokens.paid is None:
        return ""
    return f"{_number(tokens.prefill)} + {_number(tokens.completion)}, {_number(tokens.cached)}"


def _split(tokens: Tokens | None) -> str:
    if tokens is None or not tokens.ratio_to_raw:
        return ""
    return f"{_number(tokens.ratio_to_raw, 2)} ({_number_of_tasks(tokens.tasks)})"


def _prefill(arm: ArmReport) -> str:
    share = arm.prefill_of_many_calls
    return f"{_percent(share.computed)} ({_number_of_tasks(share.tasks)})" if share.computed is not None else ""


def _number_of_tasks(count: int) -> str:
    return f"{count} {'task' if count == 1 else 'tasks'}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
