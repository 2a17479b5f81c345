"""Whatever a model wraps around its code, the module that comes out does what the code in it does."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coder_agent.extraction import extract_module, strip_thinking

ADD = "def add(a, b):\n    return a + b\n"


def load(answer, entry="f"):
    """The namespace of the extracted module; printing or reading at import is an error."""

    def is_not_for_import(*args):
        raise AssertionError("the module prints or reads when imported")

    module = extract_module(answer, entry)
    assert module is not None
    namespace = {"__name__": "solution", "print": is_not_for_import, "input": is_not_for_import}
    exec(compile(module.code, "solution.py", "exec"), namespace)  # noqa: S102  # our own answers, below
    return namespace


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
        f"{ADD}\nadd(1, 2)\n",
        f"{ADD}\nadd(1, 2) == 3\n",
        f"{ADD}\nfor x in range(3): print(add(x, x))\n",
        f"{ADD}\nimport unittest\nunittest.main()\n",
        f"{ADD}\nimport doctest\ndoctest.testmod()\n",
        f"import pytest\n{ADD}\npytest.main()\n",
        f"{ADD}\ndef test_add():\n    assert add(1, 1) == 2\ntest_add()\n",
        f"{ADD}\nresult = add(1, 2)\nprint(result)\ntotal = result + 1\n",
        f"{ADD}\nsums = list(map(add, [1], [2]))\nprint(sums)\n",
        f"n = int(input())\nxs = list(map(int, input().split()))\nxs.sort()\n{ADD}\nprint(add(n, xs[0]))\n",
        f"import_text = open(0).read()\n{ADD}",
        f"import_lines = sys.stdin.readlines()\n{ADD}",
        f"n = int(input())\nn += 1\n{ADD}",
        f"{ADD}\nif True:\n    print(add(1, 2))\n",
        f"{ADD}\ntry:\n    print(add(1, 2))\nexcept TypeError:\n    print('no')\n",
        f"{ADD}\nfrom my_module import add\n",
        f"Note: impossible\n\n{ADD}",
        f"1. Write it:\n   ```python\n   {ADD}".replace("\n    return", "\n       return") + "   ```\n2. Done",
        f"Here you go\n\n    {ADD}".replace("\n    return", "\n        return") + "\nThat is all.",
        f"python\n{ADD}",
        f"{ADD[:-1]}```\nThis adds.",
        ">>> def add(a, b):\n...     return a + b\n...\n>>> add(1, 2)\n3\n",
        f"\ufeff{ADD}",
        f"import the module and call it.\n\n{ADD}\nx is what comes out.",
        f"```bash\npip install nothing\n```\n```python\n{ADD}```\n```text\n3\n```",
    ],
)
def test_the_function_is_found_and_nothing_else_is_kept(answer):
    module = extract_module(answer, "add")
    assert module is not None
    assert module.code == ADD


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("T = []\nfor i in range(4):\n    T.append(i * i)\n\ndef f():\n    return T\n", [0, 1, 4, 9]),
        ("T = [1]\nwhile len(T) < 4:\n    T.append(T[-1] * 2)\n\ndef f():\n    return T\n", [1, 2, 4, 8]),
        ("D = {}\nD.update(a=1)\nD |= {'b': 2}\n\ndef f():\n    return D\n", {"a": 1, "b": 2}),
        ("import heapq\nH = [3, 1, 2]\nheapq.heapify(H)\n\ndef f():\n    return H[0]\n", 1),
        ("import sys\nsys.setrecursionlimit(4321)\n\ndef f():\n    return sys.getrecursionlimit()\n", 4321),
        ("class A:\n    pass\n\nsetattr(A, 'x', 7)\nA.y = 1\n\ndef f():\n    return A.x + A.y\n", 8),
        ("import random\nR = random.Random()\nR.seed(1)\nX = R.random()\n\ndef f():\n    return round(X, 3)\n", 0.134),
        ("R = {}\ndef add(n, g):\n    R[n] = g\n    return g\n\n"
         "add('x', len)\n\ndef f():\n    return R['x']('ab')\n", 2),
        ("R = {}\ndef register(g):\n    R[g.__name__] = g\n    return g\n\n@register\ndef g(x):\n    return x\n\n"
         "def f():\n    return list(R)\n", ["g"]),
        ("x = 5\nkeep = x\ndel x\n\ndef f():\n    return keep, 'x' in globals()\n", (5, False)),
        ("N = 1\nN += 2\n\ndef f():\n    return N\n", 3),
        ("import io\nwith io.StringIO('a b') as s:\n"
         "    WORDS = s.read().split()\n\ndef f():\n    return WORDS\n", ["a", "b"]),
        ("def g(n):\n    return n + 1\n\nT = [g(i) for i in range(3)]\n\ndef f():\n    return T\n", [1, 2, 3]),
        ("T = {}\ndef fill():\n    for i in range(2):\n        T[i] = i\n\n"
         "fill()\n\ndef f():\n    return T\n", {0: 0, 1: 1}),
        ("T = []\ndef fill():\n    T.append(1)\n\nfill()\n\ndef f():\n    return T\n", [1]),
        ("T = None\ndef fill():\n    global T\n    T = 1\n\nfill()\n\ndef f():\n    return T\n", 1),
        ("T = {}\ndef fill(t):\n    t[0] = 1\n\nfill(T)\n\ndef f():\n    return T\n", {0: 1}),
        ("P = [True] * 4\nfor i in range(2):\n    P[i] = False\n\n"
         "def f():\n    return P\n", [False, False, True, True]),
        ("cache = dict()\n\ndef f():\n    cache[1] = 2\n    return cache\n", {1: 2}),
        ("from collections import defaultdict\nmemo = defaultdict(int)\n\ndef f():\n    return memo['a']\n", 0),
        ("from functools import lru_cache\n\n@lru_cache(maxsize=None)\ndef fib(n):\n"
         "    return n if n < 2 else fib(n - 1) + fib(n - 2)\n\ndef f():\n    return fib(60)\n", 1548008755920),
        ("from dataclasses import dataclass\n\n@dataclass(order=True)\nclass P:\n    x: int = 1\n\n"
         "def f():\n    return P() < P(2)\n", True),
        ("from __future__ import annotations\n\ndef f(a: Unknown = 3) -> Later:\n    return a\n", 3),
        ("try:\n    import missing_for_sure as m\nexcept ImportError:\n    m = None\n\ndef f():\n    return m\n", None),
        ("from typing import TypeVar, NamedTuple\nT = TypeVar('T')\nP = NamedTuple('P', [('x', int)])\n\n"
         "def f(a: T = 1) -> T:\n    return P(a).x\n", 1),
        ("from enum import Enum\nC = Enum('C', 'RED BLUE')\n\ndef f():\n    return C.BLUE.value\n", 2),
        ("Row = list[int]\nGrid = list[Row]\n\ndef f(g: Grid = [[1]]):\n    return g\n", [[1]]),
        ("def wrap(g):\n    return lambda: g() + 1\n\ndef f():\n    return 1\n\nf = wrap(f)\n", 2),
        ("def _g():\n    return 2\n\nf = lambda: _g()\n", 2),
        ("class C:\n    def __init__(self):\n        self.n = 3\n\nSTATE = C()\n\ndef f():\n    return STATE.n\n", 3),
        ("def test_prime(n):\n    return n > 1\n\ndef f():\n    return test_prime(2)\n", True),
        ("a, b = 1, 2\n\ndef f():\n    return a + b\n", 3),
        ("LIMIT: int = 3\n\ndef f():\n    return LIMIT\n", 3),
        ("if True:\n    def f():\n        return 1\nelse:\n    def f():\n        return 2\n", 1),
        ("log = lambda *a: print(*a)\n\ndef f():\n    return callable(log)\n", True),
        ('T = """a  \n   \n# b\n"""\n\ndef f():\n    return T\n', "a  \n   \n# b\n"),
        ("import os; import sys; n = 1; print(n)\n\ndef f():\n    return n, os.sep, sys.argv[:0]\n", (1, "/", [])),
        ("from math import gcd as f2\n\ndef f():\n    return f2(4, 6)\n", 2),
        ('def f():\n    """Doc.\n\n    ```\n    f()\n    ```\n    """\n    return f.__doc__.count("`")\n', 6),
        ('def f():\n    """Doc.\n\n```python\nf()\n```\n"""\n    return f.__doc__.count("`")\n', 6),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "wrap",
    [
        "{code}",
        "Here it is:\n\n```python\n{code}```\nIt works.",
        "{code}print(f())\n```\nIt prints that.",
        "Sure.\n\n{code}",
        "{code}\nresult = f()\nprint(result)\n",
        "{code}```\nUse it:\n```python\nprint(f())\n```\n",
    ],
    ids=["plain", "fenced", "prefilled", "prose before", "shown", "two blocks"],
)
def test_the_extracted_function_does_what_the_written_one_does(code, expected, wrap):
    assert load(wrap.format(code=code) if "{" not in code else wrap.replace("{code}", code))["f"]() == expected


def test_an_async_function_runs():
    code = "import asyncio\n\nasync def f():\n    await asyncio.sleep(0)\n    return 4\n\nasyncio.run(f())\n"
    assert asyncio.run(load(code)["f"]()) == 4
    assert "run(" not in extract_module(code, "f").code


def test_instances_that_only_show_a_class_go():
    code = "class Stack:\n    def push(self, x):\n        print(x)\n\n\ns = Stack()\ns.push(1)\nprint(s)\n"
    assert "s = Stack()" not in extract_module(code, "Stack").code


@pytest.mark.parametrize(
    "answer",
    [
        "First the helper:\n```python\nBASE = 2\ndef h(x):\n    return x * BASE\n```\nThen:\n```python\n{f}```",
        "def h(x):\n    return x * 2\n```\nThen:\n```python\n{f}```",
        "def h(x):\n    return x * 2\n\nThen we can write it:\n\n{f}",
        "```python\nT = {}\nfor i in range(9):\n    T[i] = 2 * i\n"
        "def h(x):\n    return T[x]\nprint(h(1))\n```\n```python\n{f}```",
        "```python\n{f}```\nwith\n```python\nfrom operator import mul\nh = lambda x: mul(x, 2)\n```",
    ],
)  # fmt: skip
def test_what_the_entry_uses_is_taken_from_the_other_block(answer):
    code = "from __future__ import annotations\n\ndef f(x):\n    return h(x) + 1\n"
    assert load(answer.replace("{f}", code))["f"](3) == 7


def test_what_two_other_blocks_define_is_taken_once():
    helper = "SEEN = []\nSEEN.append(1)\n\n\ndef h(x):\n    return x + len(SEEN)\n"
    code = "def f(x):\n    return h(x)\n"
    answer = f"```python\n{helper}```\nwith a limit\n```python\n{helper}\n\nLIMIT = 2\n```\n```python\n{code}```"
    assert load(answer)["f"](1) == 2
    assert extract_module(answer, "f").code.count("def h") == 1


def test_a_call_that_shows_the_entry_leaves_no_state_behind():
    code = "SEEN = []\n\n\ndef f(x):\n    SEEN.append(x)\n    return len(SEEN)\n\n\nf(1)\n"
    assert load(code)["f"](1) == 1


def test_a_call_that_shows_a_helper_goes():
    code = "def h(x):\n    return x\n\n\ndef f(x):\n    return h(x)\n"
    assert extract_module(f"{code}\n\nh(3)\n", "f").code == code


def test_nothing_is_taken_twice_from_another_block():
    answer = f"```python\nimport math\n{ADD}```\n```python\n{ADD}\ndef f(x):\n    return add(x, math.pi)\n```"
    module = extract_module(answer, "f")
    assert module.code.count("def add") == 1
    assert module.code.count("import math") == 1


@pytest.mark.parametrize(
    "binding",
    [
        "try:\n    from fast import f\nexcept ImportError:\n    def f(x):\n        return x\n",
        "f: object = other\n",
        "f, g = other, other\n",
        "from operator import neg as f\n",
    ],
)
def test_no_alias_replaces_what_binds_the_name(binding):
    code = f"def other(x):\n    return -x\n\n\n{binding}"
    assert extract_module(code, "f").code.count("f = other") == binding.count("f = other")


def test_a_private_function_that_was_asked_for_is_not_replaced():
    module = extract_module("def _f(x):\n    return g(x)\n\ndef g(x):\n    return x\n", "_f")
    assert "_f" in module.names
    assert "_f = g" not in module.code


def test_a_keyword_is_never_an_alias():
    assert extract_module(ADD, "class").code == ADD


def test_columns_are_counted_in_characters():
    assert load("E = 'é'; n = 2  # ü\ndef f():\n    return E, n\n")["f"]() == ("é", 2)


def test_an_import_that_kept_code_uses_stays():
    code = "from main import helper\n\n\ndef f(x):\n    return helper(x)\n"
    assert extract_module(code, "f").code == code
    assert "import" not in extract_module(f"from solution import f\n{code[25:]}", "f").code


def test_input_that_a_function_uses_stays():
    assert "input()" in extract_module("n = int(input())\ndef f():\n    return n\n", "f").code


def test_a_constant_after_prose_stays():
    assert load("We need a limit.\n\nLIMIT = 10\n\ndef f():\n    return LIMIT\n")["f"]() == 10


MAIN = "def main():\n    print(1)\n\n\nif __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize("entry", [None, "main", "f"])
def test_a_program_with_a_main_keeps_its_start(entry):
    code = f"def f():\n    return 1\n\n\n{MAIN}"
    assert extract_module(code, entry).code == code


@pytest.mark.parametrize(
    "torn",
    ["def f(x):\n    y = 1\n    if x (\n        return 1\n    return y\n", "def f(x):\n    if x:\n"],
    ids=["amid its body", "at a header"],
)
def test_a_whole_definition_outranks_a_torn_one_before_it(torn):
    assert load(f"{torn}\nOr rather:\n\ndef f(x):\n    return 2\n")["f"](0) == 2


def test_a_torn_definition_outranks_whole_lines_that_define_nothing():
    answer = "def f(x):\n    y = 1\n    if x (\n        return y\n\nx = 3\nprint(x)\n"
    assert extract_module(answer).names == ("f",)


def test_of_two_whole_blocks_the_one_that_defines_more_is_taken():
    longer = "def h(x):\n    return x + 1\n\n\ndef f(x):\n    return h(x)\n"
    answer = f"```python\ndef f(x):\n    return x\n```\nWith a helper:\n```python\n{longer}```"
    assert extract_module(answer, "f").code == longer


def test_what_makes_up_all_stays():
    code = "def names():\n    return ['f']\n\n\ndef f():\n    return 1\n\n\n__all__ = names()\n"
    assert extract_module(code, "f").code == code


def test_a_function_cut_in_its_header_still_compiles():
    module = extract_module("```python\ndef add(a, b):\n    if a:", "add")
    assert module is not None
    compile(module.code, "solution.py", "exec")
    assert module.names == ("add",)


def test_a_function_cut_in_a_long_try_keeps_its_beginning():
    body = "".join(f"        x = {n}\n" for n in range(50))
    assert load(f"def f():\n    if True:\n        return 1\n    try:\n{body}")["f"]() == 1


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


@pytest.mark.parametrize(
    "script",
    [
        "import sys\n\nfor line in sys.stdin:\n    print(line.upper())\n",
        "n = int(input())\nprint(n)\n",
        "print('hello')\n",
    ],
)
def test_a_script_without_functions_is_kept_whole(script):
    assert extract_module(f"```python\n{script}```").code == script


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Done.",
        "Done",
        "I cannot do that.",
        "```python\n```",
        "pass",
        "# only a comment",
        "\x00",
        "Note: impossible",
    ],
)
def test_no_code_is_no_module(answer):
    assert extract_module(answer, "add") is None


def test_thinking_that_never_ends_holds_no_answer():
    assert strip_thinking("<think>def add(a, b): return a") == ""


@pytest.mark.parametrize("tag", ["<think>", "</think>", "</thinking>"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_code_may_hold_the_tags_of_thinking_in_quotes(tag, quote):
    code = f"def last(text):\n    return text.split({quote}{tag}{quote})[-1]\n"
    assert extract_module(f"<think>split?</think>\n```python\n{code}```", "last").code == code


def test_a_comment_may_name_the_tags_of_thinking():
    code = "# drop everything up to </think> first\ndef last(text):\n    return text\n"
    assert extract_module(f"```python\n{code}```", "last").code == code


ELIF = "def f(x):\n    if x == -1:\n        return 0\n" + "    elif x:\n        return\n" * 3000
SLOW = {
    "elif": ELIF[:30_000],
    "bad end": "x = 1\n" * 3000 + "def f(:\n",
    "bad indent": "def f():\n" + "    x = 1\n" * 300 + "   y = 2\n" + "    x = 1\n" * 300,
    "fences": "```\nx\n" * 5000,
    "starts": "import a b\n" * 2700,
    "brackets": "x = " + "(" * 30_000,
    "names": "".join(f"x{n} = x{n + 1}\n" for n in range(2000)) + "def f():\n    return x0\n",
    "spaces": "```" + " " * 15_000 + "`\nx:" + " " * 15_000,
    "literal": "x = [" + "a," * 15_000 + "]\ndef f():\n    return x\n",
    "quotes": '"""\n' * 7501,
    "semicolons": "a=1;" * 7000 + "\ndef f(): return a\n",
    "minus": "-" * 30_000 + "1",
    "lambdas": "x=lambda:y\n" * 2700 + "def f(): return x\n",
    "tries": "try:\n" + "    x = 1\n" * 2900,
    "prompts": ">>> x = (\n" * 3000,
}


@pytest.mark.parametrize("text", [text[:30_000] for text in SLOW.values()], ids=list(SLOW))
def test_no_text_takes_long(text):
    seconds = []
    for _ in range(3):  # the least of three: other work on the machine slows single ones
        before = time.process_time()
        extract_module(text, "f")
        seconds.append(time.process_time() - before)
    assert min(seconds) < 4


PROSE = st.text(alphabet="abc XYZ.,:!'\n-*1", max_size=60)
PARTS = [
    "T = {}\n\nfor i in range(5):\n    T[i] = i * 3\n\n",
    "BASE = 2\nBASE += 5\n\n",
    "def _h(x):\n    return x * 2\n\n",
    "class Box:\n    size = 4\n\n\nsetattr(Box, 'size', 6)\n\n",
    "L = [3, 1]\nL.sort()\nwhile len(L) < 4:\n    L.append(L[-1] + 1)\n\n",
    "def _g(x):\n    return x + 1\n\n\nMADE = _g(10)\n\n",
]
USES = ["T.get(x, 0)", "BASE", "_h(x)", "Box.size", "sum(L)", "MADE"]
SHOWN = ["", "print(f(1))\n", "f(2)\n", "r = f(3)\nprint(r)\n", "n = int(input())\nprint(f(n))\n", "assert f(0)\n"]


@given(st.sets(st.integers(0, 5)), st.sampled_from(SHOWN), PROSE, PROSE, st.booleans(), st.integers(0, 9))
def test_the_function_gives_the_same_whatever_is_around_it(chosen, shown, before, after, is_prefilled, x):
    used = " + ".join(["x", *(USES[n] for n in sorted(chosen))])
    code = "".join(PARTS[n] for n in sorted(chosen)) + f"\ndef f(x):\n    return {used}\n\n"
    plain: dict = {}
    exec(code, plain)  # noqa: S102  # built from the parts above
    answer = f"{code}{shown}```\n{after}" if is_prefilled else f"{before}\n```python\n{code}{shown}```\n{after}"
    assert load(answer)["f"](x) == plain["f"](x)


@given(st.text(alphabet="def add(ab):\n return`+#python1[]\"' \t;=", max_size=200))
def test_whatever_comes_out_compiles(text):
    module = extract_module(text, "add")
    if module is not None:
        compile(module.code, "solution.py", "exec")
