"""Tests: from cases to test files, and which of the model's cases are worth keeping.

The model's cases are written from the request without seeing the code. One is dropped when it does not call the code,
compares a thing with itself, repeats another or contradicts an example; and it counts for a verdict only when it fails
on stubs (`stub_file`): a case that a function returning None passes shows nothing.
"""

import ast
import itertools
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from coder_agent.extraction import strip_thinking
from coder_agent.reading.cases import called_names
from coder_agent.reading.examples import Case, called_name, case_from_assert, raising_case
from coder_agent.reading.kinds import Kind, as_kind
from coder_agent.source_text import AT_MARGIN, tree_of

STUBS = {
    "raises": "def {name}(*args, **kwargs): raise NotImplementedError",
    "none": "def {name}(*args, **kwargs): return None",
    "hollow": "class {name}:\n    def __getattr__(self, name): return lambda *args, **kwargs: None",
}
"""Every case must fail on each of these."""
SUITE_STUBS = {
    "identity": "def {name}(*args, **kwargs): return args[0] if args else None",
    "empty_list": "def {name}(*args, **kwargs): return []",
    "empty_text": "def {name}(*args, **kwargs): return ''",
    "zero": "def {name}(*args, **kwargs): return 0",
    "true": "def {name}(*args, **kwargs): return True",
    "false": "def {name}(*args, **kwargs): return False",
    "value_error": "def {name}(*args, **kwargs): raise ValueError",
    "type_error": "def {name}(*args, **kwargs): raise TypeError",
}
"""All cases together must fail on each of these."""


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
    used = {name for _, case in suite.cases for name in _names(case.check)}
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


def stub_file(suite: Suite, names: Sequence[str]) -> str:
    """A pytest file that runs the cases on stubs of `names`.

    `test_case__CASE` passes when the case fails on each of STUBS; `test_suite__STUB` when one of those cases fails
    on that stub of SUITE_STUBS. A case that breaks off for a reason of its own, such as an import, has not failed.
    """
    stubs, suite_stubs = _stubs_of(STUBS, names), _stubs_of(SUITE_STUBS, names)
    parts = [
        _checks_and_stubs(suite, STUBS=stubs, SUITE_STUBS=suite_stubs),
        KEPT,
    ]
    parts += [f"def test_case__{case_name}():\n    assert {case_name!r} in kept()" for case_name, _ in suite.cases]
    parts += [
        f"def test_suite__{stub}():\n    assert any(fails(CHECKS[case], SUITE_STUBS[{stub!r}]) for case in kept())"
        for stub in suite_stubs
    ]
    return "\n\n\n".join(parts) + "\n"


def stubs_of_all_file(suite: Suite, names: Sequence[str]) -> str:
    """A pytest file whose `test_STUB` passes when a case fails on that stub of `names`, one of STUBS or SUITE_STUBS."""
    parts = [_checks_and_stubs(suite, STUBS=_stubs_of(STUBS | SUITE_STUBS, names))]
    parts += [
        f"def test_{stub}():\n    assert any(fails(check, STUBS[{stub!r}]) for check in CHECKS.values())"
        for stub in (STUBS | SUITE_STUBS)
    ]
    return "\n\n\n".join(parts) + "\n"


def met_by_a_stub(outcomes: Mapping[str, str]) -> bool | None:
    """Whether one stub meets all cases, by the outcomes of `stubs_of_all_file` (names without `test_`).

    None where a stub was not reached.
    """
    seen = [outcomes.get(stub, "") for stub in (STUBS | SUITE_STUBS)]
    return "failed" in seen or (None if set(seen) != {"passed"} else False)


def _stubs_of(texts: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {stub: "\n".join(text.format(name=name) for name in names) for stub, text in texts.items()}


def _checks_and_stubs(suite: Suite, **stubs: Mapping[str, str]) -> str:
    checks = {case_name: case.check for case_name, case in suite.cases}
    given = "\n".join(f"{name} = {value!r}" for name, value in {"CHECKS": checks, **stubs}.items())
    return f"import functools\n\nimport pytest\n\n{given}\n\n\n{FAILS}"


FAILS = """
def fails(check, stub):
    names = {"pytest": pytest}
    exec(stub, names)
    try:
        exec(check, names)
    except (ImportError, NameError):
        return False
    except BaseException:
        return True
    return False
""".strip()
"""Runs in the sandbox, on stubs alone."""
KEPT = """
@functools.cache
def kept():
    return [case for case, check in CHECKS.items() if all(fails(check, stub) for stub in STUBS.values())]
""".strip()


def survivors(suite: Suite, passed: Iterable[str]) -> list[str]:
    """The names of the cases that count, by the tests of `stub_file` that passed (ids without `test_`).

    None when a suite stub meets all of them. What was not reached has shown nothing.
    """
    seen = set(passed)
    if not all(f"suite__{stub}" in seen for stub in SUITE_STUBS):
        return []
    return [name for name, _ in suite.cases if f"case__{name}" in seen]


def read_cases(
    text: str, names: Sequence[str], examples: Sequence[Case], most: int, kind: Kind = "function"
) -> list[Case]:
    """The usable cases of `names` in what the model wrote: asserts line by line, and whole test functions.

    Each line stands for itself, so that one torn or wrong line costs only itself. A call with another number of
    arguments than the examples' is not usable: small models unpack lists into arguments.

    Args:
        kind: of what is asked for; a check of a generator or a coroutine is made to fit it, or left out.
    """
    cases: list[Case] = []
    seen = {_key(case) for case in examples}
    counts = {name: {n for case in examples if (n := _argument_count(case, name)) is not None} for name in names}
    for node in _statements(strip_thinking(text)):
        fitting = (as_kind(case, kind, tuple(names)) for case in _readable_cases(node))
        for case in (one for one in fitting if one is not None):
            is_usable = not _is_tautology(case, names) and _key(case) not in seen
            if is_usable and not _names(case.check).isdisjoint(names) and _fits(case, counts):
                seen.add(_key(case))
                cases.append(case)
    return cases[:most]


def _fits(case: Case, counts: Mapping[str, Collection[int]]) -> bool:
    """Whether it calls each function with as many arguments as an example of it does."""
    found = ((_argument_count(case, name), of) for name, of in counts.items())
    return all(not of or count is None or count in of for count, of in found)


def _statements(text: str) -> list[ast.stmt]:
    """Top-level statements of what parses: the whole text, else block by block, else the asserts line by line."""
    text = re.sub(r"^[ \t]*(?:```|~~~).*$", "", text, flags=re.MULTILINE)
    whole = _parsed(text)
    if whole is not None:
        return whole
    found: list[ast.stmt] = []
    for block in AT_MARGIN.split(text):
        statements = _parsed(block)
        found += _asserts(block) if statements is None else statements
    return found


def _asserts(text: str) -> Iterator[ast.stmt]:
    for line in text.split("\n"):
        line = re.sub(r"^[ \t]*(?:\d+[.)]|[-*])?[ \t]*`?", "", line).rstrip("` \t")
        if line.startswith("assert "):
            yield from _parsed(line) or ()


def _parsed(text: str) -> list[ast.stmt] | None:
    try:
        return tree_of(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _readable_cases(node: ast.stmt) -> list[Case]:
    """The cases of a statement; none where Python cannot write it back (a number of thousands of digits, say)."""
    try:
        return _cases_of(node)
    except (ValueError, RecursionError, MemoryError):
        return []


def _cases_of(node: ast.stmt) -> list[Case]:
    match node:
        case ast.Assert():
            return [case_from_assert(ast.Assert(node.test, None), trusted=False)]
        case ast.With(
            items=[ast.withitem(context_expr=ast.Call(args=[ast.Name(id=exception)]) as manager)],
            body=[ast.Expr(value=call)],
        ):
            if ast.unparse(manager.func).endswith("raises"):
                return [raising_case(ast.unparse(call), exception, trusted=False)]
            return []
        case ast.FunctionDef(name=name, body=body, args=ast.arguments(args=[])) if name.startswith("test"):
            own = [part for part in body if not _is_aside(part)]
            if all(isinstance(part, ast.Assert | ast.With) for part in own):
                return [case for part in own for case in _cases_of(part)]
            return [Case("\n".join(ast.unparse(part) for part in own), trusted=False)]
        case ast.ClassDef(body=body):
            return [case for part in body for case in _cases_of(part)]
        case _:
            return []


def _is_aside(node: ast.stmt) -> bool:
    """A docstring, or an import of something other than Python's own: the module under test is imported by the file."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] not in sys.stdlib_module_names
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] not in sys.stdlib_module_names for alias in node.names)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(check: str) -> set[str]:
    return {node.id for node in ast.walk(tree_of(check)) if isinstance(node, ast.Name)}


def _key(case: Case) -> str:
    """Equal for cases that make the same call, however it is spelt: a second one repeats or contradicts the first."""
    return ast.unparse(tree_of(case.call or case.check))


def _argument_count(case: Case, entry: str) -> int | None:
    """How many arguments the case calls `entry` with; None where it does not, or that cannot be counted."""
    for node in ast.walk(tree_of(case.call or "")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry:
            is_open = any(isinstance(one, ast.Starred) for one in node.args) or any(
                k.arg is None for k in node.keywords
            )
            return None if is_open else len(node.args) + len(node.keywords)
    return None


def _is_tautology(case: Case, names: Iterable[str]) -> bool:
    """Whether the expected side calls the code as well, as in `f(2) == f(2)`, or nothing is asserted."""
    if case.expected is not None:
        return not _names(case.expected).isdisjoint(names)
    return case.raises is None and "assert" not in case.check and "pytest.raises" not in case.check


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
