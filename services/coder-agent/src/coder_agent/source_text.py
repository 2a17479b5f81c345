"""Python source as written: whether it compiles, what it names, and the text of each of its statements."""

import ast
import re
import symtable
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

BYTE_ORDER_MARK = "\ufeff"
LONGEST_PARSED = 20_000
"""Characters that are parsed to find imports: parsing holds Python's lock, so it must be brief."""
MOST_IMPORTS = 500
PARSED_AGAIN = 10
IMPORT_LINE = re.compile(
    r"^(?:import[ \t]+\w[\w., \t]*|from[ \t]+[\w.]+[ \t]+import[ \t]+(?:\w[\w., \t]*|\([^()]*\)[ \t]*))(?:#.*)?\r?$",
    re.MULTILINE,
)

AT_MARGIN = re.compile(r"^(?=\S)", re.MULTILINE)
"""Where a statement may begin."""


def tree_of(source: str) -> ast.Module:
    """The syntax tree of `source`, as `ast.parse`, which in Python 3.11 may fail when two threads parse at once.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it has none.
    """
    for _ in range(PARSED_AGAIN):
        with suppress(SystemError):  # "AST constructor recursion depth mismatch": the threads share a counter
            return ast.parse(source)
    return ast.parse(source)


def compiled(source: str) -> ast.Module:
    """The syntax tree of `source`.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it does not compile.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = tree_of(source)
        compile(tree, "<candidate>", "exec")
    return tree


def parse(source: str) -> ast.Module | None:
    """The syntax tree of `source`, or None when it does not compile."""
    try:
        return compiled(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def without_last_statement(text: str) -> str:
    """`text` up to the last line at the left margin: what is whole of code that was cut off."""
    return "".join(AT_MARGIN.split(text)[:-1])


def imports_in(source: str) -> Mapping[str, tuple[str, ...]]:
    """The modules that `source` imports, each with the names taken from it; none where it cannot be read.

    Of a long source only the import lines at its left margin count.
    """
    source = source.removeprefix(BYTE_ORDER_MARK)
    parts = [source]
    if len(source) > LONGEST_PARSED:
        parts = [line for line in IMPORT_LINE.findall(source)[:MOST_IMPORTS] if len(line) <= LONGEST_PARSED]
    found: dict[str, tuple[str, ...]] = {}
    for node in (node for part in parts for node in _nodes(part)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = (alias.name for alias in node.names if alias.name != "*")
            found[node.module] = (*found.get(node.module, ()), *names)
        elif isinstance(node, ast.Import):
            found |= {alias.name: found.get(alias.name, ()) for alias in node.names}
    return found


def _nodes(source: str) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(tree_of(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return


def names_in(statement: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """The global names that a statement binds, in order, and those that it or a function inside it uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        top = symtable.symtable(statement, "<candidate>", "exec")
    bound = tuple(s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported())
    used = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    inner = top.get_children()
    while inner:
        table = inner.pop()
        used.update(s.get_name() for s in table.get_symbols() if s.is_global())
        inner += table.get_children()
    return bound, frozenset(used)


def texts_of(source: str, nodes: Iterable[ast.stmt]) -> Iterator[str]:
    """Each statement as written, with the blank lines and the comments right above it."""
    lines = source.split("\n")
    last_end = 0
    for node in nodes:
        first = min([node.lineno, *(part.lineno for part in getattr(node, "decorator_list", []))]) - 1
        end = node.end_lineno or node.lineno
        start = first
        while start > last_end and lines[start - 1].startswith("#"):
            start -= 1
        blank = 0
        while start - blank > last_end and not lines[start - blank - 1].strip():
            blank += 1
        own = _text_of(lines[first:end], node, is_decorated=first < node.lineno - 1)
        yield "\n".join([*[""] * blank, *lines[start:first], own])
        last_end = end


def _text_of(lines: list[str], node: ast.stmt, *, is_decorated: bool) -> str:
    """The statement without what else is on its lines; a comment behind it stays."""
    end = _column(lines[-1], node.end_col_offset or 0)
    is_commented = lines[-1][end : end + 200].lstrip().startswith("#")
    lines[-1] = lines[-1].rstrip() if is_commented else lines[-1][:end]
    if not is_decorated:
        lines[0] = lines[0][_column(lines[0], node.col_offset) :]
    return "\n".join(lines)


def _column(line: str, offset: int) -> int:
    """Where in `line` the syntax tree's `offset`, which counts bytes, is."""
    return offset if line.isascii() else len(line.encode()[:offset].decode())
