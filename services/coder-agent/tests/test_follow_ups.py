"""A request that goes on with an earlier one."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from coder_agent.conversations import Conversations
from coder_agent.decision import TIERS
from coder_agent.follow_ups import MOST_CHARS, continued, goes_on, read_task_request, remembered
from coder_agent.state import Earlier, Task

ROOT = Earlier("Write square_root(n). square_root(9) == 3", "def square_root(n):\n    return n ** 0.5\n", "solution.py")


def task(request: str, **more) -> Task:
    return Task(request, TIERS["standard"], **more)


@pytest.mark.parametrize(
    "request_text",
    [
        "now handle negatives",
        "Now handle negatives: square_root(-4) raises ValueError",
        "also accept strings",
        "and add a function cube(n), cube(2) == 8",
        "Please also write a function cube(n)",
        "square_root(0) should be 0",
        "make it faster",
        "can you also add a docstring?",
        "it should return an int where the root is whole",
        "return None for negative numbers instead",
        "Rename it to root",
        "negatives give wrong results",
    ],
)
def test_what_speaks_of_the_code_that_is_there_goes_on(request_text):
    assert goes_on(request_text, ROOT)


@pytest.mark.parametrize(
    "request_text",
    [
        "Write slugify(title). slugify('A b') == 'a-b'",
        "write a function that reverses a string",
        "I need a class Stack with push and pop",
        "Create a script that reads numbers and prints their sum",
        "Implement another function for the area of a circle",
        "fib(10) == 55",
    ],
)
def test_what_asks_for_something_else_begins_anew(request_text):
    assert not goes_on(request_text, ROOT)


def test_examples_of_before_stay_trusted():
    reading = read_task_request(continued(task("now square_root(-4) raises ValueError"), ROOT))
    assert [case.check for case in reading.examples if case.expected] == ["assert square_root(9) == 3"]
    assert [case.raises for case in reading.examples if case.raises] == ["ValueError"]
    assert reading.entry == "square_root"


def test_where_both_speak_of_one_call_the_newer_counts():
    reading = read_task_request(continued(task("now square_root(9) == 3.0001"), ROOT))
    assert [case.check for case in reading.examples] == ["assert square_root(9) == 3.0001"]


def test_a_function_that_is_added_is_to_be_defined_beside_the_first():
    reading = read_task_request(continued(task("and add a function cube(n), cube(2) == 8"), ROOT))
    assert reading.to_define == ("square_root", "cube")
    assert len(reading.examples) == 2


def test_a_request_that_begins_anew_carries_nothing():
    fresh = task("Write slugify(title). slugify('A b') == 'a-b'")
    assert continued(fresh, ROOT) == fresh


def test_the_model_is_told_what_was_asked_then_the_code_then_the_change():
    told = continued(task("now handle negatives"), ROOT).wanted
    assert told.startswith(ROOT.request)
    assert told.index(ROOT.code.rstrip()) < told.index("now handle negatives")


def test_the_callers_tests_of_before_stay_unless_new_ones_come():
    tests = "from root import square_root\n\n\ndef test_nine():\n    assert square_root(9) == 3\n"
    before = Earlier(ROOT.request, ROOT.code, "root.py", tests)
    went_on = continued(task("now handle negatives"), before)
    assert (went_on.caller_tests, went_on.module) == (tests, "root.py")
    assert went_on.imports == {"root": ("square_root",)}
    other = "def test_x():\n    assert True\n"
    assert continued(task("now handle negatives", caller_tests=other), before).caller_tests == other


def test_a_third_request_goes_on_with_both():
    second = continued(task("now square_root(-4) raises ValueError"), ROOT)
    third = continued(task("also square_root(16) == 4"), remembered(second, ROOT.code))
    assert len(read_task_request(third).examples) == 3


def test_a_conversation_is_remembered_for_its_user_alone(tmp_path):
    conversations = Conversations(tmp_path / "c", keep=10)
    conversations.remember("ada", "one", ROOT)
    assert conversations.recall("ada", "one") == ROOT
    assert conversations.recall("bob", "one") is None
    assert conversations.recall(None, "one") is None
    assert conversations.recall("ada", None) is None
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "c").iterdir()} == {0}


def test_names_that_read_alike_together_are_two_conversations(tmp_path):
    conversations = Conversations(tmp_path, keep=10)
    conversations.remember("ada", "one", ROOT)
    assert conversations.recall("adao", "ne") is None


def test_the_folder_is_for_this_user_alone_and_holds_nothing_half_written(tmp_path):
    folder = tmp_path / "c"
    conversations = Conversations(folder, keep=10)
    with capture_logs() as logged, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: conversations.remember(None, "one", replace(ROOT, request="x" * n * 999)), range(64)))
    assert folder.stat().st_mode & 0o077 == 0
    (file,) = folder.iterdir()
    assert (file.suffix, logged, conversations.recall(None, "one").code) == (".json", [], ROOT.code)
    file.unlink()
    file.mkdir()
    conversations.remember(None, "one", ROOT)
    assert list(folder.iterdir()) == [file]


def test_a_conversation_is_replaced_whole_so_that_a_reader_never_sees_half_of_one(tmp_path):
    conversations = Conversations(tmp_path, keep=10)
    conversations.remember(None, "one", ROOT)
    with next(tmp_path.glob("*.json")).open() as seen:
        conversations.remember(None, "one", replace(ROOT, request="newer"))
        assert json.load(seen)["request"] == ROOT.request


def test_a_folder_that_cannot_be_written_costs_no_job(tmp_path):
    (tmp_path / "file").touch()
    conversations = Conversations(tmp_path / "file" / "c", keep=10)
    conversations.remember(None, "one", ROOT)
    assert conversations.recall(None, "one") is None


def test_the_oldest_conversation_goes_first(tmp_path):
    conversations = Conversations(tmp_path, keep=2)
    for number, name in enumerate(["a", "b", "c"]):
        conversations.remember(None, name, ROOT)
        newest = max(tmp_path.glob("*.json"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (number, number))
    assert [conversations.recall(None, name) is not None for name in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "{}",
        '{"later": 1, "request": "r", "code": "x = 1", "module": "m.py"}',
        '{"request": "r", "code": "def f(:", "module": "m.py"}',
        '{"request": "r", "code": null, "module": "m.py"}',
        '{"request": 1, "code": "x = 1", "module": "m.py"}',
        '{"request": "r", "code": "x = 1", "module": "m.py", "caller_tests": ["x"]}',
    ],
)
def test_a_file_that_is_none_is_no_conversation(tmp_path, text):
    conversations = Conversations(tmp_path, keep=2)
    conversations.remember(None, "a", ROOT)
    next(tmp_path.glob("*.json")).write_text(text)
    assert conversations.recall(None, "a") is None


def test_a_module_that_is_named_now_counts():
    before = replace(ROOT, module="root.py")
    assert continued(task("now handle negatives", module="other.py"), before).module == "other.py"
    assert continued(task("now handle negatives"), before).module == "root.py"


def test_a_third_request_still_has_the_callers_tests_of_the_first():
    tests = "from solution import square_root\n\n\ndef test_nine():\n    assert square_root(9) == 3\n"
    second = continued(task("now handle negatives"), replace(ROOT, caller_tests=tests))
    third = continued(task("also handle strings"), remembered(second, ROOT.code))
    assert (third.caller_tests, third.imports) == (tests, {"solution": ("square_root",)})


def test_of_a_long_conversation_the_newest_words_are_kept():
    second = continued(task("now handle negatives"), replace(ROOT, request="x" * MOST_CHARS))
    kept = remembered(second, ROOT.code).request
    assert (len(kept), kept.endswith("now handle negatives")) == (MOST_CHARS, True)


def test_classes_and_coroutines_that_are_there_are_gone_on_with():
    code = "class Stack:\n    pass\n\n\nasync def fetch(n):\n    return n\n"
    before = Earlier("Write class Stack and async fetch(n)", code, "solution.py")
    assert goes_on("fetch(2) == 2", before)
    assert goes_on("Stack().size() == 0", before)


def test_what_is_to_change_may_be_the_signature_and_not_the_function():
    first = replace(ROOT, request="Write square_root(n, digits). square_root(9, 2) == 3")
    reading = read_task_request(continued(task("now add a function cube(n: int), cube(2) == 8"), first))
    assert reading.entry == "square_root"
    assert reading.signature != read_task_request(task(first.request)).signature


def test_a_script_keeps_its_examples_and_takes_no_calls_for_input():
    block = "\n\nInput:\n```\n{}\n```\nOutput:\n```\n{}\n```"
    asked = "Write a Python script that reads a number from standard input and prints its double." + block.format(3, 6)
    first = Earlier(asked, "print(2 * int(input()))\n", "solution.py")
    floats = "now the script also takes floats from standard input." + block.format("1.5", "3.0")
    more = read_task_request(continued(task(floats), first))
    calls = read_task_request(continued(task("now double(2) == 4"), first))
    assert [more.kind, len(more.examples), calls.kind, len(calls.examples)] == ["script", 2, "script", 1]
