"""The model's own cases, read from whatever it wrote.

They are written from the request without seeing the code. One is dropped when it does not call the code, compares a
thing with itself, repeats another or contradicts an example; and it counts for a verdict only when it fails on stubs.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from coder_agent.extraction import strip_thinking
from coder_agent.reading.examples import Case, case_from_assert, raising_case
from coder_agent.reading.kinds import Kind, as_kind
from coder_agent.source_text import AT_MARGIN, tree_of
from coder_agent.suite import names_in


def read_cases(
    text: str,
    names: Sequence[str],
    examples: Sequence[Case],
    most: int,
    kind: Kind = "function",
    signature: str | None = None,
) -> list[Case]:
    """The usable cases of `names` in what the model wrote: asserts line by line, and whole test functions.

    Each line stands for itself, so that one torn or wrong line costs only itself. A call with another number of
    arguments than the examples', or than the signature takes where there are none, is not usable: small models unpack
    lists into arguments, and give an argument to what takes none.

    Args:
        signature: of what is asked for, as `f(x, y=1)`, where it is one function.
        kind: of what is asked for; a check of a generator or a coroutine is made to fit it, or left out.
    """
    cases: list[Case] = []
    seen = {_key(case) for case in examples}
    counts: dict[str, Collection[int]] = {
        name: {n for case in examples if (n := _argument_count(case, name)) is not None} for name in names
    }
    if signature and (stated := _counts_taken(signature)) is not None:
        counts = {name: of or (stated if signature.startswith(f"{name}(") else of) for name, of in counts.items()}
    for node in _statements(strip_thinking(text)):
        fitting = (as_kind(case, kind, tuple(names)) for case in _readable_cases(node))
        for case in (one for one in fitting if one is not None):
            is_usable = not _is_tautology(case, names) and _key(case) not in seen
            if is_usable and not names_in(case.check).isdisjoint(names) and _fits(case, counts):
                seen.add(_key(case))
                cases.append(case)
    return cases[:most]


def _fits(case: Case, counts: Mapping[str, Collection[int]]) -> bool:
    """Whether it calls each function with as many arguments as an example of it does, or its signature takes."""
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


def _counts_taken(signature: str) -> Collection[int] | None:
    """With how many arguments a function can be called; None where that is open, or is not to be made out."""
    try:
        (node,) = ast.parse(f"def {signature}: ...").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(node, ast.FunctionDef) or node.args.vararg or node.args.kwarg:
        return None
    of = node.args
    most = len(of.posonlyargs) + len(of.args) + len(of.kwonlyargs)
    optional = len(of.defaults) + sum(default is not None for default in of.kw_defaults)
    return range(most - optional, most + 1)


def _is_tautology(case: Case, names: Iterable[str]) -> bool:
    """Whether the expected side calls the code as well, as in `f(2) == f(2)`, or nothing is asserted."""
    if case.expected is not None:
        return not names_in(case.expected).isdisjoint(names)
    return case.raises is None and "assert" not in case.check and "pytest.raises" not in case.check
