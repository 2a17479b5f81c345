"""Calls whose meaning is all in the text: of the module's own functions, on values that are spelt out."""

import ast
import builtins

from coder_agent.reading.cases import called_name, is_literal, written

AROUND_CALL = frozenset(
    {"list", "sorted", "set", "tuple", "dict", "len", "sum", "max", "min", "abs", "round", "range", "str"}
)


def is_plain_call(node: ast.expr | None) -> bool:
    """Whether `node` calls a function of the module on literals or on such calls, or asks an object made so."""
    return _is_made_of_literals(node) and called_name((node and written(node)) or "") is not None


def _is_made_of_literals(node: ast.expr | None) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            is_usable = name in AROUND_CALL or not hasattr(builtins, name)
            return is_usable and _are_literals([*arguments, *(keyword.value for keyword in keywords)])
        case ast.Call(func=ast.Attribute(value=ast.Name(id="asyncio"), attr="run"), args=[inner], keywords=[]):
            return isinstance(inner, ast.Call) and _is_made_of_literals(inner)
        case ast.Call(func=ast.Attribute() as method, args=arguments, keywords=keywords):
            return _is_of_an_object(method) and _are_literals([*arguments, *(keyword.value for keyword in keywords)])
        case ast.Attribute():
            return _is_of_an_object(node)
        case _:
            return False


def _are_literals(values: list[ast.expr]) -> bool:
    return all(is_literal(value) or _is_made_of_literals(value) for value in values)


def _is_of_an_object(node: ast.Attribute) -> bool:
    """Whether it is an attribute of what a class gave, as in `Stack([1]).size`."""
    match node.value:
        case ast.Call(func=ast.Name() | ast.Attribute()) as call:
            return _is_made_of_literals(call)
        case _:
            return False
