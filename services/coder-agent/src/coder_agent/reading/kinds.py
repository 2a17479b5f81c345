"""What sort of code a request asks for, and what that means for its examples.

A generator's values are compared after `list()`, a coroutine is run with `asyncio.run`.
"""

import ast
import re
from dataclasses import replace
from typing import Literal

from coder_agent.reading.cases import Case, parsed, written
from coder_agent.reading.naming import ASKS_FUNCTION, CLASS_WORDS, VERB

Kind = Literal["function", "functions", "class", "generator", "async", "script"]

PLAIN_WORDS = r"\s+(?:(?:me|us|an?|the|simple|small|short|python3?|infinite|lazy|recursive)\s+)*"
GENERATORS = re.compile(
    rf"""{VERB}{PLAIN_WORDS}generator\b(?!\s+(?:expression|class)) | \A\s*(?:an?\s+)?(?:python\s+)?generator\b
    | \b(?:as|is|returns?|be)\s+an?\s+(?:generator|iterator)\b | \bus(?:es?|ing)\s+`?yield\b | \byielding\b
    | \b(?:function|that|which)\s+(?:lazily\s+)?yields?\b""",
    re.VERBOSE | re.IGNORECASE,
)
COROUTINES = re.compile(
    rf"{VERB}{CLASS_WORDS}(?:async|asynchronous|coroutine)\b|\A\s*(?:an?\s+)?(?:async|asynchronous|coroutine)\b"
    r"|\b(?:as|is|be)\s+an?\s+(?:async\w*\s+function|coroutine)\b",
    re.IGNORECASE,
)
PROGRAM = re.compile(
    r"\b(?:script|program|programm|command[- ]line (?:tool|program|app\w*)|programa|programme)\b", re.I
)
READS_INPUT = re.compile(
    r"\b(?:stdin|standard input|user input|standardeingabe|sys\.stdin|input\(\)|entrada est[áa]ndar|entr[ée]e standard"
    r"|(?:read|take|get|accept)s?\b[^.\n]{0,40}\bfrom (?:the )?(?:user|console|terminal|keyboard|input))",
    re.IGNORECASE,
)
CONTEST = re.compile(
    r"\bfirst line (?:of (?:the )?(?:standard )?input )?(?:contains|consists|has|gives)\b", re.IGNORECASE
)


def asked_kind(request: str, names: tuple[str, ...], signature: str | None) -> Kind:
    """The kind of what `request` asks for, a class excepted."""
    entry = re.escape(names[0]) if names else r"\w+"
    is_program = PROGRAM.search(request) and READS_INPUT.search(request)
    if (is_program or CONTEST.search(request)) and not ASKS_FUNCTION.search(request):
        return "script"
    if re.search(rf"\basync\s+def\s+{entry}\b", request) or COROUTINES.search(request):
        return "async"
    if len(names) > 1:
        return "functions"
    returns = re.search(rf"\b{entry}\([^\n]*\)\s*->\s*`?(?:typing\.|abc\.)?(?:Generator|Iterator)\b", request)
    return "generator" if returns or GENERATORS.search(request) else "function"


def as_kind(case: Case, kind: Kind, names: tuple[str, ...]) -> Case | None:
    """`case` as code of that kind is to be checked; None where it does not say how."""
    if kind not in {"async", "generator"} and "await" not in case.check and "asyncio." not in case.check:
        return case
    tree = parsed(case.check)
    value = _compared(tree.body[-1], kind, names) if tree and tree.body else None
    check = written(tree) if tree and value is not None and not _is_unfinished(tree) else None
    if check is None or value is None:
        return None
    needs_import = "asyncio." in check and not check.startswith("import asyncio")
    return replace(case, check=f"import asyncio\n{check}" if needs_import else check, call=case.call and written(value))


def _compared(last: ast.stmt, kind: Kind, names: tuple[str, ...]) -> ast.expr | None:
    """What the statement, changed to fit the kind, looks at; None where it fits in no way."""
    match last:
        case ast.Assert(test=ast.Compare(left=left, comparators=[right]) as test):
            value = _as_value(left, right, kind, names)
            test.left = value or left
        case ast.With(body=[ast.Expr(value=call) as statement]):
            value = _as_value(call, None, kind, names)
            statement.value = value or call
        case _:
            return None
    return value


def _as_value(node: ast.expr, expected: ast.expr | None, kind: Kind, names: tuple[str, ...]) -> ast.expr | None:
    is_own = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    if isinstance(node, ast.Await) or (kind == "async" and is_own):
        call = node.value if isinstance(node, ast.Await) else node
        return ast.Call(ast.Attribute(ast.Name("asyncio", ast.Load()), "run", ast.Load()), [call], [])
    if kind == "generator" and is_own:
        # A generator is never equal to a value, and only a list says what its values are.
        is_listed = expected is None or isinstance(expected, ast.List)
        return ast.Call(ast.Name("list", ast.Load()), [node], []) if is_listed else None
    return node


def _is_unfinished(tree: ast.Module) -> bool:
    """Whether it awaits or yields, which a plain test cannot."""
    return any(isinstance(node, ast.Await | ast.Yield | ast.YieldFrom) for node in ast.walk(tree))
