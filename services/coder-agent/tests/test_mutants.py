"""Faults for judging tests: which are put in, where, and where not."""

import ast
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coder_agent.mutants import mutants

EVALS = Path(__file__).parents[3] / "evals"
REFERENCES = {
    task["id"]: task["reference"]
    for file in ("easy.jsonl", "own.jsonl")
    for task in map(json.loads, (EVALS / file).read_text().splitlines())
}
TWENTY_LINES = "def f(a):\n" + "".join(f"    a.append({number})\n" for number in range(20)) + "    return a\n"


def public(code):
    return [node.name for node in ast.parse(code).body if hasattr(node, "name")]


def changes(code, names=("f",), most=1000):
    return [mutant.change for mutant in mutants(code, names, most)]


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ("return a < b", "a < b → a <= b"),
        ("return a <= b", "a <= b → a < b"),
        ("return a > b", "a > b → a >= b"),
        ("return a >= b", "a >= b → a > b"),
        ("return a == b", "a == b → a != b"),
        ("return a != b", "a != b → a == b"),
        ("return a in b", "a in b → a not in b"),
        ("return a not in b", "a not in b → a in b"),
        ("return a is b", "a is b → a is not b"),
        ("return a is not b", "a is not b → a is b"),
        ("return 0 < a <= b", "0 < a <= b → 0 < a < b"),
        ("return a + b", "a + b → a - b"),
        ("return a - b", "a - b → a + b"),
        ("return a * b", "a * b → a // b"),
        ("return a / b", "a / b → a // b"),
        ("return a // b", "a // b → a / b"),
        ("return a % b", "a % b → a // b"),
        ("return a ** b", "a ** b → a * b"),
        ("return a << b", "a << b → a >> b"),
        ("return a >> b", "a >> b → a << b"),
        ("return a & b", "a & b → a | b"),
        ("return a | b", "a | b → a & b"),
        ("return a ^ b", "a ^ b → a | b"),
        ("a += b\n    return a", "a += b → a -= b"),
        ("return 7", "7 → 8"),
        ("return 0", "0 → 1"),
        ("return 0.5", "0.5 → 1.5"),
        ("return True", "True → False"),
        ("return 'ab'", "'ab' → 'ac'"),
        ("return ''", "'' → 'x'"),
        ("return b'a'", "b'a' → b'b'"),
        ("return f'{a}, {b}'", "', ' → ',!'"),
        ("return a and b", "a and b → a or b"),
        ("return a or b", "a or b → a and b"),
        ("return not a", "not a → a"),
        ("return -a", "-a → a"),
        ("return sorted(a, key=lambda p: -p)", "-p → p"),
        ("if a:\n        b = 2\n    return b", "if a: → if not a:"),
        ("while a:\n        a = b\n    return a", "while a: → while not a:"),
        ("return a if b else 2", "a if b else 2 → a if not b else 2"),
        ("return [x for x in a if x]", "for x in a if x → for x in a if not x"),
        ("return a", "return a → return None"),
        ("yield a", "(yield a) → (yield None)"),
        ("a.sort()\n    return a", "a.sort() → pass"),
        ("if a:\n        raise ValueError\n    return b", "raise ValueError → pass"),
        ("if a:\n        return b\n    return a", "return b → pass"),
        ("a: int = b\n    return a", "a: int = b → pass"),
        ("return a[1:]", "1 → 2"),
        ("return a[:b]", "a[:b] → a[:b - 1]"),
        ("return a[len(b):]", "a[len(b):] → a[len(b) - 1:]"),
        ("return [a[i] for i in range(b)]", "a[i] → a[i - 1]"),
        ("return [a[i] for i, x in enumerate(b)]", "a[i] → a[i - 1]"),
        ("for i in range(b):\n        a[i] = i", "a[i] → a[i - 1]"),
        ("for i, x in enumerate(b):\n        a[i] = x", "a[i] → a[i - 1]"),
        ("return a[b] + (b + 1)", "a[b] → a[b - 1]"),
        ("b += 1\n    return a[b]", "a[b] → a[b - 1]"),
        ("return a[-1]", "1 → 2"),
        ("return min(a)", "min → max"),
        ("return max(a)", "max → min"),
        ("return any(a)", "any → all"),
        ("return all(a)", "all → any"),
        ("return sorted(a)", "sorted(a) → sorted(a, reverse=True)"),
        ("return sorted(a, reverse=True)", "True → False"),
        ("return sorted(a, reverse=b)", "sorted(a, reverse=b) → sorted(a, reverse=not b)"),
        ("a.sort()", "a.sort() → a.sort(reverse=True)"),
        ("for x in a:\n        if x:\n            break\n        b.append(x)", "break → continue"),
        ("for x in a:\n        if x:\n            continue\n        b.append(x)", "continue → break"),
        ("match a:\n        case 3:\n            return b", "3 → 4"),
    ],
)
def test_each_operator_makes_its_fault(body, change):
    assert change in changes(f"def f(a, b=9):\n    {body}\n")


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ("'''Add 7.'''\n    return a", "'Add 7.' → 'Add 7/'"),
        ("raise ValueError('no' + a)", "'no' → 'np'"),
        ("assert a, 'no'", "'no' → 'np'"),
        ("b: Literal['no'] = a\n    return b", "'no' → 'np'"),
        ("return f'{a:02}'", "'02' → '03'"),
        ("if __name__ == 'f':\n        import os", "import os → pass"),
        ("return 'no' + a", "'no' + a → 'no' - a"),
        ("return a % b + 'no' + a", "'no' + a → 'no' - a"),
        ("return '%s' % a", "'%s' % a → '%s' // a"),
        ("c = []\n    return c", "c = [] → pass"),
        ("if a == b:\n        return 1", "if a == b: → if not a == b:"),
        ("if not a:\n        return 1", "if not a: → if not not a:"),
        ("if a:\n        a.sort()", "if a: → pass"),
        ("return None", "return None → pass"),
        ("a.sort()\n    return a", "return a → pass"),
        ("c: int\n    return a", "c: int → pass"),
        ("return a[b]", "a[b] → a[b - 1]"),
        ("while a:\n        a -= 1", "a -= 1 → pass"),
        ("while a:\n        a -= 1", "a -= 1 → a += 1"),
        ("while True:\n        a.sort()\n        break", "break → continue"),
        ("while a:\n        a = a // 2 + 1", "a // 2 → a / 2"),
        ("return a if a < b else b", "a < b → a <= b"),
        ("for x in a:\n        if x > b:\n            b = x\n    return b", "x > b → x >= b"),
    ],
)
def test_what_no_test_sees_or_any_test_sees_is_left_alone(body, change):
    assert change not in changes(f"def f(a, b=9):\n    {body}\n")


def test_what_a_loop_does_besides_coming_to_its_end_is_changed():
    found = changes("def f(a, b):\n    while a:\n        b += 1\n        a -= b\n        break\n    return b\n")
    assert {"b += 1 → pass", "b += 1 → b -= 1", "break → continue"} <= set(found)


def test_a_long_change_is_shown_in_part():
    assert changes(f"def f(): return {'x' * 100}") == [f"return {'x' * 73}… → return None"]


def test_a_choice_between_other_things_than_those_compared_has_a_boundary():
    assert "a < b → a <= b" in changes("def f(a, b):\n    return a if a < b else 0\n")


MODULE = """
import os
LIMIT = 1
by_name = {"double": lambda x: x * 2, "first": lambda x: x[0]}
try:
    import json
except ImportError:
    json = 2
if os.name == "posix":
    def helper(x):
        return x + 3
else:
    pass

@cache(maxsize=4)
def f(x: "int", y=5) -> "int":
    return helper(x)

def unrelated(x):
    return x + 6

class Box(dict):
    size = 7
    def full(self):
        return by_name

if __name__ == "__main__":
    print(8)
"""


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["f"], {3, 5}),
        (["unrelated"], {6}),
        (["Box"], {7, 2, 0}),
        (["f", "unrelated"], {3, 5, 6}),
        (["missing"], set()),
        ([], set()),
    ],
)
def test_only_what_the_names_define_and_use_is_changed(names, numbers):
    found = {change.split(" → ")[0] for change in changes(MODULE, names)}
    assert {int(number) for number in found if number.isdigit()} == numbers


def test_the_rest_of_the_module_stays_as_it_was_written():
    code = "# kept\nLIMIT = 0x10  # kept too\n\n\ndef f(x):\n    return x\n\n\ndef g():\n    return  'g'  # and this\n"
    assert [mutant.code for mutant in mutants(code, ["f"], 9)] == [code.replace("return x", "return None")]


def test_of_two_definitions_of_a_name_the_last_is_changed():
    assert changes("def f():\n    return 1\n\n\ndef f():\n    return 2\n") == ["return 2 → return None", "2 → 3"]


def test_the_line_is_that_of_the_fault_in_the_module_given():
    code = "# one\n\n\ndef f(x):\n\n    # six\n    y = x\n\n    return y\n"
    assert {(mutant.line, mutant.change) for mutant in mutants(code, ["f"], 9)} == {(9, "return y → return None")}


def test_a_function_in_a_function_in_an_assignment_is_changed_once():
    assert sorted(changes("f = lambda x: lambda y: x < y\n")) == ["x < y → x <= y"]


def test_other_line_ends_change_nothing():
    code = "def f(x):\n    y = '''a\nb'''\n    return y + x\n\ng = 1\n"
    for end in ("\r\n", "\r"):
        assert mutants(code.replace("\n", end), ["f"], 9) == mutants(code, ["f"], 9) != ()


def assert_good(code, names, most):
    made = mutants(code, names, most)
    trees = [ast.dump(ast.parse(text)) for text in (code, *(mutant.code for mutant in made))]
    assert len(set(trees)) == len(trees) == len(made) + 1
    assert len(made) <= max(most, 0)
    assert all(1 <= mutant.line <= code.count("\n") + 1 for mutant in made)
    return made


@pytest.mark.parametrize("task", REFERENCES)
def test_every_mutant_of_a_reference_compiles_and_is_unlike_the_others(task):
    code = REFERENCES[task]
    for mutant in assert_good(code, public(code), 1000):
        compile(mutant.code, "<mutant>", "exec")


@pytest.mark.parametrize("task", REFERENCES)
def test_the_same_module_gives_the_same_mutants_and_fewer_are_the_first_of_more(task):
    code = REFERENCES[task]
    names = public(code)
    made = mutants(code, names, 12)
    assert made == mutants(code, set(names), 12) == mutants(code, names, 24)[:12]
    assert made[:4] == mutants(code, names, 4)


def test_mutants_are_spread_over_the_code():
    lines = sorted(mutant.line for mutant in mutants(TWENTY_LINES, ["f"], 10))
    gaps = [after - before for before, after in itertools.pairwise([1, *lines, 22])]
    assert len(lines) == 10
    assert max(gaps) <= 4


@pytest.mark.parametrize("most", [0, -1])
def test_none_are_made_where_none_are_wanted(most):
    assert mutants(TWENTY_LINES, ["f"], most) == ()


@pytest.mark.parametrize(
    "code",
    [
        "",
        "def f(:",
        "\0",
        "\ud800",
        "return 1",
        "def f(): return " + "(" * 150 + "1" + ")" * 150 + "\n" + "-" * 50_000 + "1",
        "def f(): return " + "-" * 3_000 + "x",
        "def f(x): return " + "+".join(["x"] * 5_000),
        "def f(x): return " + "x" + ".y" * 3_000,
        "def f(x): return x[" * 90 + "0" + "]" * 90,
    ],
)
def test_code_that_cannot_be_read_or_written_gives_what_it_can_and_raises_nothing(code):
    if is_readable(code):
        assert_good(code, ["f"], 5)
    else:
        assert len(mutants(code, ["f"], 5)) <= 5


def is_readable(code):
    try:
        return bool(ast.dump(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def test_a_function_too_deep_to_be_written_costs_only_its_own_mutants():
    deep = "def g(x): return " + "+".join(["x"] * 400)
    assert "return 1 → return None" in changes(f"def f(x): return 1\n{deep}\n", ["f", "g"])


def test_a_number_too_long_for_python_to_write_costs_only_its_statement():
    code = f"def f(x): return 0x{'F' * 5000}\ndef g(x): return 1\n"
    assert set(changes(code, ["f", "g"])) == {"… → return None", "return 1 → return None", "1 → 2"}


SNIPPETS = st.sampled_from(
    [
        "if a < b: a = b",
        "for a in b: yield a",
        "while a: break",
        "return a[b:1], f'{a!r:>{b}} {b}'",
        "with a as b: pass",
        "try: a()\n    except ValueError as b: raise\n    finally: b()",
        "def g(a, *b, c=1): nonlocal x; x += c; return lambda: a",
        "x = y = a if b else ''",
        "x: int",
        "async def h(): return [a async for a in b if a]",
        "return",
        "del a[0]",
        "global z; z = 1",
        "assert a, b",
        "match a:\n        case {'k': [1, *_]} | None: pass\n        case -1: return b",
        "class C:\n        '''Doc.'''\n        y: str = 'a'",
        "print(*a, sep='', **b); a @= b",
        "'''text'''; ...",
        "return (x := min(a, key=len)) and not {**a, 1: b}",
    ]
)


@given(st.lists(SNIPPETS, max_size=8), st.integers(-1, 40))
def test_whatever_the_function_says_mutants_are_good_or_there_are_none(statements, most):
    code = "def f(a, b):\n    x = 0\n" + "".join(f"    {statement}\n" for statement in statements)
    if is_readable(code):
        assert_good(code, ["f"], most)
