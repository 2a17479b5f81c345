"""The report as a picture: what is solved for how many tokens, and whether confidence keeps its word.

matplotlib is imported when a picture is drawn, and without pyplot: no window system, no state of its own.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from kitty_evals.report import ArmReport, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (11.0, 4.8)
DOTS_PER_INCH = 130


def draw(report: Report, path: Path) -> None:
    """Writes a PNG of two panels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for at, arm in enumerate(report.arms):
        _draw_solved(left, arm, f"C{at}")
        _draw_calibration(right, arm, f"C{at}")
    _label(left, "Solved, by what it costs", "paid tokens a task (prefill not cached + completion)", "solved (pass@1)")
    _label(right, "Confidence, kept or not", "confidence, mean of a fifth of the answers", "right")
    right.plot([0, 1], [0, 1], linestyle=":", color="grey", linewidth=1)
    right.set_xlim(-0.02, 1.02)
    left.set_xlim(left=0)
    figure.savefig(path, dpi=DOTS_PER_INCH, format="png")


def _draw_solved(panel: "Axes", arm: ArmReport, color: str) -> None:
    solved, paid = arm.solved, arm.tokens.paid
    if paid is None or solved.value is None or solved.low is None or solved.high is None:
        return
    reach = [[solved.value - solved.low], [solved.high - solved.value]]
    panel.errorbar([paid], [solved.value], yerr=reach, fmt="o", capsize=4, color=color, label=arm.label)


def _draw_calibration(panel: "Axes", arm: ArmReport, color: str) -> None:
    bins = arm.calibration.bins if arm.calibration else ()
    if bins:
        panel.plot([b.confidence for b in bins], [b.right for b in bins], marker="o", color=color, label=arm.label)


def _label(panel: "Axes", title: str, below: str, beside: str) -> None:
    panel.set(title=title, xlabel=below, ylabel=beside, ylim=(-0.02, 1.02))
    panel.grid(alpha=0.3)
    if panel.get_legend_handles_labels()[1]:
        panel.legend()
