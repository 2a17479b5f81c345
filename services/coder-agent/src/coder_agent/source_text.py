"""Python source as written: whether it compiles, what it names, and the text of each of its statements."""

import ast
import symtable
import warnings
from collections.abc import Iterable, Iterator


def compiled(source: str) -> ast.Module:
    """The syntax tree of `source`.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it does not compile.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
        compile(tree, "<candidate>", "exec")
    return tree


def parse(source: str) -> ast.Module | None:
    """The syntax tree of `source`, or None when it does not compile."""
    try:
        return compiled(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


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
