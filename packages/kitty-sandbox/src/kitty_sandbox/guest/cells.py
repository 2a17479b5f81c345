"""Mode `cells`: one candidate and many small checks, without a test runner. What each check did is told as it happens.

    ready → loaded ─┬─> cell (one a check, in order) → end
                    └─> end                              (it could not be loaded)

Each check has the candidate's names, a dictionary of its own and a time limit; what the candidate keeps in its module
is shared. All of it happens in the candidate's own process, so a cell is its word: fit for search, not for a verdict.
"""

from __future__ import annotations

import ast
import ctypes
import itertools
import os
import re
import signal
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import pytest

from . import confine, reporter
from .together import flush

VALUE_CHARACTERS = 2000
MESSAGE_CHARACTERS = 500
ITEMS = 1000
"""Of an iterator: more than can be shown. The rest is left in it."""
_AGAIN_SEC = 0.1
"""After that a check that went on in spite of its time limit is interrupted again."""
_GRACE_SEC = 1.0
"""Processor time past its limit after which a check that cannot be interrupted ends the process."""
_VALUE, _LEFT, _RIGHT = "@value", "@left", "@right"  # no program text can say such names
_STORE = ast.Store()
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LITERAL = (
    ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.Load,
)  # fmt: skip
_Cell = dict[str, Any]
_libc = ctypes.CDLL(None)
_set_c_handler, _c_exit = _libc.signal, _libc._exit


class _OutOfTime(BaseException):
    """Raised in a check by the clock."""


def run(settings: Mapping[str, Any], config: dict[str, Any], report_fd: int) -> NoReturn:
    """Confine this process, load the candidate, do the checks, report, leave."""
    confine.place_files(settings, config["files"], config["limits"]["tmpfs_mb"])
    confine.confine(settings, config, [report_fd])
    send = reporter.open_channel(report_fd, config["nonce"])
    text, name, checks, clock = config["candidate"], config["module"], config["checks"], _Clock(config["check_sec"])
    config.clear()
    exit_now = os._exit
    sys.path.insert(0, settings["work"])
    candidate = _Candidate(text, name, f"{settings['work']}/{name}.py")
    send("ready")
    failure = candidate.load()
    send("loaded", **failure)
    if not failure:
        for check in checks:
            send("cell", **clock.limit(candidate.cell, check))
    flush()
    send("end")
    exit_now(0)


class _Clock:
    """Ends what takes longer than `seconds`: by an exception, and where that does not help, with the process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ran_out = False
        self._interrupts = False
        # An exception waits for Python code to run next, and a long computation inside of C lets none run. This signal
        # goes to the C library's _exit itself, so the exit code is its number.
        _set_c_handler(signal.SIGPROF, _c_exit)

    def limit(self, function: Callable[[str], _Cell], check: str) -> _Cell:
        """What `function(check)` gives, or a cell that says that it did not end in time."""
        cell: _Cell = {}
        signal.signal(signal.SIGALRM, self._ring)
        self._ran_out, self._interrupts = False, True
        try:
            signal.setitimer(signal.ITIMER_PROF, self._seconds + _GRACE_SEC)
            signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN_SEC)
            cell = function(check)
            self._interrupts = False
        except _OutOfTime:
            self._interrupts = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        return {"outcome": "timeout"} if self._ran_out else cell

    def _ring(self, number: int, frame: types.FrameType | None) -> None:
        if self._interrupts:
            self._ran_out = True
            raise _OutOfTime


class _Candidate:
    def __init__(self, text: str, name: str, path: str) -> None:
        self._text = text
        self._path = path
        self._module = types.ModuleType(name)
        self._module.__file__ = path

    def load(self) -> dict[str, Any]:
        """Execute it as a module that can be imported; what it raised, empty if nothing."""
        sys.modules[self._module.__name__] = self._module
        try:
            code = compile(self._text, self._path, "exec", dont_inherit=True)
            exec(code, self._module.__dict__)  # noqa: S102 - that is what the sandbox is for
        except BaseException as error:  # noqa: BLE001 - whatever it throws is its result
            return self._describe(error)
        return {}

    def cell(self, check: str) -> _Cell:
        """What the statements of `check` do, seen from within the module."""
        scope = {**self._module.__dict__, "pytest": pytest}
        claims: list[ast.Assert] = []
        try:
            tree = ast.parse(check, "<check>")
            claims += _watch(tree)
            exec(compile(tree, "<check>", "exec", dont_inherit=True), scope)  # noqa: S102 - the same
            return {"outcome": "value", "value": _repr(scope[_VALUE])} if _VALUE in scope else {"outcome": "passed"}
        except _OutOfTime:
            raise
        except AssertionError as error:
            number = _false_claim(error, claims, scope)
            if number is None:
                return {"outcome": "raised" if self._line_in(error) else "failed", **self._describe(error)}
            sides = scope[f"{_LEFT}{number}"], scope.get(f"{_RIGHT}{number}")
            return {"outcome": "failed", **_explain(error, check, claims[number].test, *sides)}
        except pytest.fail.Exception as error:
            return {"outcome": "failed", **self._describe(error)}
        except BaseException as error:  # noqa: BLE001 - whatever it throws is its result
            return {"outcome": "raised", **self._describe(error)}

    def _describe(self, error: BaseException) -> dict[str, Any]:
        told = reporter.describe(error, f"{type(error).__name__}: {_text_of(error)}")
        number = self._line_in(error)
        line = "".join(self._text.split("\n")[number - 1 : number]).strip() if number else ""
        place = f" (line {number}: {_cut(line, 100)})" if number else ""
        return {**told, "message": _cut(told["message"], MESSAGE_CHARACTERS - len(place)) + place}

    def _line_in(self, error: BaseException) -> int:
        """The number of the last line of the candidate that led to `error`; 0 where none did."""
        number, trace = 0, error.__traceback__
        while trace is not None:
            number = trace.tb_lineno if trace.tb_frame.f_code.co_filename == self._path else number
            trace = trace.tb_next
        return number


def _watch(tree: ast.Module) -> list[ast.Assert]:
    """Change a check so that it keeps the value of its last expression and the sides of its asserts; these in order."""
    if not tree.body:
        raise SyntaxError("the check is empty")
    claims = list(_asserts(tree.body))
    for number, claim in enumerate(claims):
        test = claim.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            test.left = _kept(test.left, f"{_LEFT}{number}")
            test.comparators[0] = _kept(test.comparators[0], f"{_RIGHT}{number}")
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test.operand = _kept(test.operand, f"{_LEFT}{number}")
        else:
            claim.test = _kept(test, f"{_LEFT}{number}")
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        last.value = _kept(last.value, _VALUE)
    return claims


def _asserts(body: Iterable[ast.AST]) -> Iterator[ast.Assert]:
    """In the order of the text."""
    for node in body:
        if isinstance(node, ast.Assert):
            yield node
        for name in _BLOCKS:
            yield from _asserts(getattr(node, name, ()))


def _kept(value: ast.expr, name: str) -> ast.NamedExpr:
    place: dict[str, Any] = {"lineno": value.lineno, "col_offset": value.col_offset}
    place |= {"end_lineno": value.end_lineno, "end_col_offset": value.end_col_offset}
    return ast.NamedExpr(ast.Name(name, _STORE, **place), value, **place)


def _false_claim(error: AssertionError, claims: list[ast.Assert], scope: Mapping[str, Any]) -> int | None:
    """Which assert of the check is false; None where something that it called raised the error."""
    trace = error.__traceback__ and error.__traceback__.tb_next
    if trace is None or trace.tb_next is not None:
        return None
    reached = [
        number
        for number, claim in enumerate(claims)
        if claim.lineno <= trace.tb_lineno <= (claim.end_lineno or 0) and f"{_LEFT}{number}" in scope
    ]
    return reached[-1] if reached else None


def _explain(error: AssertionError, check: str, test: ast.expr, left: object, right: object) -> dict[str, Any]:
    """A false claim: the value on its left (of the whole condition where it compares nothing), and a sentence."""
    said, value = _text_of(error), _repr(left)
    message = f"{said[:150]}\n" if said else ""
    message += f"{(ast.get_source_segment(check, test) or 'it')[:120]} is false"
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        kind = f"a {type(left).__name__} of " if issubclass(type(left), Iterator) else ""
        message += f": the left side is {kind}{_cut(value, 100)}"
        if not _is_literal(test.comparators[0]):
            message += f", the right side is {_cut(_repr(right), 80)}"
    return {"value": value, "exception": "AssertionError", "message": _cut(message, MESSAGE_CHARACTERS)}


def _is_literal(node: ast.expr) -> bool:
    """Whether the text says its value; `node` is as `_kept` made it."""
    return all(isinstance(part, _LITERAL) for part in ast.walk(getattr(node, "value", node)))


def _repr(value: Any) -> str:
    """The text of a value without addresses, an iterator's as that of a list; `…` at the end means that it was cut."""
    try:
        is_iterator = issubclass(type(value), Iterator)
        text = repr(list(itertools.islice(value, ITEMS)) if is_iterator else value)
    except _OutOfTime:
        raise
    except BaseException as error:  # noqa: BLE001 - a guest's __repr__ may raise anything
        return f"<{type(value).__name__}: its text could not be made ({type(error).__name__})>"
    return _cut(_ADDRESS.sub("", text), VALUE_CHARACTERS)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except _OutOfTime:
        raise
    except BaseException:  # noqa: BLE001 - a guest's __str__ may raise anything
        return "(its text could not be read)"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
