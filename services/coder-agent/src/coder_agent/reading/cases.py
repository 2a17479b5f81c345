"""Cases: one check of the module each, and Python source read with care.

Source from a request or a model may be anything, so `parsed` and `written` answer None where Python gives up.
"""

import ast
import builtins
import keyword
from dataclasses import dataclass

from coder_agent.source_text import tree_of

UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
"""What parsing, evaluating or writing back a piece of text may raise."""
LONGEST = 4000
"""Characters of one example; a longer one is left alone."""
DEEPEST = 60
"""Levels of syntax in one example, well below Python's own limits wherever the case is used."""
TEST_WORDS = frozenset({"pytest", "raises", "approx", "expect", "describe", "it", "test", "self", "assertEqual"})
NOT_ENTRIES = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | TEST_WORDS | {"e.g", "i.e"}


@dataclass(frozen=True)
class Case:
    """One check of the module.

    `check` is Python source of one or more statements. `call`, `expected` and `raises` are source texts where the check
    is of that simple shape, else None.
    """

    check: str
    trusted: bool
    call: str | None = None
    expected: str | None = None
    raises: str | None = None
    states: str | None = None
    """What the request says of every result that this checks, such as `is_sorted`."""
    stdin: str | None = None
    """What a script reads, where the check runs one."""


def parsed(source: str) -> ast.Module | None:
    """The syntax tree of `source`, or None where it has none or is too long or too deep to work with."""
    if len(source) > LONGEST:
        return None
    try:
        tree = tree_of(source)
    except UNREADABLE:
        return None
    return tree if _is_shallow(tree) else None


def parsed_expression(source: str) -> ast.expr | None:
    """Likewise, of one expression."""
    tree = parsed(source)
    if tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        return tree.body[0].value
    return None


def written(node: ast.AST) -> str | None:
    """`node` as source, or None where Python cannot write it back (a number of thousands of digits, say)."""
    try:
        return ast.unparse(node)
    except UNREADABLE:
        return None


def is_literal(node: ast.expr) -> bool:
    """Whether `node` is a value spelt out. `...` is none: it stands for what was left out."""
    try:
        ast.literal_eval(node)
    except UNREADABLE:
        return False
    return not any(isinstance(part, ast.Constant) and part.value is Ellipsis for part in ast.walk(node))


def called_names(check: str) -> tuple[str, ...]:
    """The plain names that `check` calls and that neither Python nor `check` itself defines, outermost first."""
    tree = parsed(check)
    if tree is None:
        return ()
    bound = bound_names(tree)
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [name.id for name in calls if isinstance(name, ast.Name)]
    return tuple(dict.fromkeys(name for name in names if name not in NOT_ENTRIES and name not in bound))


def called_name(check: str) -> str | None:
    """The first plain function name that `check` calls and that Python does not define."""
    return next(iter(called_names(check)), None)


def bound_names(tree: ast.AST) -> set[str]:
    """The names that `tree` gives a meaning: assigned, imported, defined, or a parameter."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name.split(".")[0])
    return bound


def case_from_assert(node: ast.Assert, *, trusted: bool) -> Case:
    """A case from one assert; `call` and `expected` are filled when it compares a call with a value.

    Raises:
        ValueError, RecursionError, MemoryError: Python cannot write the assert back as source.
    """
    check = ast.unparse(node)
    match node.test:
        case ast.Compare(left=ast.Call() as call, ops=[ast.Eq() | ast.Is()], comparators=[expected]):
            return Case(check, trusted, ast.unparse(call), ast.unparse(expected))
        case ast.Call() as call if isinstance(call.func, ast.Name) and call.func.id not in NOT_ENTRIES:
            return Case(check, trusted, ast.unparse(call), "True")
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call() as call):
            return Case(check, trusted, ast.unparse(call), "False")
        case _:
            return Case(check, trusted)


def value_case(call: str, expected: str) -> Case:
    """A trusted case that wants `call` to give `expected`, both as source."""
    return Case(f"assert {call} == {expected}", True, call, expected)


def raising_case(call: str, exception: str, *, trusted: bool) -> Case:
    """A case that wants `call` to raise `exception`."""
    return Case(f"with pytest.raises({exception}):\n    {call}", trusted, call, None, exception)


def is_exception(name: str) -> bool:
    """Whether `name` is one of Python's own exceptions, so that a test can name it without an import."""
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _is_shallow(tree: ast.AST) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False
