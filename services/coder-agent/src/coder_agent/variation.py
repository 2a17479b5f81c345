"""Inputs nobody wrote: the arguments of known calls, varied by type.

Candidates that agree on every example may still be different programs. Where they part on a varied input, at most one
of them is right (S*, arXiv 2502.14382, asks a model for such inputs; varying the known ones costs no token).
"""

import ast
from collections.abc import Iterable
from typing import Any

from coder_agent.reading.cases import parsed_expression

MOST_CALLS = 12
WRAPPERS = {"list", "asyncio.run"}
"""What stands around the call of a generator or a coroutine; the call inside is varied."""


def varied_calls(calls: Iterable[str]) -> list[str]:
    """Calls like `calls` with one argument changed, at most MOST_CALLS, spread over all of them."""
    rounds = [_variants(call) for call in calls]
    longest = max(map(len, rounds), default=0)
    mixed = [variants[index] for index in range(longest) for variants in rounds if index < len(variants)]
    return list(dict.fromkeys(mixed))[:MOST_CALLS]


def _variants(call: str) -> list[str]:
    try:
        node = parsed_expression(call)
        if not isinstance(node, ast.Call) or node.keywords:
            return []
        if ast.unparse(node.func) in WRAPPERS and len(node.args) == 1 and isinstance(node.args[0], ast.Call):
            return [f"{ast.unparse(node.func)}({inner})" for inner in _variants(ast.unparse(node.args[0]))]
        values = [ast.literal_eval(argument) for argument in node.args]
        name = ast.unparse(node.func)
        changed = [
            [*values[:position], other, *values[position + 1 :]]
            for position, value in enumerate(values)
            for other in _others(value)
        ]
        return [f"{name}({', '.join(map(repr, arguments))})" for arguments in changed]
    except (ValueError, TypeError, RecursionError, MemoryError):
        return []


def _others(value: Any) -> list[Any]:
    match value:
        case bool() | None:
            return []
        case int() | float():
            # 1 is where a start or an end is missed; 0 and below are often outside of what a request is about.
            return [other for other in (value + 1, 1, value * 2) if other != value]
        case str() if value:
            return [value.swapcase(), f"{value} {value}", value.title(), value[::-1]]
        case list() | tuple() if value:
            return [value[::-1], value * 2, value[1:]]
        case dict() if value:
            return [dict(list(value.items())[1:])]
        case _:
            return []
