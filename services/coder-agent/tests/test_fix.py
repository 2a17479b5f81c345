"""`/api/coding/fix`: code that came is corrected, little is changed, nothing gets worse."""

import httpx
import pytest

from coder_agent.repairing import patched
from kitty_llm.testing import Reply

WRONG = '''"""Sums."""

RATE = 2  # not used below


def total(numbers):
    """The sum."""
    result = 1
    for number in numbers:
        result += number
    return result


def first(numbers):
    return numbers[0]
'''
RIGHT = WRONG.replace("result = 1", "result = 0")
TESTS = """from solution import first, total


def test_total():
    assert total([1, 2]) == 3


def test_nothing():
    assert total([]) == 0


def test_first():
    assert first([4, 5]) == 4
"""
MINIMAL = ["-    result = 1", "+    result = 0"]


def fenced(code):
    return f"```python\n{code}```"


def fix(agent, **fields):
    return agent.post("/api/coding/fix", {"code": WRONG, "tests": TESTS, **fields})


def changed(answer):
    lines = (answer["diff"] or "").splitlines()
    return [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]


def test_code_is_corrected_until_its_tests_pass(start):
    agent, model = start(fenced(RIGHT))
    answer = fix(agent, request="total(numbers) is their sum.").json()
    assert (answer["verdict"], answer["code"], answer["files"]) == ("verified", RIGHT, {"solution.py": RIGHT})
    assert changed(answer) == MINIMAL
    evidence = answer["evidence"]
    assert (evidence["given_passed"], evidence["caller_tests"]) == (1, 3)
    assert evidence["given_failed"] == ["caller:test_total", "caller:test_nothing"]
    assert answer["refinement_count"] == 1
    shown = str(model.generations[0].messages)
    assert "total(numbers) is their sum." in shown
    assert "result = 1" in shown
    assert "assert 4 == 3" in shown, "what went wrong is told"


def test_of_a_rewritten_module_only_what_a_test_needs_is_kept(start):
    rewritten = RIGHT.replace("RATE = 2  # not used below\n\n\n", "").replace(
        "    return numbers[0]", "    head, *_ = numbers\n    return head"
    )
    agent, _ = start(fenced(rewritten))
    answer = fix(agent).json()
    assert (answer["verdict"], changed(answer)) == ("verified", MINIMAL)
    assert answer["model"] == "scripted"


def test_a_correction_that_breaks_what_passed_changes_nothing(start):
    worse = RIGHT.replace("return numbers[0]", "return numbers[-1]")
    agent, _ = start(fenced(worse))
    answer = fix(agent, tier="fast").json()
    assert (answer["verdict"], answer["code"], answer["diff"], answer["files"]) == ("tests_failed", WRONG, "", {})
    assert "Nothing was changed: before, 2 failed." in answer["summary"]


def test_one_that_corrects_some_and_breaks_none_is_delivered_and_not_called_verified(start):
    half = WRONG.replace("    result = 1\n", "    result = 1 if not numbers else 0\n")
    agent, _ = start(fenced(half))
    answer = fix(agent, tier="fast").json()
    assert (answer["verdict"], answer["code"]) == ("tests_failed", half)
    assert answer["evidence"]["trusted_failed"] == ["caller:test_nothing"]


def test_code_that_passes_costs_no_call(start):
    agent, model = start(fenced(WRONG))
    answer = fix(agent, code=RIGHT).json()
    assert (answer["verdict"], answer["diff"], model.generations) == ("verified", "", [])
    assert "Nothing was changed: it passed as it was." in answer["summary"]


def test_a_later_try_may_succeed_and_each_is_asked_for_otherwise(start):
    answers = iter([WRONG, "no code", RIGHT])
    agent, model = start(lambda messages: Reply(fenced(next(answers))))
    answer = fix(agent).json()
    assert (answer["verdict"], changed(answer)) == ("verified", MINIMAL)
    assert [call.body["seed"] for call in model.generations] == [0, 1, 2]
    assert [call.body["temperature"] > 0 for call in model.generations] == [False, False, True]
    shown = ["result = 1" in str(call.messages) for call in model.generations]
    assert shown == [True, False, True], "every other time the code is not shown"
    assert "The sum." in str(model.generations[1].messages)


def test_with_an_error_alone_it_is_corrected_once_and_nothing_is_claimed(start):
    agent, model = start(fenced(RIGHT))
    error = 'Traceback (most recent call last):\n  File "x.py", line 1\nTypeError: total of an empty list is 1'
    answer = agent.post("/api/coding/fix", {"code": WRONG, "error": error}).json()
    assert (answer["verdict"], answer["code"]) == ("not_verified", RIGHT)
    assert "total of an empty list is 1" in str(model.generations[0].messages)
    assert len(model.generations) == 1


def test_examples_in_the_request_are_tests(start):
    agent, _ = start(fenced(RIGHT))
    words = "total([1, 2]) == 3, total([]) == 0, total([5]) == 5, total([2, -2, 7]) == 7"
    answer = agent.post("/api/coding/fix", {"code": WRONG, "request": words}).json()
    assert (answer["verdict"], changed(answer)) == ("verified", MINIMAL)


def test_code_that_does_not_compile_is_corrected(start):
    agent, _ = start(fenced(RIGHT))
    answer = fix(agent, code=RIGHT.replace("result = 0", "result = (0")).json()
    assert (answer["verdict"], answer["code"]) == ("verified", RIGHT)


def test_where_nothing_is_run_it_is_corrected_once_and_nothing_is_claimed(start):
    agent, model = start(fenced(RIGHT), sandbox_enabled=False)
    answer = fix(agent).json()
    assert (answer["verdict"], answer["code"], changed(answer)) == ("not_verified", RIGHT, MINIMAL)
    assert len(model.generations) == 1


def test_without_a_model_the_code_is_left_as_it_is(start):
    agent, model = start(fenced(RIGHT))
    model.api_key = "unknown to the agent"
    answer = fix(agent)
    assert (answer.status_code, answer.json()["verdict"]) == (503, "model_unavailable")
    assert (answer.json()["code"], answer.json()["diff"]) == (WRONG, "")


def test_what_is_wrong_has_to_be_shown(start):
    agent, _ = start("")
    refused = agent.post("/api/coding/fix", {"code": WRONG})
    assert (refused.status_code, "tests" in refused.text) == (422, True)
    assert agent.post("/api/coding/fix", {"code": " ", "tests": TESTS}).status_code == 422


def test_its_row_and_its_job_name_the_tool(start):
    agent, _ = start(fenced(RIGHT))
    answer = fix(agent).json()
    [row] = agent.rows()
    assert (row["tool"], row["job_id"], row["verdict"]) == ("coding.fix", answer["job_id"], "verified")
    job = httpx.get(f"{agent.base_url}/api/coding/jobs/{answer['job_id']}", trust_env=False).json()
    assert (job["tool"], job["request"]) == ("coding.fix", "fix solution.py")


@pytest.mark.parametrize(
    ("hunks", "made"),
    [([], "abcd"), ([("replace", 1, 2, 1, 2)], "aBcd"), ([("delete", 3, 4, 3, 3), ("insert", 4, 4, 3, 4)], "abcE")],
)
def test_a_patch_holds_the_changes_that_were_chosen(hunks, made):
    assert patched(list("abcd"), list("aBcE"), hunks) == made
