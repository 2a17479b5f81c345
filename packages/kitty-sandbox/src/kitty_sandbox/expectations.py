"""Which tests must report, read from the text of the test files and never from the process that runs them.

Found: `test*` functions, `test*` methods of `Test*` classes and of `unittest` cases, nested or inherited.
Definitions below `if`, `try`, `with` or a loop may be collected but need not be. Tests made at run time are not known
here and therefore fail the run as unexpected.
"""

import ast
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kitty_sandbox.port import CaseResult, SandboxRun

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MAX_DEPTH = 20


@dataclass(frozen=True)
class Expectations:
    """Names without parameters: `test_solution.py::TestAdd::test_zero`."""

    required: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    """The required names and those that are only defined under a condition."""
    broken: tuple[CaseResult, ...] = ()
    """Test files that are not valid Python."""


@dataclass
class _Names:
    required: set[str] = field(default_factory=set)
    optional: set[str] = field(default_factory=set)


def expect(run: SandboxRun) -> Expectations:
    required: set[str] = set()
    optional: set[str] = set()
    broken: list[CaseResult] = []
    for test in run.tests:
        try:
            tree = parse(run.files[test])
            found = _names_of(tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            message = f"{type(error).__name__}: {error}"
            broken.append(CaseResult(test, "error", message[:2000], type(error).__name__))
            continue
        required |= {f"{test}::{name}" for name in found.required}
        optional |= {f"{test}::{name}" for name in found.optional}
    return Expectations(frozenset(required), frozenset(required | optional), tuple(broken))


def parse(source: str | bytes) -> ast.Module:
    """The tree of `source`. Raises what `ast.parse` raises.

    In CPython 3.11 one thread's parsing can break off another's with a SystemError; trying again helps.
    """
    for _ in range(4):
        with contextlib.suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def base_name(node_id: str) -> str:
    """Without the parameters: `test_x[a-1]` -> `test_x`."""
    return node_id.partition("[")[0]


def _names_of(tree: ast.Module) -> _Names:
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    names = _Names()
    _collect(tree.body, "", classes, names.required, names, 0)
    names.optional -= names.required
    return names


def _collect(
    body: Iterable[ast.stmt],
    prefix: str,
    classes: Mapping[str, ast.ClassDef],
    into: set[str],
    names: _Names,
    depth: int,
) -> None:
    if depth > _MAX_DEPTH:
        raise RecursionError("the test file is nested too deeply")
    for node in body:
        if isinstance(node, _Function):
            if node.name.startswith("test") and not _is_fixture(node):
                into.add(prefix + node.name)
        elif isinstance(node, ast.ClassDef):
            _collect_class(node, prefix, classes, into, names, depth)
        else:
            for block in _blocks(node):
                _collect(block, prefix, classes, names.optional, names, depth + 1)


def _collect_class(
    node: ast.ClassDef, prefix: str, classes: Mapping[str, ast.ClassDef], into: set[str], names: _Names, depth: int
) -> None:
    family = _family(node, classes)
    is_case = any(name.endswith("TestCase") for member in family for name in map(_last_name, member.bases))
    if not is_case and (not node.name.startswith("Test") or any(map(_defines_init, family))):
        return
    if any(map(_opts_out, family)):
        return
    for member in family:
        _collect(member.body, f"{prefix}{node.name}::", classes, into, names, depth + 1)


def _family(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """The class and those of its ancestors that are written in the same file."""
    family = [node]
    for member in family:
        for name in map(_last_name, member.bases):
            base = classes.get(name)
            if base is not None and base not in family:
                family.append(base)
    return family


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_fixture(node: _Function) -> bool:
    decorators = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return any(_last_name(item) == "fixture" for item in decorators)


def _defines_init(node: ast.ClassDef) -> bool:
    return any(isinstance(item, _Function) and item.name in {"__init__", "__new__"} for item in node.body)


def _opts_out(node: ast.ClassDef) -> bool:
    """`__test__ = False` in the class body."""
    return any(
        isinstance(item, ast.Assign)
        and isinstance(item.value, ast.Constant)
        and not item.value.value
        and "__test__" in {_last_name(target) for target in item.targets}
        for item in node.body
    )


def _blocks(node: ast.stmt) -> Iterable[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block
    for handler in getattr(node, "handlers", []):
        yield handler.body
