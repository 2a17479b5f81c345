"""The whole workflow over HTTP: a scripted model, the real sandbox."""

import hashlib
import subprocess
import sys

import pytest

from kitty_llm import Sampling
from kitty_llm.testing import Reply

REQUEST = "Write add(a, b). add(1, 2) == 3 and add(0, 5) == 5"
BARE_REQUEST = "Write add(a, b) that returns the sum of two numbers"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
WRONG = "```python\ndef add(a, b):\n    return a - b\n```"
CRASHES = "```python\ndef add(a, b):\n    return a + c\n```"
SEARCH, LOOSER, SEARCH2 = "'abbb' in s", "'bbb' in s", "bool(re.search('ab{3}', s))"
CHECKS = "1, 2) == 3\nassert add(0, 5) == 5\nassert add(-1, 1) == 0\nassert add(10, 20) == 30\n"


def is_about_tests(messages):
    return "checks of" in messages[-1 if messages[-1]["role"] == "user" else -2]["content"]


def coder(*codes, checks=CHECKS):
    """A model that writes `codes` in order (the last again and again) and always the same checks."""
    left = list(codes)

    def answer(messages):
        if is_about_tests(messages):
            return checks
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def test_right_code_is_verified_by_the_examples(start):
    agent, _ = start(coder(RIGHT))
    answer = agent.generate(REQUEST).json()
    assert answer["verdict"] == "verified"
    assert answer["passed"] is answer["tests_passed"] is answer["success"] is True
    assert answer["evidence"]["examples"] == 2
    assert answer["code_sha256"] == hashlib.sha256(answer["code"].encode()).hexdigest()
    assert answer["tests"] == answer["test_code"]
    assert answer["final_answer"] == answer["summary"]


def test_a_function_is_accepted_from_a_process_of_its_own_and_a_class_is_not(start):
    agent, _ = start(coder(RIGHT))
    assert agent.generate(REQUEST).json()["verdict_strength"] == "split"
    stack = (
        "```python\nclass Stack:\n    def __init__(self):\n        self.items = []\n\n"
        "    def push(self, x):\n        self.items.append(x)\n```"
    )
    agent, _ = start(coder(stack))
    tests = (
        "from solution import Stack\n\n\ndef test_push():\n    s = Stack()\n    s.push(1)\n    assert s.items == [1]\n"
    )
    answer = agent.generate("Write a class Stack with push", tests=tests).json()
    assert (answer["verdict"], answer["verdict_strength"]) == ("verified", "in-process")


def test_an_object_that_equals_everything_is_never_verified(start):
    forged = (
        "```python\nclass Any(int):\n    def __eq__(self, other):\n        return True\n\n\n"
        "def add(a, b):\n    return Any(0)\n```"
    )
    agent, _ = start(coder(forged))
    for request in (REQUEST, BARE_REQUEST):
        assert agent.generate(request).json()["verdict"] in {"tests_failed", "not_verified"}


def test_a_verified_answer_passes_a_plain_pytest_outside(start, tmp_path):
    agent, _ = start(coder(RIGHT))
    answer = agent.generate(BARE_REQUEST).json()
    assert answer["verdict"] == "verified"
    (tmp_path / "solution.py").write_text(answer["code"])
    (tmp_path / "test_solution.py").write_text(answer["tests"])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        f"Of course!\n{RIGHT.replace('python', 'py')}\nThat is all.",
        f"<think>a - b? no.</think>\n{RIGHT}",
        f"{RIGHT}\nTests:\n```python\nfrom solution import add\ndef test_add():\n    assert add(1, 2) == 3\n```",
        f"{RIGHT}\nLet me know if you need more!",
        "```python\ndef add(a, b):\n    return a + b\n\n\nTABLE = {1: [2,",
    ],
    ids=["prose and a py block", "think", "two blocks", "trailing text", "cut off"],
)
@pytest.mark.parametrize("echo", [False, True], ids=["continues", "echoes"])
def test_whatever_wraps_the_code_it_is_delivered_clean(start, text, echo):
    agent, _ = start(coder(text), model={"echo_prefill": echo})
    answer = agent.generate(REQUEST, tier="fast").json()
    assert answer["verdict"] == "verified"
    assert answer["code"] == "def add(a, b):\n    return a + b\n"


def test_an_answer_that_was_cut_off_is_continued_once(start):
    first = Reply("def add(a, b):\n    retu", finish_reason="length")
    agent, model = start([first, "rn a + b\n"])
    answer = agent.generate(REQUEST, tier="fast").json()
    assert answer["verdict"] == "verified"
    assert len(model.generations) == 2
    assert model.generations[1].prefill.endswith("    retu")


def test_of_a_later_answer_that_was_cut_off_whole_definitions_alone_are_taken(start):
    torn = Reply("```python\ndef add(a, b):\n    if not a:\n        return b\n    retu", finish_reason="length")
    runs_on = Reply("```python\ndef add(a, b):\n    return b + a\n\n\ndef main():\n    pri", finish_reason="length")
    agent, model = start([RIGHT, torn, runs_on])
    answer = agent.generate("Write add(a, b). add(1, 2) == 3").json()
    assert (answer["verdict"], len(model.generations)) == ("verified", 3)
    assert answer["evidence"]["candidates"] == 2


@pytest.mark.parametrize("tier", ["fast", "standard"], ids=["sampled", "refined"])
def test_what_stands_before_the_tear_of_a_later_answer_does_not_get_the_name_that_was_asked_for(start, tier):
    torn = Reply(
        "```python\ndef plus(a, b):\n    return b + a\n\n\ndef add(a, b):\n    return pl", finish_reason="length"
    )
    agent, model = start(coder(WRONG, torn, "Done."))
    answer = agent.generate(REQUEST, tier=tier).json()
    assert len(model.generations) > 1
    assert ("Mind:" in model.generations[1].prefill) is (tier == "standard")
    assert (answer["verdict"], "plus" in answer["code"]) == ("tests_failed", False)


def test_samples_that_list_steps_first_have_room_for_them(start):
    agent, model = start(coder(*[f"```python\ndef add(a, b):\n    return a * b + {n}\n```" for n in range(100, 120)]))
    agent.generate(REQUEST)
    room = {("# " in one.prefill): one.body["max_tokens"] for one in model.generations[1:]}
    assert room[True] > room[False] + 100


def test_a_model_that_only_says_done_is_not_verified(start):
    agent, model = start("Done.")
    answer = agent.generate(REQUEST)
    assert answer.status_code == 200
    assert answer.json()["verdict"] == "not_verified"
    assert answer.json()["code"] == ""
    assert "no code" in answer.json()["error"]
    assert len(model.generations) == 2


def test_a_model_that_is_always_wrong_is_refined_exactly_as_often_as_allowed(start):
    wrong = [f"```python\ndef add(a, b):\n    return a * b + {n}\n```" for n in range(100, 120)]
    agent, _ = start(coder(*wrong), coder_refine_passes=3)
    answer = agent.generate(REQUEST).json()
    assert answer["verdict"] == "tests_failed"
    assert answer["refinement_count"] == 3
    assert answer["passed"] is False
    assert "add" in answer["error"]


def test_max_refinements_of_the_request_outranks_the_setting(start):
    wrong = [f"```python\ndef add(a, b):\n    return a * b + {n}\n```" for n in range(100, 120)]
    agent, _ = start(coder(*wrong), coder_refine_passes=3)
    assert agent.generate(REQUEST, max_refinements=0).json()["refinement_count"] == 0


def test_a_bug_and_then_a_fix_counts_one_refinement(start):
    agent, model = start(coder(WRONG, RIGHT))
    answer = agent.generate(REQUEST).json()
    assert (answer["passed"], answer["refinement_count"]) == (True, 1)
    assert model.generations[1].prefill == "```python\n# Mind: add(1, 2) gave -1, but 3 is right.\n"


def test_a_crash_and_then_a_fix_counts_one_refinement_that_was_shown_the_code(start):
    agent, model = start(coder(CRASHES, RIGHT))
    answer = agent.generate(REQUEST).json()
    assert (answer["passed"], answer["refinement_count"]) == (True, 1)
    shown = str(model.generations[1].messages)
    assert "return a + c" in shown
    assert "name 'c' is not defined" in shown


def test_a_refinement_that_was_shown_the_code_agrees_with_nobody(start):
    agent, _ = start(coder(CRASHES, RIGHT))
    answer = agent.generate(REQUEST, tier="fast").json()
    assert (answer["verdict"], answer["evidence"]["agreement"]) == ("verified", 0)


def test_a_bug_and_then_a_fix_without_examples_counts_one_refinement_too(start):
    agent, _ = start(coder(WRONG, RIGHT))
    answer = agent.generate(BARE_REQUEST).json()
    assert (answer["verdict"], answer["refinement_count"]) == ("verified", 1)


def test_a_worse_refinement_never_replaces_what_was_better(start):
    half = "```python\ndef add(a, b):\n    return 3\n```"
    broken = "```python\ndef add(a, b):\n    raise RuntimeError('no')\n```"
    agent, _ = start(coder(half, broken))
    answer = agent.generate(REQUEST).json()
    assert answer["verdict"] == "tests_failed"
    assert "return 3" in answer["code"]
    assert answer["evidence"]["trusted_passed"] == 1


def test_generated_tests_that_a_stub_passes_back_nothing(start):
    checks = "'a') == 9\nassert count('b') == 9\nassert count('c') != 9\nassert count('d') != 9\n"
    code = "```python\ndef count(text):\n    return len(text)\n```"
    agent, _ = start(coder(code, checks=checks))
    answer = agent.generate("Write count(text). count('') == 0").json()
    assert answer["evidence"]["generated_written"] == 4
    assert answer["verdict"] == "not_verified"


def test_code_that_meets_its_one_example_and_nothing_else_is_not_verified(start):
    agent, _ = start(coder("```python\ndef add(a, b):\n    return 3\n```"))
    answer = agent.generate("Write add(a, b). add(1, 2) == 3").json()
    assert answer["verdict"] == "not_verified"
    assert answer["evidence"]["trusted_failed"] == []
    assert "same value whatever goes in" in answer["error"]


@pytest.mark.parametrize("tier", ["fast", "standard"])
@pytest.mark.parametrize(
    "body",
    [
        "return {'hello': 5}[text]",
        "if text == 'hello':\n        return 5\n    raise ValueError(text)",
        "import time\n    time.sleep(0.7)\n    return 5 if text else 9",
    ],
)
def test_code_that_holds_the_answer_or_is_too_slow_to_be_tried_is_not_verified(start, tier, body):
    agent, _ = start(coder(f"```python\ndef weight(text):\n    {body}\n```"))
    answer = agent.generate("Write weight(text). weight('hello') == 5", tier=tier).json()
    assert answer["evidence"]["trusted_failed"] == []
    assert answer["verdict"] == "not_verified"


def test_checks_are_written_without_seeing_the_code(start):
    agent, model = start(coder(RIGHT))
    agent.generate(BARE_REQUEST)
    asked = next(request for request in model.generations if is_about_tests(request.messages))
    assert "return a + b" not in str(asked.messages)


def test_checks_that_a_stub_passes_do_not_verify(start):
    agent, _ = start(
        coder(
            "```python\ndef add(a, b):\n    return 0\n```",
            checks="1, -1) == 0\nassert add(0, 0) == 0\nassert add(2, -2) == 0\n",
        )
    )
    answer = agent.generate(BARE_REQUEST).json()
    assert answer["verdict"] == "not_verified"
    assert "example" in answer["error"]


def test_the_callers_tests_decide_and_are_returned_untouched(start):
    tests = "from adder import add\n\n\ndef test_add():\n    assert add(2, 2) == 4  # mine\n"
    agent, model = start(coder(WRONG, RIGHT))
    answer = agent.generate(BARE_REQUEST, tests=tests).json()
    assert answer["verdict"] == "verified"
    assert answer["tests"] == tests
    assert answer["module"] == "adder.py"
    assert not any(is_about_tests(request.messages) for request in model.generations)


def test_tests_of_the_caller_that_cannot_be_collected_never_verify(start):
    agent, _ = start(coder(RIGHT))
    answer = agent.generate(BARE_REQUEST, tests="import solution\nthis is not python\n").json()
    assert answer["verdict"] == "tests_failed"


def test_tests_of_the_caller_that_never_call_the_code_prove_nothing(start):
    agent, _ = start(coder(WRONG))
    answer = agent.generate(BARE_REQUEST, tests="import solution\n\n\ndef test_add():\n    assert 1 + 2 == 3\n").json()
    assert answer["verdict"] == "not_verified"
    assert "empty module" in answer["error"]


def test_tests_that_import_two_unknown_modules_are_told_to_name_theirs(start):
    agent, _ = start(coder(RIGHT))
    tests = "import other\nfrom adder import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    answer = agent.generate(BARE_REQUEST, tests=tests).json()
    assert answer["verdict"] == "not_verified"
    assert "Your tests import" in answer["error"]
    assert "`module`" in answer["error"]


def test_context_files_can_be_imported(start):
    agent, model = start(coder("```python\nfrom rates import RATE\n\ndef taxed(x):\n    return x * RATE\n```"))
    answer = agent.generate("taxed(10) == 12", files={"rates.py": "RATE = 1.2\n"}, tier="fast").json()
    assert answer["verdict"] == "verified"
    assert "RATE = 1.2" in str(model.generations[0].messages)


def test_a_package_the_sandbox_lacks_is_named_with_the_command_that_adds_it(start):
    agent, _ = start(coder("```python\nimport numpy\n\ndef add(a, b):\n    return numpy.add(a, b)\n```"))
    answer = agent.generate("Write add(a, b) with numpy. add(1, 2) == 3").json()
    assert answer["verdict"] == "not_verified"
    assert "numpy" in answer["error"]
    assert "pip install" in answer["error"]


def test_a_package_nobody_asked_for_is_refined_away(start):
    agent, _ = start(coder("```python\nimport numpy\n\ndef add(a, b):\n    return numpy.add(a, b)\n```", RIGHT))
    answer = agent.generate(REQUEST).json()
    assert (answer["verdict"], answer["refinement_count"]) == ("verified", 1)


def test_the_deep_tier_shows_a_plan_of_the_models(start):
    def answer(messages):
        return '["Add the numbers.", "Return the sum."]' if "JSON list" in str(messages) else coder(RIGHT)(messages)

    agent, _ = start(answer)
    result = agent.generate(REQUEST, tier="deep").json()
    assert result["plan"] == "1. Add the numbers.\n2. Return the sum."
    assert result["verdict"] == "verified"


def test_a_class_is_checked_by_test_functions(start):
    stack = (
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, item): self.items.append(item)\n"
        "    def pop(self): return self.items.pop()\n"
    )
    case = "{name}():\n    s = Stack()\n    s.push({one!r})\n    s.push({two!r})\n    assert s.pop() == {two!r}\n\n"
    checks = case.format(name="numbers", one=1, two=2) + "def test_"
    checks += case.format(name="texts", one="a", two="b") + "def test_" + case.format(name="lists", one=[], two=[1])

    def answer(messages):
        return checks if "pytest functions" in str(messages) else f"```python\n{stack}```"

    agent, _ = start(answer)
    result = agent.generate("Write a class Stack with push(item) and pop()").json()
    assert result["verdict"] == "verified", result["error"]
    assert result["evidence"]["generated_tests"] == 3


def test_usage_says_what_the_model_computed(start):
    agent, _ = start(coder(RIGHT))
    usage = agent.generate(REQUEST).json()["usage"]
    assert usage["calls"] == 2
    assert usage["prefill_tokens"] > 0
    assert usage["completion_tokens"] > 0
    assert set(usage["seconds"]) == {"code"}


def test_a_wrong_example_is_named_and_the_code_that_meets_the_others_is_delivered(start):
    agent, model = start(coder(RIGHT))
    answer = agent.generate("Write add(a, b). add(1, 2) == 3, add(0, 5) == 5 and add(2, 2) == 5").json()
    assert answer["verdict"] == "tests_failed"
    assert "return a + b" in answer["code"]
    assert answer["evidence"]["trusted_failed"] == ["add_2_2"]
    assert "look whether that example is right" in answer["error"]
    assert "add_2_2" in answer["error"]
    assert len(model.generations) == 5, "no more is spent on it: four samples and a refinement"


def test_samples_in_other_styles_share_the_prompt_and_begin_otherwise(start):
    wrong = [f"```python\ndef add(a, b):\n    return a * b + {n}\n```" for n in range(100, 120)]
    agent, model = start(coder(*wrong), coder_refine_passes=0)
    agent.generate(REQUEST)
    asked = [[turn["content"] for turn in one.messages if turn["role"] != "assistant"] for one in model.generations]
    assert all(turns == asked[0] for turns in asked)
    assert {one.prefill.split("\n", 1)[1] for one in model.generations} == {
        "",
        "# Steps:\n# 1.",
        "# add(1, 2) is 3 because",
    }


def test_the_deep_tier_draws_at_a_higher_temperature_where_others_were_in_vain(start):
    agent, model = start(coder(*(f"```python\ndef add(a, b):\n    return {n}\n```" for n in range(9))))
    agent.generate(REQUEST, tier="deep")
    heat = [one.body["temperature"] for one in model.generations if "JSON list" not in str(one.messages)]
    assert heat[0] == 0
    assert 0.8 in heat
    assert heat[-1] == 1.3


def test_without_an_example_another_way_begins_with_one_of_the_models_own(start):
    wrong = [f"```python\ndef add(a, b):\n    return a * b + {n}\n```" for n in range(100, 120)]
    agent, model = start(coder(*wrong), coder_refine_passes=0)
    agent.generate(BARE_REQUEST)
    written = [one for one in model.generations if not is_about_tests(one.messages)]
    assert "# For example, add(" in {one.prefill.split("\n", 1)[1] for one in written}


@pytest.mark.parametrize(("example", "bracket"), [("total([1, 2])", "["), ("total((1, 2))", "("), ("total('a')", "")])
def test_checks_begin_with_the_bracket_that_the_example_begins_with(start, example, bracket):
    """Small models unpack a list into arguments where nothing keeps them from it."""
    agent, model = start(coder("```python\ndef total(xs):\n    return 3\n```"))
    agent.generate(f"Write total(xs). {example} == 3")
    asked = [one.prefill for one in model.generations if is_about_tests(one.messages)]
    assert asked == [f"```python\nassert total({bracket}"]


def test_a_later_sample_that_does_not_fit_the_window_costs_only_itself(start):
    """The first prompt just fits; the comment that another way begins with does not."""
    request = f"Write size(text). size('{'ab ' * 20}') == 60"
    codes = [f"```python\ndef size(text):\n    return {form}\n```" for form in ("len(text)", "sum(1 for _ in text)")]
    agent, _ = start(codes)
    needed = agent.generate(request, tier="fast").json()["usage"]["prefill_tokens"] + Sampling().least_tokens
    agent, model = start(codes, model={"n_ctx": needed + 8})
    answer = agent.generate(request).json()
    assert (answer["verdict"], answer["evidence"]["candidates"]) == ("verified", 2)
    assert [one.prefill for one in model.generations] == ["```python\n"] * 2


def test_the_value_of_a_helper_is_asked_for_where_the_example_calls_it(start):
    helpers = ["n + 1 if n != 2 else 9", "n * n + 1", "n + 1"]
    code = "```python\ndef more(n):\n    return {}\n\n\ndef total(xs):\n    return sum(map(more, xs))\n```"
    left = [code.format(helper) for helper in helpers]

    def answer(messages):
        if "Complete the assert" in messages[-1 if messages[-1]["role"] == "user" else -2]["content"]:
            return " 3\n"
        return left.pop(0) if len(left) > 1 else left[0]

    agent, model = start(answer)
    answer = agent.generate(
        "Write `total(xs)` that adds what `more(n)` gives for each. more(1) == 2 and total([1]) == 2"
    ).json()
    assert [one.prefill for one in model.generations if one.prefill.endswith("==")] == ["```python\nassert more(2) =="]
    assert answer["evidence"]["generated_written"] == 1


def test_of_several_functions_each_is_defined_and_tested_before_it_is_verified(start):
    inc, dec = "def inc(n):\n    return n + 1\n", "def dec(n):\n    return n - 1\n"
    checks = "1) == 2\nassert dec(1) == 0\nassert dec(5) == 4\nassert inc(4) == 5\n"
    request = "Write two functions `inc(n)` and `dec(n)`. inc(2) == 3"
    agent, model = start(coder(f"```python\n{inc}```", f"```python\n{inc}\n\n{dec}```", checks=checks))
    answer = agent.generate(request).json()
    assert answer["verdict"] == "verified"
    assert "def dec" in answer["code"]
    assert "assert dec(5) == 4" in answer["tests"]
    assert any("`inc(n)`, `dec(n)`" in one.messages[-2]["content"] for one in model.generations)
    agent, _ = start(coder(f"```python\n{inc}```", checks=checks))
    assert agent.generate(request).json()["verdict"] == "not_verified"


@pytest.mark.parametrize(
    ("request_text", "asks"),
    [
        ("Write add(a, b) using requests", True),
        ("Write add(a, b) with `requests`", True),
        ("import requests and write add(a, b)", True),
        ("Write add(a, b) that counts requests", False),
        ("Write add(a, b), the sum of all requests", False),
    ],
)
def test_a_word_that_is_a_package_too_is_not_asked_for(start, request_text, asks):
    lacks = "```python\nimport requests\n\n\ndef add(a, b):\n    return a + b\n```"
    agent, _ = start(coder(lacks, RIGHT))
    answer = agent.generate(f"{request_text}. add(1, 2) == 3", tier="fast").json()
    assert (answer["verdict"] == "verified") is not asks


def test_an_answer_without_code_does_not_use_up_what_may_be_spent(start):
    wrong = [f"```python\ndef add(a, b):\n    return a * b + {n}\n```" for n in range(100, 120)]
    agent, _ = start(coder("Adding is done with a plus sign. " * 40, *wrong))
    assert agent.generate(REQUEST).json()["refinement_count"] > 0


def test_what_may_be_spent_does_not_depend_on_what_the_server_has_cached(start):
    codes = [f"```python\ndef add(a, b):\n    return a * b + {n}\n```" for n in range(100, 120)]
    left = []
    agent, model = start(lambda messages: left.pop(0))
    tries = []
    for _ in range(2):
        left[:], before = codes, len(model.generations)
        usage = agent.generate(REQUEST).json()["usage"]
        tries.append(len(model.generations) - before)
    assert usage["cached_tokens"] > usage["prefill_tokens"], "the second job found the prompt in the cache"
    assert tries[0] == tries[1] > 3


def test_an_example_that_finds_the_faults_of_the_code_speaks_for_it_though_no_other_sample_meets_it(start):
    others = [f"```python\ndef f(items):\n    return {n}\n```" for n in range(30)]
    code = "```python\ndef f(items):\n    return sorted(items)[-2]\n```"
    agent, _ = start(coder(code, *others))
    answer = agent.generate("Write f(items), the second largest. f([5, 1, 9, 7]) == 7").json()
    assert (answer["verdict"], answer["evidence"]["faults_examples_find"]) == ("verified", 1)
    agent, _ = start(coder("```python\ndef f(items):\n    return len(items) > 2\n```", *others))
    answer = agent.generate("Write f(items), whether there are more than two. f([5, 1, 9, 7]) == True").json()
    assert answer["verdict"] == "not_verified"
    assert "always does the same could meet" in answer["error"]


def test_code_that_says_no_to_all_varied_inputs_is_compared_on_others(start):
    codes = [f"```python\nimport re\n\n\ndef f(s):\n    return {code}\n```" for code in (SEARCH, LOOSER, SEARCH2)]
    agent, _ = start(coder(*codes))
    request = "Write f(s) that says whether s has an 'a' followed by three 'b' in it. f('ac') == False"
    answer = agent.generate(request).json()
    assert answer["verdict"] == "verified"
    assert "'bbb'" not in answer["code"]
    assert answer["evidence"]["inputs_compared"] > 20


def test_a_value_that_the_model_has_stated_is_not_asked_for_again(start):
    codes = ["return a + b if a != 2 else 9", "return a * b + 1 if a != 2 else 9", "return a * b + 1"]
    left = [f"```python\ndef add(a, b):\n    {code}\n```" for code in codes]
    agent, model = start(coder(*left, checks="2, 2) == 4\n"))
    agent.generate("Write add(a, b), the sum of two numbers.")
    asked = [one.prefill for one in model.generations if one.prefill.endswith("==")]
    assert "```python\nassert add(2, 2) ==" not in asked


def test_groups_of_samples_that_part_are_told_apart_by_asking_for_one_value(start):
    codes = ["return a + b if a != 2 else 9", "return a * b + 1", "return a + b"]
    left = [f"```python\ndef add(a, b):\n    {code}\n```" for code in codes]

    def answer(messages):
        if "Complete the assert" in messages[-1 if messages[-1]["role"] == "user" else -2]["content"]:
            return " 4\n"
        return left.pop(0) if len(left) > 1 else left[0]

    agent, model = start(answer)
    answer = agent.generate("Write add(a, b). add(1, 2) == 3").json()
    questions = [one.prefill for one in model.generations if one.prefill.endswith("==")]
    assert questions == ["```python\nassert add(2, 2) =="]
    assert (answer["verdict"], "return a + b\n" in answer["code"]) == ("verified", True)
    assert "assert add(2, 2) == 4" in answer["tests"]


def test_a_follow_up_changes_the_code_and_keeps_the_examples_of_before(start, tmp_path):
    asked = []

    def answer(messages):
        asked.append(messages[-1 if messages[-1]["role"] == "user" else -2]["content"])
        return RIGHT if "Now change it" not in asked[-1] else RIGHT.replace("return a + b", "return abs(a) + abs(b)")

    agent, _ = start(answer, coder_conversations_dir=str(tmp_path))
    assert agent.generate(REQUEST, conversation_id="c").json()["verdict"] == "verified"
    went_on = agent.generate("now add(-1, 1) == 2", conversation_id="c").json()
    assert went_on["verdict"] == "verified"
    assert went_on["evidence"]["examples"] == 3
    assert "abs" in went_on["code"]
    assert asked[-1].startswith(REQUEST)
    assert "def add(a, b):\n    return a + b" in asked[-1]


def test_a_follow_up_that_breaks_what_was_wanted_before_is_not_verified(start, tmp_path):
    agent, _ = start(coder(RIGHT, WRONG), coder_conversations_dir=str(tmp_path))
    agent.generate(REQUEST, conversation_id="c")
    answer = agent.generate("now add(5, 5) == 0", conversation_id="c").json()
    assert answer["verdict"] == "tests_failed"
    assert answer["evidence"]["examples"] == 3


def test_both_spellings_of_the_ids_name_the_same_conversation(start, tmp_path):
    agent, _ = start(coder(RIGHT), coder_conversations_dir=str(tmp_path), kitty_service_token="t0ken")
    agent.generate(REQUEST, conversationId="c", userId="ada")
    answer = agent.generate("now handle negatives", conversation_id="c", user_id="ada").json()
    assert answer["evidence"]["examples"] == 2


def test_another_conversation_or_user_knows_nothing_of_it(start, tmp_path):
    agent, _ = start(coder(RIGHT), coder_conversations_dir=str(tmp_path), kitty_service_token="t0ken")
    agent.generate(REQUEST, conversation_id="c", user_id="ada")
    for ids in ({"conversation_id": "d", "user_id": "ada"}, {"conversation_id": "c", "user_id": "bob"}, {}):
        answer = agent.generate("now handle negatives", **ids).json()
        assert answer["evidence"]["examples"] == 0
