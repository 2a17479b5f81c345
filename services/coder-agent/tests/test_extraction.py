"""Whatever a model wraps around its code, what comes out compiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coder_agent.extraction import extract_module, strip_thinking

ADD = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "answer",
    [
        ADD,
        f"Sure! Here it is:\n```py\n{ADD}```\nHope that helps.",
        f"<think>I could write def add(a): ...\nhmm</think>\n```python\n{ADD}```",
        f"reasoning without an opening tag </think>{ADD}",
        f"```python\n{ADD}```\nTests:\n```python\nfrom solution import add\ndef test_add():\n    assert add(1, 2)\n```",
        f"```python\n{ADD}\nprint(add(1, 2))\n\nif __name__ == '__main__':\n    print(add(3, 4))\n```",
        f"```python\nimport pytest\n\n{ADD}\ndef test_add():\n    assert add(1, 2) == 3\n```",
        f"{ADD}\nassert add(1, 2) == 3\n```\nThis function adds.",
        f"```python\n{ADD}\nVALUES = [1,\n   2,",
        f"    {ADD}".replace("\n", "\n    "),
        f"~~~python\r\n{ADD}~~~".replace("\n", "\r\n"),
    ],
    ids=[
        "plain",
        "prose and a py block",
        "think",
        "closing think only",
        "two blocks",
        "demonstration",
        "tests beside it",
        "trailing text",
        "cut off",
        "indented",
        "tildes and CRLF",
    ],
)
def test_the_function_is_found_and_nothing_else_is_kept(answer):
    module = extract_module(answer, "add")
    assert module is not None
    assert module.code == ADD


def test_a_function_cut_in_its_header_still_compiles():
    module = extract_module("```python\ndef add(a, b):\n    if a:", "add")
    assert module is not None
    compile(module.code, "solution.py", "exec")
    assert module.names == ("add",)


def test_comments_constants_and_helpers_stay_as_written():
    code = (
        '"""Doc."""\n\nimport math\n\n# The limit.\nLIMIT = 10\n\n\n'
        "def _half(x):\n    return x / 2  # why\n\n\ndef f(x):\n    return _half(x)\n"
    )
    assert extract_module(f"```python\n{code}print(f(2))\n```", "f").code == code


def test_a_missing_name_is_aliased_when_one_public_function_is_there():
    module = extract_module("def addition(a, b):\n    return a + b\n", "add")
    assert module.names == ("addition", "add")
    assert "add = addition" in module.code


def test_two_functions_are_not_guessed_between():
    assert "add" not in extract_module("def one():\n    pass\n\ndef two():\n    pass\n", "add").names


def test_a_script_without_functions_is_kept_whole():
    script = "import sys\n\nfor line in sys.stdin:\n    print(line.upper())\n"
    assert extract_module(f"```python\n{script}```").code == script


@pytest.mark.parametrize(
    "answer", ["", "Done.", "Done", "I cannot do that.", "```python\n```", "pass", "# only a comment", "\x00"]
)
def test_no_code_is_no_module(answer):
    assert extract_module(answer, "add") is None


def test_thinking_that_never_ends_holds_no_answer():
    assert strip_thinking("<think>def add(a, b): return a") == ""


@given(st.text(alphabet="def add(ab):\n return`+#python1[]\"' \t", max_size=200))
def test_whatever_comes_out_compiles(text):
    module = extract_module(text, "add")
    if module is not None:
        compile(module.code, "solution.py", "exec")


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_fenced_module_is_found_between_any_prose(before, after):
    clean = [part.replace("`", "").replace("~", "").replace("<", "").replace("def", "") for part in (before, after)]
    module = extract_module(f"{clean[0]}\n```python\n{ADD}```\n{clean[1]}", "add")
    assert module is not None
    assert "add" in module.names
