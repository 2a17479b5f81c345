"""Which top-level statements of what a model wrote belong in a module.

Definitions stay, and whatever the state they use is made of; printing, reading input, asserting and calling the code
to show it go. What a statement needs is judged by the names in it: state reached in another way
(`globals()["x"] = 1`) is not seen.
"""

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from coder_agent.source_text import names_in, texts_of

SHOWING = {"print", "pprint", "input", "breakpoint", "exit", "quit", "_exit", "main", "parse_args"}
STREAMS = {"stdin", "stdout", "stderr"}
TESTING = {"pytest", "unittest", "doctest", "timeit"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
Import = ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Part:
    """A statement at module level."""

    node: ast.stmt
    text: str
    """As written, with the blank lines and comments above it."""
    names: tuple[str, ...]
    """What it binds."""
    uses: frozenset[str]
    changes: frozenset[str] = frozenset()
    """What it binds or alters."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The functions, classes and variables among its names."""
        is_defining = isinstance(self.node, Definition | ast.Assign | ast.AnnAssign | ast.If | ast.Try)
        return self.names if is_defining and not self.is_guard else ()

    @property
    def is_test(self) -> bool:
        """Whether it is a test function or a class of them."""
        named = isinstance(self.node, Definition) and self.node.name.startswith(("test_", "Test"))
        return named or (isinstance(self.node, Definition) and bool(self.uses & TESTING))

    @property
    def is_guard(self) -> bool:
        """Whether it is `if __name__ == "__main__":`."""
        return isinstance(self.node, ast.If) and any(
            isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(self.node.test)
        )

    @property
    def is_definition(self) -> bool:
        """Whether it defines or imports something for the program rather than for its tests."""
        if isinstance(self.node, ast.If | ast.Try):
            return self.is_guard or any(isinstance(part, Definition | Import) for part in _here(self.node))
        if isinstance(self.node, Import):
            return not _packages(self.node) <= TESTING
        return isinstance(self.node, Definition) and not self.is_test

    @property
    def is_for_the_compiler(self) -> bool:
        """Whether it is `from __future__ import ...`, which must come first."""
        return isinstance(self.node, ast.ImportFrom) and self.node.module == "__future__"

    @property
    def is_program(self) -> bool:
        """Whether it does something by itself, as prose that happens to parse does not."""
        match self.node:
            case ast.Expr(value=value):
                return isinstance(value, ast.Call)
            case ast.AnnAssign(value=value):
                return value is not None
        return not isinstance(self.node, ast.Pass | ast.Assert | Import)


def parts_of(source: str, tree: ast.Module, entry: str | None) -> list[Part]:
    """The statements of `tree`, which is that of `source`; calling `entry` is taken to change nothing."""
    parts = []
    for node, text in zip(tree.body, texts_of(source, tree.body), strict=True):
        names, uses = names_in(text.strip("\n"))
        grown = {_root(part.target) for part in _here(node) if isinstance(part, ast.AugAssign)}
        parts.append(Part(node, text, names, uses | grown))
    own = {part.node.name: part for part in parts if isinstance(part.node, Definition)}
    imported = {name for part in parts if isinstance(part.node, ast.Import) for name in part.names}
    return [
        replace(part, changes=frozenset(part.names) | (set(_changes(part.node, own, entry)) - imported))
        for part in parts
    ]


def belonging(parts: list[Part], entry: str | None) -> list[Part]:
    """The parts that make the module; all of them where they are a script; none where they are not a program."""
    if not any(
        (isinstance(part.node, Definition) and not part.is_test)
        or (entry in part.names and not isinstance(part.node, Import))
        for part in parts
    ):
        is_tests = entry is not None and any(part.is_test for part in parts)
        return parts if any(part.is_program for part in parts) and not is_tests else []
    own = {part.node.name for part in parts if isinstance(part.node, Definition)}
    parts = [part for part in parts if not (_starts_no_program(part, entry) or _imports_itself(part, own))]
    definitions = [part for part in parts if part.is_definition]
    live = reached({"__all__", entry or "__all__"}.union(*(part.uses.union(part.names) for part in definitions)), parts)
    lost: set[str] = set()
    kept = []
    for part in parts:
        is_aside = not part.is_definition and (_is_aside(part) or _calls(part.node, {*own, entry}))
        if part.changes & live or not (is_aside or (part.uses & lost and not part.is_definition)):
            kept.append(part)
            lost.difference_update(part.names)
        else:
            lost.update(part.names)
    return kept


def reached(names: Collection[str], parts: Iterable[Part]) -> set[str]:
    """`names` and what the parts that change them use, directly or through others."""
    uses: dict[str, set[str]] = {}
    for part in parts:
        for name in part.changes:
            uses.setdefault(name, set()).update(part.uses)
    found, todo = set(names), list(names)
    while todo:
        new = uses.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def _here(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what in it runs when it does: nothing of functions and classes."""
    todo = [node]
    while todo:
        part = todo.pop()
        yield part
        if not isinstance(part, Definition | ast.Lambda):
            todo += ast.iter_child_nodes(part)


def _changes(node: ast.stmt, own: Mapping[str, Part], entry: str | None) -> Iterator[str]:
    """What is altered by storing into it, or by a call whose value nobody takes."""
    for part in _here(node):
        match part:
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                yield _root(part)
            case ast.Expr(value=value) if not _shows(value):
                for call in _here(value):
                    if isinstance(call, ast.Call) and _root(call.func) != entry:
                        yield from (name.id for name in call.args if isinstance(name, ast.Name))
                        yield from _changed_inside(own[_root(call.func)]) if _root(call.func) in own else ()
                        if isinstance(call.func, ast.Attribute):
                            yield _root(call.func)


def _changed_inside(function: Part) -> Iterator[str]:
    """The global names that calling `function` may alter."""
    for part in ast.walk(function.node):
        match part:
            case ast.Global(names=names):
                yield from names
            case ast.Attribute() | ast.Subscript(ctx=ast.Store() | ast.Del()):
                yield from {_root(part)} & function.uses


def _is_aside(part: Part) -> bool:
    """Whether it prints, reads, asserts, tests or does nothing."""
    match part.node:
        case ast.AnnAssign(value=None):
            return True
        case ast.Expr(value=ast.Constant(value=str())):
            return False
        case ast.Expr(value=value) if not any(isinstance(inner, ast.Call) for inner in _here(value)):
            return True
    return part.is_test or isinstance(part.node, Import) or _shows(part.node)


def _shows(node: ast.AST) -> bool:
    """Whether it prints, reads, asserts or tests."""
    for part in _here(node):
        match part:
            case ast.Assert() | ast.Call(func=ast.Name(id="open"), args=[ast.Constant(value=0), *_]):
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in STREAMS:
                return True
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in SHOWING:
                return True
    return False


def _calls(node: ast.AST, functions: Collection[str | None]) -> bool:
    """Whether it calls one of `functions`, a method of it, or has `map` or `filter` call it."""
    return any(
        _root(callee) in functions
        for call in _here(node)
        if isinstance(call, ast.Call)
        for callee in (call.func, *(call.args[:1] if _root(call.func) in {"map", "filter"} else ()))
    )


def _starts_no_program(part: Part, entry: str | None) -> bool:
    """Whether it is a guard that only shows the module: a program's calls its main."""
    return part.is_guard and entry not in {None, "main"} and not _calls(part.node, {"main"})


def _imports_itself(part: Part, own: set[str]) -> bool:
    return isinstance(part.node, ast.ImportFrom) and own.issuperset(part.names)


def _packages(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.split(".")[0] for name in names}


def _root(node: ast.AST) -> str:
    """`a` of `a`, `a.b`, `a[0].b`; empty where a call or a literal is at the root."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
