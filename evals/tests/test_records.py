import os

import pytest

from kitty_evals.errors import UsageProblem
from kitty_evals.records import Record, RecordFile, Spent, read_records


def record(task="a", right=True, **more):
    return Record(task=task, arm="tier", tier="fast", model="m", right=right, grade="passed", wall_seconds=1.5, **more)


def test_a_record_comes_back_as_it_was(tmp_path):
    file = RecordFile(tmp_path)
    odd = record(code="'\ud800\u2028'", usage=Spent(1, 2, 3, 4, 5.0, {"code": 0.5}), evidence={"examples": 2})
    file.append(odd)
    assert read_records(file.path) == [odd]


def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(tmp_path):
    file = RecordFile(tmp_path)
    file.append(record("a"))
    file.append(record("b"))
    os.truncate(file.path, file.path.stat().st_size - 1)  # whole but for its end: nobody knows what is missing
    assert [r.task for r in read_records(file.path)] == ["a"]
    file.open()
    file.append(record("c"))
    assert [r.task for r in read_records(file.path)] == ["a", "c"]


def test_the_last_record_of_a_task_counts_in_the_place_of_its_first(tmp_path):
    file = RecordFile(tmp_path)
    for one in (record("a", right=None), record("b"), record("a", right=False)):
        file.append(one)
    assert [(r.task, r.right) for r in read_records(file.path)] == [("a", False), ("b", True)]


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"task": "a", "usage": {"x": 1}}', "3"])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    file = RecordFile(tmp_path)
    file.append(record())
    with file.path.open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(UsageProblem, match=r"records\.jsonl:2: the line is not a record"):
        read_records(file.path)


def test_only_a_failing_machine_leaves_a_record_unsettled():
    assert record(right=False).is_settled
    assert record(right=False, error="out of time", error_code="deadline").is_settled
    assert not record(right=None, error="?", error_code="infrastructure").is_settled
    assert not record(right=False, error="?", error_code="model_unavailable").is_settled


@pytest.mark.parametrize("usage", [None, [], "x"])
def test_an_answer_without_usage_has_none(usage):
    assert Spent.read(usage) is None


def test_usage_is_read_as_far_as_it_goes():
    assert Spent.read({"prefill_tokens": 3, "calls": "many", "new": 1}) == Spent(prefill_tokens=3)
    assert Spent(total_seconds=4.0, seconds={"code": 1.0, "test": 2.0}).model_seconds == 3.0
    assert Spent(total_seconds=4.0).model_seconds == 4.0
