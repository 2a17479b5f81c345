"""Definitions that a request brings along: a stub to fill in, or code that is already there."""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coder_agent.reading.cases import parsed
from coder_agent.reading.literals import Scanner

MOST_DEFINITIONS = 50
HEAD = re.compile(r"^([ \t>]*)(?:async[ \t]+)?(def|class)[ \t]+([A-Za-z_]\w*)(\()?", re.MULTILINE)
LEFT_OPEN = re.compile(
    r"#\s*(?:your\s+code|todo|fill|implement|write)|\b(?:pass|NotImplementedError)\b|\.\.\.", re.IGNORECASE
)


@dataclass(frozen=True)
class Given:
    """One function or class, and whether its body is left open."""

    name: str
    is_class: bool
    is_stub: bool
    start: int
    end: int
    """Where it stands in the request."""


def given_definitions(request: str) -> tuple[Given, ...]:
    """The outermost functions and classes that `request` spells out, in their order; tests of it are none."""
    return tuple(given for given in _definitions(request) if not given.name.lower().startswith("test"))


def without_finished(request: str, given: Sequence[Given]) -> str:
    """`request` with the definitions that are no stubs left out."""
    for definition in reversed(given):
        if not definition.is_stub:
            request = request[: definition.start] + request[definition.end :]
    return request


def _definitions(request: str) -> Iterator[Given]:
    scanner, position = Scanner(request), 0
    for _ in range(MOST_DEFINITIONS):
        head = HEAD.search(request, position)
        if head is None:
            return
        header_end = (scanner.end(head.end() - 1) if head.group(4) else None) or head.end()
        position = _block_end(request, header_end, len(head.group(1)))
        source = request[head.start() : position]
        yield Given(head.group(3), head.group(2) == "class", _is_left_open(source), head.start(), position)


def _block_end(request: str, start: int, indent: int) -> int:
    """The position after the last line that is indented below a header which ends at `start`."""
    end = request.find("\n", start) + 1 or len(request)
    while end < len(request):
        line_end = request.find("\n", end) + 1 or len(request)
        line = request[end:line_end]
        if line.strip() and len(line) - len(line.lstrip(" \t>")) <= indent:
            break
        end = line_end
    return end


def _is_left_open(source: str) -> bool:
    tree = parsed(textwrap.dedent(source).strip())
    if tree is None or not tree.body:
        return len(source.strip().split("\n")) < 2 or LEFT_OPEN.search(source) is not None
    return _is_stub(tree.body[0])


def _is_stub(node: ast.stmt) -> bool:
    match node:
        case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body):
            return all(_says_nothing(statement) for statement in body)
        case _:
            return False


def _says_nothing(node: ast.stmt) -> bool:
    """A docstring, `...`, `pass` or `raise NotImplementedError`."""
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.Name(id=name)) | ast.Raise(exc=ast.Call(func=ast.Name(id=name))):
            return name == "NotImplementedError"
        case _:
            return False
