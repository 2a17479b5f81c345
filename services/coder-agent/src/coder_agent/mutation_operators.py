"""What could stand in the place of a piece of code: the operators of `mutants`, which gives their source."""

import ast
import copy
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
BOUNDARIES = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
"""The comparisons that are not negated by what replaces them."""
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.FloorDiv,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


def others(node: ast.AST, counters: Collection[str]) -> Iterator[ast.AST]:
    """What could stand in the place of `node`."""
    match node:
        case ast.Compare(ops=operators):
            for place, operator in enumerate(operators):
                changed = [*operators[:place], COMPARISONS[type(operator)](), *operators[place + 1 :]]
                yield _with(node, ops=changed)
        case ast.Subscript(slice=part):
            yield from (_with(node, slice=other) for other in _shifted(part, counters))
        case ast.BinOp(left=left, right=right) if not (_is_text(left) or _is_text(right)):
            yield from _recomputed(node)
        case ast.AugAssign(value=value) if not _is_text(value):
            yield from _recomputed(node)
        case _:
            yield from _other_values(node)
            yield from _other_flow(node)


def _other_values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=value):
            yield from (ast.Constant(other) for other in _other_constants(value))
        case ast.BoolOp(op=operator):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield ast.Name(NAMES[name], ast.Load())
        case ast.Call(func=ast.Name("sorted") | ast.Attribute(attr="sort"), keywords=keywords):
            yield from _reversed(node, keywords)


def _other_flow(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if _is_worth_negating(test):
            yield _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.comprehension(ifs=[test]) if _is_worth_negating(test):
            yield _with(node, ifs=[ast.UnaryOp(ast.Not(), test)])
        case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value) if not _is_none(value):
            yield _with(node, value=ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _other_constants(value: object) -> Iterator[int | float | str | bytes]:
    match value:
        case bool():
            yield not value
        case int() | float():
            yield value + 1
        case "" | b"":
            yield "x" if value == "" else b"x"
        case str():
            yield value[:-1] + chr((ord(value[-1]) + 1) % 0xD800)
        case bytes():
            yield value[:-1] + bytes([(value[-1] + 1) % 256])


def _recomputed(node: ast.BinOp | ast.AugAssign) -> Iterator[ast.AST]:
    if type(node.op) in ARITHMETIC:
        yield _with(node, op=ARITHMETIC[type(node.op)]())


def _reversed(call: ast.AST, keywords: list[ast.keyword]) -> Iterator[ast.AST]:
    """Sorted the other way round; a constant `reverse` is changed as a constant."""
    given = [part for part in keywords if part.arg == "reverse"]
    if not given:
        yield _with(call, keywords=[*keywords, ast.keyword("reverse", ast.Constant(True))])
    elif not isinstance(given[0].value, ast.Constant):
        other = ast.keyword("reverse", ast.UnaryOp(ast.Not(), given[0].value))
        yield _with(call, keywords=[other if part is given[0] else part for part in keywords])


def _shifted(part: ast.expr, counters: Collection[str]) -> Iterator[ast.expr]:
    """An index or a slice with one bound less by 1; constant ones are changed as constants."""
    match part:
        case ast.Name(id=name) if name in counters:
            yield _less(part)
        case ast.Slice(lower=lower, upper=upper):
            for name, bound in (("lower", lower), ("upper", upper)):
                if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
                    yield _with(part, **{name: _less(bound)})


def _less(bound: ast.expr) -> ast.expr:
    return ast.BinOp(bound, ast.Sub(), ast.Constant(1))


def _is_worth_negating(test: ast.expr) -> bool:
    """Not where another mutant does the same."""
    match test:
        case ast.Compare(ops=[operator]):
            return isinstance(operator, BOUNDARIES)
        case ast.Constant() | ast.UnaryOp(op=ast.Not()):
            return False
        case _:
            return True


def _is_text(node: ast.expr) -> bool:
    """Whether it is a text or a list, for which `+`, `*` and `%` are no arithmetic."""
    while isinstance(node, ast.BinOp):
        node = node.left
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    return is_text or isinstance(node, ast.JoinedStr | ast.List | ast.ListComp | ast.Tuple)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _with(node: Node, **fields: Any) -> Node:
    """`node` with other fields; the parts that stay are shared, as nothing but writing it is done with it."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
