"""Where a module can be changed: pieces of its functions and classes, without what no test sees or every test sees."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from coder_agent.mutation_operators import others

UNTOUCHED = {"annotation", "returns", "decorator_list", "type_params", "bases", "exc", "cause", "msg", "format_spec"}
"""Fields of the syntax tree that no mutant changes: types, decorators, messages of errors, formats."""
NEVER_DELETED = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal),
    *(ast.Pass, ast.Break, ast.Continue),
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef)
PLACED = (ast.stmt, ast.expr, ast.arg, ast.keyword, ast.excepthandler, ast.pattern)


@dataclass(frozen=True)
class Site:
    """A place in the statement `index` of the module, and what could stand there instead."""

    index: int
    parent: ast.AST
    field: str
    position: int | None
    node: ast.AST
    other: ast.AST

    def put(self, node: ast.AST) -> None:
        """Set `node` there."""
        if self.position is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.position] = node


def sites_in(index: int, root: ast.AST) -> Iterator[Site]:
    """All changes inside a function or class."""
    spared = {id(node) for node in (*_loop_steps(root), *_first_bindings(root), *_ties(root))}
    counters = _counters(root)
    parents = [root]
    while parents:
        parent = parents.pop()
        for field, position, node in _children(parent):
            parents.append(node)
            if id(node) in spared:
                continue
            instead = [*others(node, counters), *([ast.Pass()] if _is_deletable(node, parent, position) else [])]
            yield from (Site(index, parent, field, position, node, other) for other in instead)


def _children(parent: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    """The parts that may be changed: no types, no messages of errors, no docstrings."""
    for field, value in ast.iter_fields(parent):
        if field in UNTOUCHED:
            continue
        many = isinstance(value, list)
        for position, node in enumerate(value if many else [value]):
            if isinstance(node, ast.AST) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                yield field, position if many else None, node


def _is_deletable(node: ast.AST, parent: ast.AST, position: int | None) -> bool:
    """Not where another mutant does the same: a function's last `return`, what is there for one statement alone."""
    match node:
        case ast.Return():
            return not (isinstance(parent, FUNCTIONS) and position == len(parent.body) - 1)
        case ast.AnnAssign(value=value):
            return value is not None
        case ast.If(body=[_], orelse=[]) | ast.For(body=[_], orelse=[]):
            return False
        case _:
            return isinstance(node, ast.stmt) and not isinstance(node, NEVER_DELETED)


def _first_bindings(root: ast.AST) -> Iterator[ast.AST]:
    """Assignments without which a name is not bound."""
    for scope in ast.walk(root):
        if not isinstance(scope, SCOPES):
            continue
        bound = {part.arg for part in ast.walk(scope) if isinstance(part, ast.arg)}
        assignments = [part for part in ast.walk(scope) if isinstance(part, ast.Assign | ast.AnnAssign)]
        for assignment in sorted(assignments, key=place_of):
            if names_bound(assignment) - bound:
                yield assignment
            bound |= names_bound(assignment)


def _loop_steps(root: ast.AST) -> Iterator[ast.AST]:
    """What ends a `while`: the operations on the names its condition reads, and `break` where that is the way out."""
    for loop in ast.walk(root):
        if not isinstance(loop, ast.While):
            continue
        for part in ast.walk(loop):
            if isinstance(part, ast.Assign | ast.AugAssign) and names_bound(part) & names_read(loop.test):
                yield part
                yield from (inner for inner in ast.walk(part) if isinstance(inner, ast.BinOp))
            elif isinstance(part, ast.Break) and isinstance(loop.test, ast.Constant):
                yield part


def _ties(root: ast.AST) -> Iterator[ast.AST]:
    """Comparisons that choose one of the two things they compare: of equal ones either will do."""
    for node in ast.walk(root):
        match node:
            case ast.IfExp(test=ast.Compare(left=left, comparators=[right]), body=one, orelse=other):
                pass
            case ast.If(
                test=ast.Compare(left=left, comparators=[right]),
                body=[ast.Assign(targets=[ast.Name() as one], value=other)],
                orelse=[],
            ):
                pass
            case _:
                continue
        if {written_back(left), written_back(right)} == {written_back(one), written_back(other)}:
            yield node.test


def _counters(root: ast.AST) -> set[str]:
    """Names that hold a whole number, as far as is seen from how they are used."""
    found = set()
    for node in ast.walk(root):
        match node:
            case (
                ast.For(target=ast.Name(name), iter=ast.Call(func=ast.Name("range")))
                | ast.comprehension(target=ast.Name(name), iter=ast.Call(func=ast.Name("range")))
                | ast.For(target=ast.Tuple([ast.Name(name), *_]), iter=ast.Call(func=ast.Name("enumerate")))
                | ast.comprehension(target=ast.Tuple([ast.Name(name), *_]), iter=ast.Call(func=ast.Name("enumerate")))
                | ast.BinOp(left=ast.Name(name), right=ast.Constant(int()))
                | ast.AugAssign(target=ast.Name(name), value=ast.Constant(int()))
            ):
                found.add(name)
    return found


def names_bound(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def names_read(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def written_back(node: ast.AST) -> str:
    """`node` as source; empty when it is too deep for Python, or a number too long."""
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError, MemoryError):
        return ""


def place_of(node: ast.AST) -> tuple[int, int]:
    """Line and column; of a node that has none, those of its first part."""
    placed = (part for part in ast.walk(node) if isinstance(part, PLACED))
    return next(((part.lineno, part.col_offset) for part in placed), (1, 0))
