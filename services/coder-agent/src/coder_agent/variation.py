"""Inputs nobody wrote: the arguments of known calls, varied by type.

Candidates that agree on every example may still be different programs. Where they part on a varied input, at most one
of them is right (S*, arXiv 2502.14382, asks a model for such inputs; varying the known ones costs no token).
"""

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coder_agent.cases import parsed_expression

MOST_CALLS = 12


def varied_calls(calls: Iterable[str]) -> list[str]:
    """Calls like `calls` with one argument changed, at most MOST_CALLS, spread over all of them."""
    rounds = [_variants(call) for call in calls]
    longest = max(map(len, rounds), default=0)
    mixed = [variants[index] for index in range(longest) for variants in rounds if index < len(variants)]
    return list(dict.fromkeys(mixed))[:MOST_CALLS]


def comparison_file(modules: Mapping[int, str], calls: Sequence[str]) -> str:
    """A pytest file where `test_same__I__J` passes when the modules of candidates I and J do the same on every call."""
    pairs = [(first, second) for first in modules for second in modules if first < second]
    tests = [
        f"def test_same__{i}__{j}():\n    assert outcomes({modules[i]!r}) == outcomes({modules[j]!r})" for i, j in pairs
    ]
    return "\n\n\n".join([f"{OUTCOME}\n\n\nCALLS = {list(calls)!r}", *tests]) + "\n"


OUTCOME = """
import importlib
import itertools


def outcome(module, call):
    try:
        value = eval(call, dict(vars(importlib.import_module(module))))
        if hasattr(value, "__next__"):
            value = list(itertools.islice(value, 1000))
    except Exception as error:
        return "raises", type(error).__name__
    return type(value).__name__, value


def outcomes(module):
    return [outcome(module, call) for call in CALLS]
""".strip()
"""Runs in the sandbox."""


def _variants(call: str) -> list[str]:
    try:
        node = parsed_expression(call)
        if not isinstance(node, ast.Call) or node.keywords:
            return []
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
