"""Many candidates, many small checks: what each check did on each candidate, in one sandbox run per candidate.

    matrix → its different candidates, side by side → attempt ─┬─> row
                                                       ↑       └─> infrastructure failure ─┐
                                                       └──────── once, on a fresh server ──┘

It stops what `supervisor` says. It does not stop a candidate that lies about its cells: it reports them itself. They
are good for choosing between candidates; what is accepted in the end is for `Sandbox.run` to say.
"""

import asyncio
import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from kitty_sandbox.launch import Launcher
from kitty_sandbox.port import Cell, CellOutcome, MatrixRow, RowOutcome, SandboxMatrix
from kitty_sandbox.records import Forged, missing_packages, read_records, readable
from kitty_sandbox.zygote import Ending, ZygoteFailed

_TOLD: frozenset[str] = frozenset(get_args(CellOutcome)) - {"not_run"}
_MESSAGE_CHARACTERS, _VALUE_CHARACTERS, _STDOUT_CHARACTERS = 500, 2000, 2000
_AT_A_TIME = 16
"""Candidates in line for a fork server; the others leave the line to the runs of others."""
_STOPPED_ITSELF = int(signal.SIGPROF)
"""The exit code by which `guest.cells` says that a check could not be interrupted."""


async def fill_matrix(launcher: Launcher, matrix: SandboxMatrix) -> tuple[MatrixRow, ...]:
    """A row for each candidate, in order; candidates with the same text share one run."""
    rows: dict[str, MatrixRow] = {}
    waiting = iter(dict.fromkeys(matrix.candidates))

    async def work() -> None:
        for text in waiting:
            rows[text] = await _run(launcher, matrix, text)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_AT_A_TIME, len(matrix.candidates))):
            group.create_task(work())
    return tuple(rows[text] for text in matrix.candidates)


async def _run(launcher: Launcher, matrix: SandboxMatrix, candidate: str) -> MatrixRow:
    row = await _attempt(launcher, matrix, candidate)
    return row if row.outcome != "infrastructure" else await _attempt(launcher, matrix, candidate)


async def _attempt(launcher: Launcher, matrix: SandboxMatrix, candidate: str) -> MatrixRow:
    nonce = secrets.token_hex(16)
    try:
        ending = await launcher.launch(
            mode="cells",
            files=matrix.files,
            limits=matrix.limits,
            profile=matrix.profile,
            nonce=nonce,
            candidate=candidate,
            module=matrix.module,
            checks=matrix.checks,
            check_sec=matrix.check_sec,
        )
    except ZygoteFailed as error:
        return _without_cells(matrix, "infrastructure", f"The sandbox could not be started. {error}"[:500])
    return read_row(ending, nonce, matrix)


@dataclass
class _Story:
    """The records, sorted. Filling it checks their order and what they hold."""

    checks: int
    ready: bool = False
    loaded: Mapping[str, Any] | None = None
    cells: list[Cell] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ended: bool = False

    def add(self, record: Mapping[str, Any]) -> None:
        if self.ended or record.get("kind") != self._next():
            raise Forged(f"an unexpected record {record.get('kind')!r}"[:80])
        if isinstance(record.get("missing"), str):
            self.missing.append(record["missing"])
        if not self.ready:
            self.ready = True
        elif self.loaded is None:
            self.loaded = record
        elif record["kind"] == "cell":
            self.cells.append(_read_cell(record))
        else:
            self.ended = True

    @property
    def loads(self) -> bool:
        return self.loaded is not None and self.loaded.get("exception") is None

    def _next(self) -> str:
        if self.loaded is None:
            return "loaded" if self.ready else "ready"
        return "cell" if self.loads and len(self.cells) < self.checks else "end"


def read_row(ending: Ending, nonce: str, matrix: SandboxMatrix) -> MatrixRow:
    """From what one candidate's process wrote to its row. Pure."""
    story = _Story(len(matrix.checks))
    try:
        if ending.ended == "report_flood":
            raise Forged("it was flooded")
        for record in read_records(ending.report, nonce, complete=ending.ended == "exited"):
            story.add(record)
    except Forged as error:
        return _without_cells(matrix, "tampered", f"The report of the checks was tampered with: {error}.", ending)
    if not story.ready:
        return _without_cells(matrix, "infrastructure", "The sandbox did not start its checks.", ending)
    outcome, reason = _decide(ending, story)
    cells = [_with_time(cell, matrix.check_sec) for cell in story.cells]
    if outcome == "timeout" and story.loads and len(cells) < len(matrix.checks):
        cells.append(Cell("timeout", message=reason))
    exception = _text(story.loaded or {}, "exception", 200)
    cells += [Cell("not_run", None, exception, reason[:_MESSAGE_CHARACTERS])] * (len(matrix.checks) - len(cells))
    own_modules = {matrix.module, *(path.partition("/")[0].removesuffix(".py") for path in matrix.files)}
    missing = missing_packages(story.missing, own_modules)
    return MatrixRow(tuple(cells), story.loads, outcome, reason, missing, _printed(ending), ending.seconds)


def _decide(ending: Ending, story: _Story) -> tuple[RowOutcome, str]:
    code = ending.exit_code
    if story.ended:
        return "ran", "All checks ran." if story.loads else f"It could not be loaded: {_load_failure(story)}"
    where = "the checks were done" if story.loads else "it was loaded"
    if ending.ended == "timeout" or code == _STOPPED_ITSELF:
        limit = "A check could not be interrupted" if code == _STOPPED_ITSELF else "The time limit passed"
        return "timeout", f"{limit} before {where}."
    if ending.ended == "flood":
        return "killed", f"It wrote more output than is allowed and was killed before {where}."
    if code is not None and code > 128:
        return "killed", f"It was killed by signal {code - 128} before {where}."
    return "killed", f"It ended (exit code {code}) before {where}."


def _load_failure(story: _Story) -> str:
    return _text(story.loaded or {}, "message", _MESSAGE_CHARACTERS) or "it did not say why."


def _read_cell(record: Mapping[str, Any]) -> Cell:
    outcome = str(record.get("outcome"))
    value, exception = _text(record, "value", _VALUE_CHARACTERS), _text(record, "exception", 200)
    if outcome not in _TOLD or (outcome == "value" and value is None):
        raise Forged("a cell that says nothing")
    return Cell(cast(CellOutcome, outcome), value, exception, _text(record, "message", _MESSAGE_CHARACTERS) or "")


def _with_time(cell: Cell, check_sec: float) -> Cell:
    return Cell("timeout", message=f"It did not end within {check_sec:g} s.") if cell.outcome == "timeout" else cell


def _without_cells(matrix: SandboxMatrix, outcome: RowOutcome, reason: str, ending: Ending | None = None) -> MatrixRow:
    cells = (Cell("not_run", message=reason),) * len(matrix.checks)
    if ending is None:
        return MatrixRow(cells, False, outcome, reason)
    return MatrixRow(cells, False, outcome, reason, (), _printed(ending), ending.seconds)


def _text(record: Mapping[str, Any], key: str, most: int) -> str | None:
    value = record.get(key)
    return readable(value)[:most] if isinstance(value, str) else None


def _printed(ending: Ending) -> str:
    return ending.stdout[: 4 * _STDOUT_CHARACTERS].decode("utf-8", "replace")[:_STDOUT_CHARACTERS]
