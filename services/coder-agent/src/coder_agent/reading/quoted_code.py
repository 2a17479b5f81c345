"""Examples that a request gives as Python: asserts, and doctests (`>>>`).

Both are read as a script. A check carries along exactly the earlier lines that it needs (`s = Stack()`, `s.push(3)`),
earlier checks that may have changed what it looks at included, and counts only when it is then self-contained.
"""

import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from coder_agent.reading.cases import (
    TEST_WORDS,
    Case,
    bound_names,
    called_name,
    case_from_assert,
    is_exception,
    parsed,
    raising_case,
    written,
)
from coder_agent.reading.literals import TOKEN, literal_prefix
from coder_agent.reading.relations import reports_fault
from coder_agent.reading.shown_values import with_shown_values

MOST_CHECKS = 150
MOST_SET_UP = 30
"""Earlier statements that one check may need."""
MOST_LINES = 40
"""Lines of one statement."""
ASSERT_LINE = re.compile(r"[ \t>`*+-]*(?:\d+[.)][ \t]*)?`?(?=assert\b)")
PROMPT = re.compile(r"([ \t>*-]*?)>>>(?:[ ](.*)|\s*)$")
BLOCK = re.compile(r"(?:for|while|if|with|def|class|try|async)\b.*:\s*(?:#.*)?$")


@dataclass(frozen=True)
class Step:
    """One statement, and for a doctest what it shows (None: nothing) and how it is spelt."""

    node: ast.stmt
    want: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Earlier:
    """A statement that later ones may need, the names it binds, and all names in it."""

    node: ast.stmt
    bound: frozenset[str]
    touched: frozenset[str]


def quoted_asserts(request: str) -> Iterator[Case]:
    """The asserts of `request`, each with the lines it needs."""
    lines = request.split("\n")
    if not reports_fault(request):
        lines = list(with_shown_values(lines))
    if any("assert" in line or "raises(" in line for line in lines):
        for run in _runs(lines):
            yield from _cases(Step(node) for node in run)


def quoted_doctests(request: str) -> Iterator[Case]:
    """The doctests of `request`, each with the lines it needs; none of a report that code goes wrong."""
    if ">>>" in request and not reports_fault(request):
        yield from _cases(_doctest_steps(re.sub(r"(?<=[^\s>])[ \t]*>>>", "\n>>>", request).split("\n")))


def _cases(steps: Iterable[Step]) -> Iterator[Case]:
    before: list[Earlier] = []
    checks = 0
    for step in steps:
        node, case = step.node, _case(step)
        if case is None:
            before += [_earlier(node)] if _is_set_up(node) else []
            continue
        needed = _needed(node, before)
        whole = _self_contained(case, needed) if len(needed) <= MOST_SET_UP else None
        if whole is not None:
            yield whole
        checks += 1
        if checks >= MOST_CHECKS:
            return
        if needed:
            before += map(_earlier, _body(case.check) if case.raises else [node])


def _case(step: Step) -> Case | None:
    """The check that `step` is; None when it is a line like others."""
    node = step.node
    try:
        match node:
            case ast.Assert():
                return case_from_assert(node, trusted=True)
            case ast.With(items=[ast.withitem(ast.Call(args=[ast.Name(id=name)]) as manager)], body=[body]):
                is_raises = ast.unparse(manager.func) in {"pytest.raises", "raises"} and is_exception(name)
                return raising_case(ast.unparse(body), name, trusted=True) if is_raises else None
            case ast.Expr(value=value) if step.want:
                return _shown(value, step.source, step.want)
    except (ValueError, RecursionError, MemoryError):
        return None
    return None


def _shown(value: ast.expr, source: str, want: str) -> Case | None:
    if called_name(source) is None and "." not in source:
        return None
    if "print(" in source:
        return None
    if want.startswith("Traceback"):
        exception = want.split("\n")[-1].split(":")[0].strip()
        return raising_case(source, exception, trusted=True) if is_exception(exception) else None
    expected = literal_prefix(want)
    if expected is None or expected != want or isinstance(value, ast.Compare | ast.BoolOp | ast.Lambda | ast.IfExp):
        return None
    return Case(f"assert {source} == {expected}", True, source, expected)


def _is_set_up(node: ast.stmt) -> bool:
    """Whether later lines may need `node`. The module under test is imported by the test file, not by the example."""
    match node:
        case ast.Import(names=names):
            return all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in names)
        case ast.ImportFrom(module=module):
            return (module or "").split(".")[0] in sys.stdlib_module_names
        case ast.Expr(value=value):
            return not isinstance(value, ast.Constant | ast.Name | ast.Compare)
        case ast.Return():
            return False
        case _:
            return True


def _earlier(node: ast.stmt) -> Earlier:
    bound = frozenset(bound_names(node))
    return Earlier(node, bound, bound | _used(node))


def _needed(node: ast.stmt, before: Sequence[Earlier]) -> list[ast.stmt]:
    """The statements of `before` that have to do with a name that `node` uses."""
    bound = {name for earlier in before for name in earlier.bound}
    wanted = _used(node) & bound
    if any(isinstance(part, ast.Call) and not part.args and isinstance(part.func, ast.Name) for part in ast.walk(node)):
        wanted |= bound | {"()"}
    needed: list[ast.stmt] = []
    for earlier in reversed(before):
        if earlier.touched & wanted or ("()" in wanted and isinstance(earlier.node, ast.Expr)):
            wanted |= earlier.touched & bound
            needed.append(earlier.node)
            if len(needed) > MOST_SET_UP:
                break
    return needed[::-1]


def _self_contained(case: Case, needed: Sequence[ast.stmt]) -> Case | None:
    """`case` with what it needs before it; None when a name would still be missing."""
    sources = [written(statement) for statement in needed]
    check = "\n".join([*(source or "" for source in sources), case.check])
    tree = parsed(check)
    if tree is None or None in sources or _takes_test_words(tree):
        return None
    missing = _used(tree) - bound_names(tree) - _called(tree) - set(dir(builtins)) - {"pytest"}
    roots = {n.value.id for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    if not (called_name(check) and missing <= roots & sys.stdlib_module_names):
        return None
    imports = "".join(f"import {name}\n" for name in sorted(missing))
    return replace(case, check=imports + check, call=None if needed else case.call)


def _takes_test_words(tree: ast.AST) -> bool:
    """Whether it calls what only a test framework has, such as `approx`."""
    return bool(_called(tree) & TEST_WORDS)


def _used(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)}


def _called(tree: ast.AST) -> set[str]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def _body(source: str) -> list[ast.stmt]:
    """The statements of `source`; none where it cannot be read."""
    tree = parsed(source)
    return tree.body if tree else []


def _runs(lines: Sequence[str]) -> Iterator[list[ast.stmt]]:
    """The stretches of Python in `lines`; words between them end one. A test function is a stretch of its own."""
    depths = [_depth(line) for line in lines]
    run: list[ast.stmt] = []
    number = 0
    while number < len(lines):
        size = _statement_size(lines, depths, number)
        found = _statements(lines[number : number + size])
        if found is None:
            yield run
            run, size = [], 1
        for node in found or []:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_test(node):
                yield node.body
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                run.append(node)
        number += size
    yield run


def _is_test(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return node.name.startswith("test") and not node.args.args


def _depth(line: str) -> int:
    brackets = [token.group() for token in TOKEN.finditer(line)]
    return sum((bracket in "([{") - (bracket in ")]}") for bracket in brackets if len(bracket) == 1)


def _statement_size(lines: Sequence[str], depths: Sequence[int], first: int) -> int:
    """How many lines the statement at `first` has, by its open brackets or by what is indented below it."""
    last, depth = first, depths[first]
    while depth > 0 and last + 1 < len(lines) and last - first < MOST_LINES:
        last += 1
        depth += depths[last]
    if depth > 0:
        return 1
    line = lines[first]
    if last == first and BLOCK.match(line.strip()):
        indent = len(line) - len(line.lstrip())
        while last + 1 < len(lines) and last - first < MOST_LINES:
            following = lines[last + 1]
            if following.strip() and len(following) - len(following.lstrip()) <= indent:
                break
            last += 1
    return last - first + 1


def _statements(lines: Sequence[str]) -> list[ast.stmt] | None:
    """The statements on `lines`, or None when they are words."""
    marked = ASSERT_LINE.match(lines[0])
    if marked:
        lines = [lines[0][marked.end() :], *lines[1:]]
        text = re.sub(r"(?<=[^.])[.,;]$", "", "\n".join(lines).strip().rstrip("`").rstrip())
    else:
        text = textwrap.dedent("\n".join([lines[0].expandtabs(), *lines[1:]])).strip()
    tree = parsed(text)
    if tree is None:
        return None
    return None if any(_is_words(node) for node in tree.body) else tree.body


def _is_words(node: ast.stmt) -> bool:
    """ "Thanks", "Note: important" and "this, that" are Python too."""
    match node:
        case ast.Expr(value=ast.Name() | ast.Tuple()):
            return True
        case ast.AnnAssign(value=None):
            return True
        case _:
            return False


def _doctest_steps(lines: Sequence[str]) -> Iterator[Step]:
    """The statements after `>>>` and `...`, with the lines that follow up to a blank one as what they show."""
    number = 0
    while number < len(lines):
        prompt = PROMPT.match(lines[number])
        number += 1
        if prompt is None:
            continue
        margin = len(prompt.group(1))
        source = [prompt.group(2) or ""]
        while number < len(lines) and re.match(r"\.\.\.(?: |$)", lines[number][margin:]):
            source.append(lines[number][margin + 4 :])
            number += 1
        want: list[str] = []
        while number < len(lines) and not re.match(r"[ \t>*-]*(?:$|>>>|```|'''|\"\"\")", lines[number]):
            want.append(lines[number][margin:].rstrip())
            number += 1
        text = "\n".join(source)
        tree = parsed(text)
        if tree is None or "doctest:" in source[0]:
            return
        *first, last = tree.body or [ast.Pass()]
        yield from map(Step, first)
        yield Step(last, "\n".join(want).strip() or None, ast.get_source_segment(text, last) or "")
