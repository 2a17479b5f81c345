import json
from pathlib import Path

import pytest

from kitty_evals.errors import UsageProblem
from kitty_evals.grading import grade
from kitty_evals.tasks import choose, read_tasks
from kitty_sandbox import BubblewrapSandbox
from kitty_sandbox.testing import ScriptedSandbox, make_result

EASY = Path(__file__).resolve().parents[1] / "easy.jsonl"
ROW = {"id": "a", "request": "r", "module": "m.py", "tests": {"test_m.py": "def test_a(): pass\n"}}


def without(key):
    return {name: value for name, value in ROW.items() if name != key}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (without("id"), '"id" is missing'),
        (ROW | {"request": " "}, '"request" is not a text, or is empty'),
        (ROW | {"module": "../m.py"}, "\"module\" is '../m.py', not a plain file name"),
        (without("tests"), '"tests" is missing'),
        (ROW | {"tests": {}}, '"tests" is missing'),
        (ROW | {"tests": {"../t.py": "x"}}, '"tests" is no set of test files'),
        (ROW | {"tests": {"t.py": 3}}, "\"tests\" holds 't.py' without a text"),
        (ROW | {"tests": {"m.py": "x"}}, '"tests" holds m.py, which is the module'),
        (ROW | {"reference": 1}, '"reference" is not a text'),
        (ROW | {"id": "first"}, "\"id\" is 'first', as in an earlier row"),
        ([1], "not a JSON object"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_key(tmp_path, row, said):
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(ROW | {"id": "first"}) + "\n\n" + json.dumps(row) + "\n")
    with pytest.raises(UsageProblem) as caught:
        read_tasks(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(("content", "said"), [(b"\n \n", "holds no task"), (b"{", ":1: "), (b"\xff", "not UTF-8")])
def test_a_file_without_tasks_is_an_error(tmp_path, content, said):
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageProblem, match=said):
        read_tasks(path)


def test_some_of_the_tasks_are_chosen_in_order(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(ROW | {"id": str(n)}) + "\n" for n in range(10)))
    tasks = read_tasks(path)
    assert [task.id for task in choose(tasks)] == list("0123456789")
    assert [task.id for task in choose(tasks, offset=1, every=3, limit=2)] == ["1", "4"]


async def test_each_reference_of_the_sample_file_passes_its_hidden_tests():
    sandbox = BubblewrapSandbox()
    try:
        wrong = [t.id for t in read_tasks(EASY) if not (await grade(sandbox, t, t.reference or "")).right]
    finally:
        sandbox.close()
    assert not wrong


async def test_a_sandbox_that_fails_is_tried_once_more_and_never_makes_an_answer_wrong(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(ROW))
    (task,) = read_tasks(path)
    broken, fine = make_result("infrastructure", reason="no memory"), make_result("passed")
    twice = await grade(ScriptedSandbox(broken, broken, fine), task, "x = 1")
    assert (twice.right, twice.outcome, twice.reason) == (None, "infrastructure", "no memory")
    assert (await grade(ScriptedSandbox(broken, fine), task, "x = 1")).right is True


@pytest.mark.parametrize("code", ["", " \n", "x = '\ud800'", "#" * 5_000_000])
async def test_what_cannot_be_run_is_wrong(tmp_path, code):
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(ROW))
    graded = await grade(ScriptedSandbox(), read_tasks(path)[0], code)
    assert (graded.right, graded.outcome) == (False, "not_run")
