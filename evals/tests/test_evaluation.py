"""A folder is of one task file, tier and model; which of the tasks a run chooses is free."""

from dataclasses import replace
from pathlib import Path

import pytest

from kitty_evals.errors import UsageProblem
from kitty_evals.evaluation import Evaluation, records_to_go_on_with
from kitty_evals.model_server import Model
from kitty_evals.records import Record, RecordFile
from kitty_evals.target import Target
from kitty_evals.tasks import Task

TASKS = tuple(Task(name, f"write {name}", "solution.py", {"test_h.py": f"import {name}"}) for name in "abc")
TARGET = Target("small", "fast")


def weights(sha256):
    return replace(TARGET, model=Model("small", sha256=sha256))


def record(task="a", *, of=TASKS[0], **more):
    facts = {"arm": "tier", "tier": "fast", "model": "small", "right": True, "grade": "passed", "wall_seconds": 1.0}
    return Record(**{"task": task, "file": "easy.jsonl", "task_sha256": of.sha256, **facts, **more})


@pytest.fixture
def going_on(tmp_path):
    """going_on(record, …, resume=…) -> what a run on these records would go on with, and the file's bytes are kept."""

    def going_on(*records, resume=True, tasks=TASKS, target=TARGET):
        file = RecordFile(tmp_path)
        for one in records:
            file.append(one)
        before = file.path.read_bytes() if records else b""
        evaluation = Evaluation(Path("x/easy.jsonl"), tasks, tasks[:1], target, ("tier",), tmp_path, resume)
        try:
            return records_to_go_on_with(evaluation, file)
        finally:
            assert (file.path.read_bytes() if records else b"") == before

    return going_on


def test_records_of_the_same_file_tier_and_model_are_gone_on_with_whatever_tasks_were_chosen(going_on):
    of_others = [record("c", of=TASKS[2]), record("b", of=TASKS[1], arm="raw", tier=None)]
    assert going_on(*of_others) == of_others


def test_records_of_before_the_file_was_noted_are_gone_on_with(going_on):
    old = record(file=None, task_sha256=None)
    assert going_on(old) == [old]


def test_a_file_that_grew_is_still_the_same(going_on):
    assert going_on(record(), tasks=(*TASKS, replace(TASKS[0], id="d")))


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (record(tier="deep"), "records of tier deep; this run is of tier fast"),
        (record(model="large"), "records of model large; this run is of model small"),
        (record(arm="raw", tier=None, model="large"), "records of model large; this run is of model small"),
        (record("z", file="own.jsonl"), "records of own.jsonl; x/easy.jsonl has no task 'z'"),
        (record("b"), "records of easy.jsonl with another task 'b' than x/easy.jsonl has now"),
    ],
)
@pytest.mark.parametrize("resume", [True, False])
def test_records_of_another_tier_model_or_file_are_refused_by_both_names(going_on, odd, said, resume):
    with pytest.raises(UsageProblem) as refused:
        going_on(record(), odd, resume=resume)
    assert said in str(refused.value)
    assert "--out DIR" in str(refused.value)


def test_weights_that_were_exchanged_behind_the_same_name_are_another_model(going_on):
    known = record(model_sha256="aa")
    with pytest.raises(UsageProblem, match=r"another small \(SHA-256 aa; it is bb now\)"):
        going_on(known, target=weights("bb"))
    assert going_on(target=weights("aa"))
    assert going_on(target=weights(None))


def test_unasked_nothing_is_added_to_records_nor_to_a_file_that_holds_none(going_on, tmp_path):
    assert going_on(resume=False) == []
    with pytest.raises(UsageProblem, match=r"holds records already \(1, of this file, tier and model\)\. --resume"):
        going_on(record(), resume=False)
    (tmp_path / "records.jsonl").write_text("somebody's text without an end of line")
    with pytest.raises(UsageProblem, match=r"already \(0, of"):
        going_on(resume=False)
