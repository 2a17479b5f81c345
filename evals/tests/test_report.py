"""Reports of made-up records, against values computed by hand."""

import io
import json
from dataclasses import replace

import pytest

from kitty_evals.picture import draw, figure_of
from kitty_evals.progress import line_of, progress_for
from kitty_evals.records import Record, RecordFile, Spent
from kitty_evals.report import make_report
from kitty_evals.table import doubts, show


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_task_that_found_no_model_is_no_wrong_answer_and_a_later_run_of_it_counts():
    lost = replace(record("a", False), error="no model", error_code="model_unavailable")
    raw = [record("a", True, tier=None), record("b", True, tier=None)]
    report = make_report([("run", [*raw, lost, record("b", True)])])
    assert (report.arms[1].solved.count, report.arms[1].solved.of, report.arms[1].unjudged) == (1, 1, 1)
    assert (report.differences[0].tasks, report.differences[0].points) == (1, 0)
    lost_raw = replace(lost, arm="raw", tier=None)
    arms = make_report([("first", [lost_raw]), ("second", raw)]).arms
    assert (arms[0].solved.count, arms[0].solved.of) == (2, 2)


def record(task, right, *, tier="standard", model="m", verdict=None, confidence=None, examples=0, usage=None, wall=2.0):
    return Record(
        task=task,
        arm="tier" if tier else "raw",
        tier=tier,
        model=model,
        right=right,
        grade="passed",
        wall_seconds=wall,
        verdict=verdict,
        confidence=confidence,
        evidence={"examples": examples} if tier else {},
        usage=usage,
        error="no sandbox" if right is None else None,
    )


def raw(task, right, usage=None):
    return record(task, right, tier=None, usage=usage or Spent(10, 5, 40, 1, 1.0, {"code": 1.0}))


def spent(prefill, cached, completion, calls, seconds=1.0):
    return Spent(prefill, cached, completion, calls, 1.9, {"code": seconds / 2, "test": seconds / 2})


STANDARD = [
    record("a", True, verdict="verified", confidence=0.9, examples=1, usage=spent(100, 300, 50, 3)),
    record("b", True, verdict="not_verified", confidence=0.4, examples=0, usage=spent(20, 0, 30, 1)),
    record("c", False, verdict="verified", confidence=0.9, examples=2, usage=spent(60, 140, 40, 4, seconds=1.5)),
    record("d", False, verdict="tests_failed", confidence=0.1, examples=0, usage=None),
    record("e", None),
]
RAW = [raw("a", False), raw("b", True), raw("c", False), raw("d", False), raw("e", True)]


def test_a_tier_is_counted_as_by_hand():
    _, arm = make_report([("run", [*RAW, *STANDARD])]).arms
    assert (arm.label, arm.tasks, arm.errors, arm.unjudged) == ("standard", 5, 1, 1)
    assert (arm.solved.count, arm.solved.of) == (2, 4)
    assert (arm.precision.count, arm.precision.of) == (1, 2)
    assert (arm.recall.count, arm.recall.of) == (1, 2)
    # 0.1 wrong, 0.4 right, 0.9 one right of two
    assert [one.right for one in arm.calibration.bins] == [0, 1, 0.5, 0.5]
    assert (arm.calibration.lower, arm.calibration.upper) == (0.5, 0.5)
    tokens = arm.tokens
    assert (tokens.tasks, tokens.prefill, tokens.completion, tokens.paid) == (3, 60, 40, 100)
    assert tokens.cached == pytest.approx(440 / 3)
    assert tokens.ratio_to_raw == pytest.approx(300 / 150)
    assert arm.tokens_with_example.ratio_to_raw == pytest.approx(250 / 100)
    assert arm.tokens_without_example.ratio_to_raw == pytest.approx(50 / 50)
    assert (arm.prefill_of_many_calls.tasks, arm.prefill_of_many_calls.computed) == (2, pytest.approx(160 / 600))
    assert (arm.seconds.wall, arm.seconds.outside_model) == (2.0, pytest.approx((1 + 1 + 0.5) / 6))


def test_the_raw_arm_has_no_verdicts_and_no_ratio():
    arm, _ = make_report([("run", [*RAW, *STANDARD])]).arms
    assert (arm.label, arm.precision, arm.recall, arm.calibration) == ("raw", None, None, None)
    assert (arm.tokens.paid, arm.tokens.ratio_to_raw) == (50, None)


def test_a_difference_is_of_the_tasks_that_both_were_judged_on():
    (difference,) = make_report([("run", [*RAW, *STANDARD])]).differences
    assert (difference.tasks, difference.points) == (4, 25.0)
    assert (difference.only_tier, difference.only_raw, difference.mcnemar_p) == (1, 0, 1.0)
    assert difference.interval.low == 0.0
    assert difference.interval.high == 75.0


def test_without_a_common_task_nothing_is_compared():
    report = make_report([("run", [raw("z", True), *STANDARD])])
    assert report.differences == ()
    assert report.arms[1].tokens.ratio_to_raw is None


def test_runs_of_a_model_share_its_raw_arm_and_keep_their_tiers_apart():
    fast = [record(task, True, tier="fast") for task in "abc"]
    report = make_report([("one", [*RAW, *STANDARD]), ("two", [raw("a", True), *fast]), ("three", STANDARD)])
    assert [arm.label for arm in report.arms] == ["raw", "standard (one)", "fast", "standard (three)"]
    assert report.arms[0].solved.count == 2
    assert [difference.tasks for difference in report.differences] == [4, 3, 4]


def test_several_models_are_named_and_compared_with_their_own_raw_arm():
    report = make_report([("one", [*RAW, *STANDARD]), ("two", [record("a", True, model="n")])])
    assert [arm.label for arm in report.arms] == ["m raw", "m standard", "n standard"]
    assert [difference.label for difference in report.differences] == ["m standard"]


def test_a_report_of_nothing_but_errors_is_still_a_report(tmp_path):
    report = make_report([("run", [record("a", None)])])
    assert report.arms[0].solved.value is None
    json.dumps(report.to_dict(), allow_nan=False)
    show(report, io.StringIO())
    draw(report, tmp_path / "report.png")


def many(count, wrong=0, *, tier="standard"):
    """So many answers, the first of them wrong, each with the confidence it deserves."""
    right = [at >= wrong for at in range(count)]
    sure = [float(one) if tier else None for one in right]
    return [
        record(f"t{at}", one, tier=tier, confidence=sure[at], usage=spent(9, 0, 9, 1)) for at, one in enumerate(right)
    ]


def panels(*runs):
    costs, confidence = figure_of(make_report([(str(at), run) for at, run in enumerate(runs)])).axes
    return costs, confidence


def test_the_picture_is_a_png_of_costs_and_confidence_with_points_at_0_and_1_in_full_view(tmp_path):
    records = [*many(40, wrong=10), *many(40, wrong=20, tier=None)]
    draw(make_report([("run", records)]), tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    costs, confidence = panels(records)
    assert [text.get_text() for text in costs.get_legend().get_texts()] == ["raw", "standard"]
    assert (confidence.get_xlim(), confidence.get_ylim(), costs.get_ylim()) == ((-0.05, 1.05),) * 3
    curve = confidence.get_lines()[0]
    assert [point.tolist() for point in (curve.get_xdata(), curve.get_ydata())] == [[0.0, 0.75, 1.0, 1.0, 1.0]] * 2
    assert costs.get_xlim()[1] > 18


def test_confidence_of_too_few_answers_is_not_drawn_and_the_picture_says_why():
    _, confidence = panels(STANDARD)
    assert ([line.get_label() for line in confidence.get_lines()], confidence.axison) == ([], False)
    assert [text.get_text() for text in confidence.texts] == [
        "Left out, too few answers to tell: standard 4\n(30 are wanted)"
    ]
    _, confidence = panels(RAW)
    assert [text.get_text() for text in confidence.texts] == ["No answer has a confidence."]
    _, confidence = panels(many(30), many(29, tier="deep"))
    assert [text.get_text() for text in confidence.get_legend().get_texts()] == ["standard"]
    assert "deep 29" in confidence.texts[0].get_text()


def doubted(*records):
    return list(doubts(make_report([("run", records)])))


def test_a_report_of_few_tasks_says_so():
    assert doubted(*RAW, *STANDARD) == [
        "Fewer than 30 tasks (raw 5, standard 4): go by the brackets, not by the shares.",
        "standard against raw: too few tasks to tell how large the difference is: the interval spans 75.0 points.",
    ]
    assert doubted(*many(4), *many(4, tier=None))[1].endswith("all came out alike, so the interval says nothing.")
    (arm,) = make_report([("run", many(29))]).to_dict()["arms"]
    assert arm["too_few_tasks"]


def test_a_wide_interval_is_doubted_however_many_tasks_there_are():
    # half of 40 tasks are decided otherwise: some 30 points wide; one of 40: some 8
    assert doubted(*many(40, wrong=20), *many(40, tier=None)) == [
        "standard against raw: too few tasks to tell how large the difference is: the interval spans 30.0 points."
    ]
    assert doubted(*many(40, wrong=1), *many(40, tier=None)) == []


def test_columns_of_different_tasks_are_not_to_be_compared():
    told = "Not every column is of the same tasks: compare the paired lines, not the columns."
    assert told in doubted(*many(40), *many(39, tier=None))


def test_the_table_has_a_line_a_task_and_the_totals():
    out = io.StringIO()
    show(make_report([("run", [*RAW, *STANDARD])]), out)
    shown = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "a standard right verified 0.90 3 150 2.0" in shown
    assert any(line.startswith("e standard error: no sandbox") for line in shown)
    assert "solved (pass@1) 2/5 = 40.0 % (12–77) 2/4 = 50.0 % (15–85)" in shown
    assert "times raw 2.00" in shown
    assert "times raw, example in the request 2.50 (2 tasks)" in shown
    assert "prefill computed, tasks of 3+ calls 27 % (2 tasks)" in shown
    assert any(line.startswith("standard against raw: +25.0 points on 4 tasks") for line in shown)
    assert "model m m" in shown
    assert any(line.startswith("Fewer than 30 tasks") for line in shown)
    assert any(line.endswith("How to read all this, and report.png: evals/README.md") for line in shown)


def test_a_narrow_terminal_cuts_nothing_off(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    long = record("easy/celsius_to_fahrenheit", True, verdict="not_verified", confidence=0.9, usage=spent(1, 0, 1, 1))
    show(make_report([("run", [long])]), out)
    assert "…" not in out.getvalue()
    row = next(line for line in out.getvalue().splitlines() if "not_verified" in line)
    assert (row.split()[1:], len(row)) == (["standard", "right", "not_verified", "0.90", "1", "2", "2.0"], 80)


def test_text_of_a_service_cannot_move_the_cursor():
    odd = record("a\x1b[2J", True, verdict="x\ny")
    assert line_of(odd) == "a�[2J · standard · right · x�y · 2.0 s"
    out = io.StringIO()
    show(make_report([("run", [odd])]), out)
    assert "\x1b" not in out.getvalue()


def test_the_bar_shows_how_many_are_right_in_each_arm(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with progress_for(total=4, done=1, stream=out) as bar:
        bar.show(raw("a", True))
        bar.show(record("a", False))
    assert "raw 1/1 right, standard 0/1 right" in out.getvalue()
    assert "3/4" in out.getvalue()


def test_a_terminal_that_can_do_nothing_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    with progress_for(total=4, done=1, stream=out) as lines:
        lines.show(record("a", False))
    assert out.getvalue() == "2/4 a · standard · wrong · 2.0 s\n"


def test_runs_are_put_into_one_report_by_the_command(evals):
    for name, records in (("one", [*RAW, *STANDARD]), ("two", [record("a", True, tier="deep")])):
        file = RecordFile(evals.folder / name)
        file.path.parent.mkdir()
        for one in records:
            file.append(one)
    done = evals.run("report", "one", "two", "--out", "both")
    assert done.returncode == 0, done.stderr
    document = json.loads((evals.folder / "both" / "report.json").read_text())
    assert [arm["label"] for arm in document["arms"]] == ["raw", "standard", "deep"]
    assert (evals.folder / "both" / "report.png").stat().st_size > 10_000
    alone = json.loads(evals.run("report", "two", "--json").stdout)
    assert [arm["label"] for arm in alone["arms"]] == ["deep"]
    assert (evals.folder / "two" / "report.json").is_file()
