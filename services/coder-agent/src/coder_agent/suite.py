"""The cases of a job: each named for what it checks, and written as a pytest file that a person can read."""

import ast
import itertools
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from coder_agent.reading.cases import called_names
from coder_agent.reading.examples import Case, called_name
from coder_agent.source_text import tree_of


@dataclass(frozen=True)
class Suite:
    """Named cases; names are unique and are the test functions' names without `test_`."""

    cases: tuple[tuple[str, Case], ...] = ()

    def ids(self, *, trusted: bool) -> list[str]:
        """The names of the trusted, or of the other cases; not of `properties`."""
        return [name for name, case in self.cases if case.trusted is trusted and not case.states]

    @property
    def properties(self) -> list[str]:
        """The names of the cases that check what the request says of every result."""
        return [name for name, case in self.cases if case.states]

    @property
    def telling(self) -> int:
        """How many trusted cases the least tested function has; of cases that all want the same value one counts."""
        wanted: dict[str | None, list[str]] = {}
        for _, case in self.cases:
            if case.trusted:
                name = called_name(case.call or case.check)
                wanted.setdefault(name, []).append(case.raises or case.expected or case.check)
        return min((len(values) if len(set(values)) > 1 else 1 for values in wanted.values()), default=0)

    def calls_of(self, names: Iterable[str]) -> dict[str, list[str]]:
        """By each of `names`, the cases that call it."""
        used = [(name, called_names(case.check)) for name, case in self.cases if not case.states]
        return {wanted: [name for name, called in used if wanted in called] for wanted in names}

    def extended(self, cases: Iterable[Case]) -> "Suite":
        """With `cases` added, each named for what it checks."""
        named = list(self.cases)
        taken = {name for name, _ in named}
        for case in cases:
            name = _unique(_name(case), taken)
            taken.add(name)
            named.append((name, case))
        return Suite(tuple(named))

    def only(self, names: Iterable[str]) -> "Suite":
        """With those cases alone, in the same order."""
        kept = set(names)
        return Suite(tuple((name, case) for name, case in self.cases if name in kept))


COMPILES = """
import pathlib


def test_script_compiles():
    compile(pathlib.Path(__file__).with_name("{module}.py").read_text(), "{module}.py", "exec")
""".strip()


def render_tests(
    suite: Suite, module: str, entry: str | None, defined: Collection[str] = (), *, is_script: bool = False
) -> str:
    """A pytest file of the suite, its properties left out.

    Args:
        module: the name of the module under test, without `.py`.
        entry: the name it must define; None: nothing is imported by name.
        defined: what it does define; of this, what the cases use is imported.
        is_script: it does its work when it is loaded, so it is not imported.
    """
    suite = suite.only([*suite.ids(trusted=True), *suite.ids(trusted=False)])
    used = {name for _, case in suite.cases for name in names_in(case.check)}
    imported = [name for name in defined if name in used and name != entry]
    imported = [entry, *imported] if entry and (entry in used or entry in defined or not imported) else imported
    head = ["import pytest", ""] if any("pytest." in case.check for _, case in suite.cases) else []
    if not is_script:
        head.append(f"from {module} import {', '.join(imported)}" if imported else f"import {module}")
    parts = ["\n".join(head)] if head else []
    for trusted, title in ((True, "# Stated in the request."), (False, "# Written from the request.")):
        functions = [_function(name, case) for name, case in suite.cases if case.trusted is trusted]
        parts += [f"{title}\n{functions[0]}", *functions[1:]] if functions else []
    if not suite.cases and is_script:
        parts.append(COMPILES.format(module=module))
    elif not suite.cases:
        parts.append(f"def test_module_loads():\n    assert {entry or module} is not None")
    return "\n\n\n".join(parts) + "\n"


def names_in(check: str) -> set[str]:
    """The names it uses."""
    return {node.id for node in ast.walk(tree_of(check)) if isinstance(node, ast.Name)}


def _name(case: Case) -> str:
    text = f"every result {case.states}" if case.states else case.call or called_name(case.check) or "behaviour"
    suffix = f"_raises_{case.raises}" if case.raises else ""
    words = re.sub(r"[^0-9A-Za-z]+", "_", text.replace("-", " minus ") + suffix).strip("_").lower()
    return words[:60].strip("_") or "behaviour"


def _unique(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}_{number}" for number in itertools.count(2) if f"{name}_{number}" not in taken)


def _function(name: str, case: Case) -> str:
    return f"def test_{name}():\n{_indented(case.check)}"


def _indented(source: str) -> str:
    """`source` one level in; lines inside a string literal stay as they are."""
    inside = {
        line
        for node in ast.walk(tree_of(source))
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }
    lines = source.split("\n")
    return "\n".join(line if number in inside or not line else f"    {line}" for number, line in enumerate(lines, 1))
