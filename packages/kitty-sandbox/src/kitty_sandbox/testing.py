"""A sandbox for the tests of others: it runs nothing and answers what it was told to."""

from collections.abc import Callable, Iterable
from typing import Any

from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.port import (
    CaseResult,
    Cell,
    MatrixRow,
    Outcome,
    RowOutcome,
    SandboxMatrix,
    SandboxResult,
    SandboxRun,
    SandboxStatus,
)


def make_result(outcome: Outcome = "passed", *cases: CaseResult, reason: str = "", stdout: str = "") -> SandboxResult:
    """A result whose `passed` agrees with its outcome."""
    return SandboxResult(
        passed=outcome == "passed",
        outcome=outcome,
        reason=reason or f"Scripted: {outcome}.",
        cases=cases,
        sandbox_tier="scripted",
        stdout=stdout,
    )


def make_row(*cells: Cell, outcome: RowOutcome = "ran", reason: str = "", missing: tuple[str, ...] = ()) -> MatrixRow:
    """A row that loads where any of its cells ran."""
    loads = any(cell.outcome != "not_run" for cell in cells)
    return MatrixRow(cells, loads, outcome, reason or f"Scripted: {outcome}.", missing)


def every(cell: Cell, **row: Any) -> Callable[[SandboxMatrix], tuple[MatrixRow, ...]]:
    """Answers any matrix with `cell` everywhere; `row` as in `make_row`."""
    return lambda matrix: (make_row(*[cell] * len(matrix.checks), **row),) * len(matrix.candidates)


class ScriptedSandbox:
    """Implements `Sandbox`: gives the results in order (an exception is raised) and keeps the runs it was asked for.

    `rows` are the answers to `matrix`: for each call a tuple of one row per candidate, or an exception; or a function
    that answers every call.
    """

    def __init__(
        self,
        *results: SandboxResult | Exception,
        status: SandboxStatus | None = None,
        rows: Iterable[tuple[MatrixRow, ...] | Exception] | Callable[[SandboxMatrix], tuple[MatrixRow, ...]] = (),
    ) -> None:
        self.runs: list[SandboxRun] = []
        self.matrices: list[SandboxMatrix] = []
        self._answer = rows if callable(rows) else None
        self._rows = iter(() if callable(rows) else rows)
        self.status = status or SandboxStatus(True, "scripted", "python", "3.11.0", "Scripted.")
        self._results: Iterable[SandboxResult | Exception] = iter(results)

    async def run(self, run: SandboxRun) -> SandboxResult:
        if not self.status.available:
            raise SandboxUnavailable(self.status.reason, self.status.fix)
        self.runs.append(run)
        result = next(iter(self._results), None)
        if result is None:
            raise AssertionError(f"The script has no result for run number {len(self.runs)}.")
        if isinstance(result, Exception):
            raise result
        return result

    async def matrix(self, matrix: SandboxMatrix) -> tuple[MatrixRow, ...]:
        if not self.status.available:
            raise SandboxUnavailable(self.status.reason, self.status.fix)
        self.matrices.append(matrix)
        rows = self._answer(matrix) if self._answer else next(self._rows, None)
        if rows is None:
            raise AssertionError(f"The script has no rows for matrix number {len(self.matrices)}.")
        if isinstance(rows, Exception):
            raise rows
        if [len(row.cells) for row in rows] != [len(matrix.checks)] * len(matrix.candidates):
            raise AssertionError(f"The script's rows do not have the shape of matrix number {len(self.matrices)}.")
        return rows

    async def probe(self) -> SandboxStatus:
        return self.status
