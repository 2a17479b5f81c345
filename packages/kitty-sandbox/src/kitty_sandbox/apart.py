"""Whether tests can run apart from the program they test, and what each side is given. Pure.

Apart means: only plain data crosses (see `guest.split`). Most of what does not fit is found out while it runs; here is
what would not be noticed then, because it would fail instead: output that is captured, a module that is patched.
"""

import ast
import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kitty_sandbox.expectations import parse
from kitty_sandbox.port import SandboxRun

_ONE_PROCESS_FIXTURES = {
    "capfd", "capfdbinary", "caplog", "capsys", "capsysbinary", "capteesys", "mocker", "monkeypatch", "recwarn",
}  # fmt: skip
_ONE_PROCESS_NAMES = {
    "MagicMock", "Mock", "deprecated_call", "gc", "inspect", "mock", "patch", "redirect_stderr", "redirect_stdout",
    "setrecursionlimit", "stdin", "stdout", "stderr", "sys", "tracemalloc", "warns", "weakref",
}  # fmt: skip


@dataclass(frozen=True)
class Sides:
    """What the program's process and the tests' process are given."""

    program: Mapping[str, str | bytes]
    tests: Mapping[str, str | bytes]
    modules: tuple[str, ...]
    """Top-level names that the tests find on the other side."""
    used: tuple[str, ...]
    """Names that the tests use without saying where they come from."""


def why_together(run: SandboxRun) -> str | None:
    """Why the tests of `run` need the program in their own process, as far as their text tells; None: try it apart."""
    if run.profile != "pure":
        return "the profile is not pure"
    for test in run.tests:
        nodes = list(ast.walk(parse(run.files[test])))
        arguments = {argument.arg for node in nodes if isinstance(node, ast.arguments) for argument in node.args}
        if found := arguments & _ONE_PROCESS_FIXTURES:
            return f"the tests use {min(found)}"
        names = {name for node in nodes for name in _names(node)}
        if found := names & _ONE_PROCESS_NAMES:
            return f"the tests use {min(found)}"
    return None


def take_apart(run: SandboxRun) -> Sides:
    """The files of each side: test files and their folders on one, other Python files on the other, data on both."""
    folders = {test.partition("/")[0] for test in run.tests if "/" in test}

    def is_of_the_tests(path: str) -> bool:
        return path in run.tests or path.partition("/")[0] in folders

    program = {path: content for path, content in run.files.items() if not is_of_the_tests(path)}
    code = {path for path in program if path.endswith(".py")}
    tests = {path: content for path, content in run.files.items() if path not in code}
    modules = sorted({path.partition("/")[0].removesuffix(".py") for path in code})
    used = {name for test in run.tests for name in _of_unknown_origin(parse(run.files[test]))}
    return Sides(program, tests, tuple(modules), tuple(sorted(used)))


def _names(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.name.rpartition(".")[2]


def _of_unknown_origin(tree: ast.Module) -> set[str]:
    """Names that a test file with a star import uses and that are neither bound in it nor builtin."""
    nodes = list(ast.walk(tree))
    if not any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in nodes):
        return set()
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.asname or node.name.partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    loaded = {node.id for node in nodes if isinstance(node, ast.Name)}
    return loaded - bound - set(dir(builtins))
