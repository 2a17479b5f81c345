"""Whatever a model answers: extraction does not fail, what comes out parses, and nothing public is lost."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coder_agent.extraction import extract_module

moderately = settings(max_examples=150, deadline=None, derandomize=True)

WORDS = """
def f(x): class A: return x pass import math from x import y if else: try: except: async await yield lambda
= == + ( ) [ ] { } ' " ''' ``` ~~~ ```python # @ : , . \\ <think> </think> print( f(1) 1 None >>> ... __name__
"""
PIECES = st.sampled_from(WORDS.split()) | st.sampled_from(["\n", "\n    ", "\n        ", "\t", " "])
LINES = st.sampled_from(
    [
        "Here is the code:",
        "Then call it like this.",
        "",
        "```python",
        "```",
        "import math",
        "from __future__ import annotations",
        "from solution import f",
        "LIMIT = 3",
        "TABLE = {}",
        "TABLE['a'] = LIMIT",
        "def f(x):",
        "def g(x):",
        "class A:",
        "    def f(self):",
        "    return x + LIMIT",
        "        return g(x)",
        '    """Doc."""',
        "    if x:",
        "    pass",
        "print(f(1))",
        "f(2)",
        "result = f(3)",
        "assert f(1) == 1",
        "def test_f():",
        "    assert f(1) == 1",
        "if __name__ == '__main__':",
        "    main()",
        "    print(f(1))",
        "n = int(input())",
        ">>> f(1)",
        "@cache",
        "# a comment",
        "for n in range(3):",
        "    TABLE[n] = f(n)",
    ]
)
ANSWERS = (
    st.text(max_size=200)
    | st.lists(PIECES, max_size=60).map(" ".join)
    | st.lists(PIECES, max_size=60).map("".join)
    | st.lists(LINES, max_size=25).map("\n".join)
)
NAMES = st.sampled_from(["f", "g", "solve", "helper", "Box", "to_list"])
BODIES = st.sampled_from(
    [
        "return x",
        "return [x]\n",
        "y = x\n    return y",
        '"""Doc."""\n    return x',
        "if x:\n        return 1\n    return 2",
    ]
)
CONSTANTS = st.sampled_from(["LIMIT = 3", "NAMES = ['a', 'b']", "TABLE = {n: n for n in range(3)}"])
PROSE = st.text(alphabet="abc XYZ.,!'\n", max_size=60)


@st.composite
def modules(draw):
    """A module that reads as one, and the names it defines."""
    parts, defined = draw(st.lists(CONSTANTS, max_size=2, unique=True)), []
    defined += [part.split(" ")[0] for part in parts]
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        if name[0].isupper():
            parts.append(f"class {name}:\n    def get(self, x):\n        return x")
        else:
            parts.append(f"def {name}(x):\n    {draw(BODIES)}")
        defined.append(name)
    used = "".join(f"\n    {name}" for name in defined)
    return "\n\n\n".join([*parts, f"def every(x):{used}\n    return x"]) + "\n", {*defined, "every"}


@moderately
@given(ANSWERS, st.sampled_from([None, "f", "A"]))
def test_any_answer_gives_a_module_that_parses_or_none(answer, entry):
    module = extract_module(answer, entry)
    if module is not None:
        compile(module.code, "solution.py", "exec")
        assert ast.parse(module.code).body


@moderately
@given(modules(), PROSE, PROSE)
def test_a_fenced_module_keeps_all_its_public_names(written, before, after):
    code, names = written
    module = extract_module(f"{before}\n```python\n{code}```\n{after}", "every")
    assert module is not None
    assert names <= set(module.names)


@moderately
@given(modules(), PROSE)
def test_extracting_what_was_extracted_changes_nothing(written, before):
    module = extract_module(f"{before}\n```python\n{written[0]}```", "every")
    assert module is not None
    assert extract_module(module.code, "every") == module


@moderately
@given(ANSWERS, st.sampled_from([None, "f"]))
def test_extracting_a_second_time_gives_the_same_code(answer, entry):
    module = extract_module(answer, entry)
    if module is not None:
        again = extract_module(module.code, entry)
        assert again is not None
        assert again.code == module.code


@pytest.mark.parametrize("answer", ["if 0:\n A[0]=()", "def g(x):\n    seen[x] = 1\n"])
def test_no_line_of_a_body_is_taken_out_of_it(answer):
    module = extract_module(answer, "f")
    assert module is not None
    assert ast.unparse(ast.parse(module.code).body[0]) == ast.unparse(ast.parse(answer).body[0])
