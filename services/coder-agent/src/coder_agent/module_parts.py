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
        is_declared = isinstance(self.node, ast.AnnAssign) and self.node.value is None
        is_defining = isinstance(self.node, Definition | ast.Assign | ast.AnnAssign | ast.If | ast.Try)
        return self.names if is_defining and not is_declared and not self.is_guard else ()

    @property
    def is_test(self) -> bool:
        """Whether it is a test function or a class of them."""
        match self.node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                return name.startswith("test_") or "pytest" in {_root(part) for part in self.node.decorator_list}
            case ast.ClassDef(name=name, bases=bases, body=body):
                is_case = name.startswith("Test") or any(_dotted(base).endswith("TestCase") for base in bases)
                return is_case and any(isinstance(part, Function) and part.name.startswith("test") for part in body)
        return False

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
        parts.append(Part(node, text, names, uses | set(_rebound(node))))
    own = _own(parts)
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
    own = _own(parts)
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
    return _closure(names, uses)


def _closure(names: Iterable[str], following: Mapping[str, Iterable[str]]) -> set[str]:
    found, todo = set(names), list(names)
    while todo:
        new = set(following.get(todo.pop(), ())) - found
        found |= new
        todo += new
    return found


def _own(parts: Iterable[Part]) -> dict[str, Part]:
    """The functions and classes of the module by name, those in `if` and `try` and lambdas with a name included."""
    return {
        name: part
        for part in parts
        if any(isinstance(inner, Definition) for inner in _here(part.node))
        or (isinstance(part.node, ast.Assign) and isinstance(part.node.value, ast.Lambda))
        for name in part.names
    }


def _here(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what in it runs when it does: nothing of functions and classes."""
    todo = [node]
    while todo:
        part = todo.pop()
        yield part
        if not isinstance(part, Definition | ast.Lambda):
            todo += ast.iter_child_nodes(part)


def _rebound(node: ast.stmt) -> Iterator[str]:
    """The names that have to be bound before, for it adds to them or deletes them."""
    for part in _here(node):
        match part:
            case ast.AugAssign(target=ast.Name(id=name)) | ast.Name(id=name, ctx=ast.Del()):
                yield name


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
                        yield from _changed_inside(_dotted(call.func), own)
                        if isinstance(call.func, ast.Attribute):
                            yield _root(call.func)


def _changed_inside(callee: str, own: Mapping[str, Part]) -> Iterator[str]:
    """The global names that a function of the module, or those that it uses, may alter."""
    for name in _closure({callee} & own.keys(), {name: part.uses & own.keys() for name, part in own.items()}):
        for part in ast.walk(own[name].node):
            match part:
                case ast.Global(names=names):
                    yield from names
                case (
                    ast.Attribute(ctx=ast.Store() | ast.Del())
                    | ast.Subscript(ctx=ast.Store() | ast.Del())
                    | ast.Call(func=ast.Attribute())
                ):
                    yield from {_root(part)} & own[name].uses


def _is_aside(part: Part) -> bool:
    """Whether it prints, reads, asserts, tests or does nothing."""
    match part.node:
        case ast.Pass() | ast.AnnAssign(value=None):
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
            case ast.Assert() | ast.Raise() | ast.Call(func=ast.Name(id="open"), args=[ast.Constant(value=0), *_]):
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in STREAMS:
                return True
            case ast.Call(func=func) if _dotted(func).split(".")[-1] in SHOWING or _root(func) in TESTING:
                return True
    return False


def _calls(node: ast.AST, functions: Collection[str | None]) -> bool:
    """Whether it calls one of `functions`, a method of it, or has `map` or `filter` call it."""
    return any(
        _root(callee) in functions
        for call in _here(node)
        if isinstance(call, ast.Call)
        for callee in (call.func, *(call.args[:1] if _dotted(call.func) in {"map", "filter"} else ()))
    )


def _starts_no_program(part: Part, entry: str | None) -> bool:
    """Whether it is a guard that only shows or tests the module: a program's calls its main."""
    calls = [inner.func for inner in ast.walk(part.node) if isinstance(inner, ast.Call)] if part.is_guard else []
    is_start = entry in {None, "main"} or any(_dotted(func) == "main" for func in calls)
    return part.is_guard and (not is_start or any(_root(func) in TESTING for func in calls))


def _imports_itself(part: Part, own: Mapping[str, Part]) -> bool:
    return isinstance(part.node, ast.ImportFrom) and own.keys() >= set(part.names)


def _packages(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.split(".")[0] for name in names}


def _root(node: ast.AST) -> str:
    """`a` of `a.b`, `a[0]`, `a(1)` ... and `a`."""
    return _dotted(node.func if isinstance(node, ast.Call) else node).split(".")[0]


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute, a subscript or a name; what a call or a literal begins with is empty."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        parts.append(node.attr if isinstance(node, ast.Attribute) else "[]")
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))
