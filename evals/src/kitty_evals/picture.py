"""The report as a picture: what is solved for how many tokens, and whether confidence keeps its word.

matplotlib is imported when a picture is drawn, and without pyplot: no window system, no state of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kitty_evals.inference import FEW
from kitty_evals.report import ArmReport, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (11.0, 4.8)
DOTS_PER_INCH = 130
CONFIDENCE = "Confidence, kept or not"
SHARES = (-0.05, 1.05)
"""The reach of an axis of shares: a point at 0 or 1 is seen whole."""


def draw(report: Report, path: Path) -> None:
    """Writes a PNG of `figure_of(report)`."""
    figure_of(report).savefig(path, dpi=DOTS_PER_INCH, format="png")


def figure_of(report: Report) -> "Figure":
    """Two panels: costs, and confidence, which says why where it shows nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    arms = [(arm, f"C{at}") for at, arm in enumerate(report.arms)]
    _draw_costs(left, arms)
    _draw_confidence(right, arms)
    return figure


def _draw_costs(panel: "Axes", arms: Sequence[tuple[ArmReport, str]]) -> None:
    for arm, color in arms:
        _draw_solved(panel, arm, color)
    _label(panel, "Solved, by what it costs", "paid tokens a task (prefill not cached + completion)", "solved (pass@1)")
    panel.set_xlim(0, 1.1 * max((arm.tokens.paid or 0 for arm, _ in arms), default=0) or 1)


def _draw_confidence(panel: "Axes", arms: Sequence[tuple[ArmReport, str]]) -> None:
    """Arms of enough answers, and a line that names the others. Axes without a point would look like a result."""
    drawn = [(arm, color) for arm, color in arms if _answers(arm) >= FEW]
    few = ", ".join(f"{arm.label} {_answers(arm)}" for arm, _ in arms if arm.tier and _answers(arm) < FEW)
    missing = f"Left out, too few answers to tell: {few}\n({FEW} are wanted)" if few else ""
    if not drawn:
        panel.set_axis_off()
        panel.set_title(CONFIDENCE)
        panel.text(0.5, 0.5, missing or "No answer has a confidence.", ha="center", transform=panel.transAxes)
        return
    for arm, color in drawn:
        _draw_calibration(panel, arm, color)
    _label(panel, CONFIDENCE, "confidence, mean of a fifth of the answers", "share of them that is right")
    panel.plot([0, 1], [0, 1], linestyle=":", color="grey", linewidth=1)
    panel.set_xlim(*SHARES)
    panel.text(0.98, 0.03, missing, ha="right", fontsize="small", transform=panel.transAxes)


def _draw_solved(panel: "Axes", arm: ArmReport, color: str) -> None:
    solved, paid = arm.solved, arm.tokens.paid
    if paid is None or solved.value is None or solved.low is None or solved.high is None:
        return
    reach = [[solved.value - solved.low], [solved.high - solved.value]]
    panel.errorbar([paid], [solved.value], yerr=reach, fmt="o", capsize=4, color=color, label=arm.label)


def _draw_calibration(panel: "Axes", arm: ArmReport, color: str) -> None:
    bins = arm.calibration.bins if arm.calibration else ()
    panel.plot([b.confidence for b in bins], [b.right for b in bins], marker="o", color=color, label=arm.label)


def _answers(arm: ArmReport) -> int:
    """How many answers told their confidence."""
    return arm.calibration.answers if arm.calibration else 0


def _label(panel: "Axes", title: str, below: str, beside: str) -> None:
    panel.set(title=title, xlabel=below, ylabel=beside, ylim=SHARES)
    panel.grid(alpha=0.3)
    if panel.get_legend_handles_labels()[1]:
        panel.legend()
