"""A sandbox for the tests of others: it runs nothing and answers what it was told to."""

from collections.abc import Iterable

from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.port import CaseResult, Outcome, SandboxResult, SandboxRun, SandboxStatus


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


class ScriptedSandbox:
    """Implements `Sandbox`: gives the results in order (an exception is raised) and keeps the runs it was asked for."""

    def __init__(self, *results: SandboxResult | Exception, status: SandboxStatus | None = None) -> None:
        self.runs: list[SandboxRun] = []
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

    async def probe(self) -> SandboxStatus:
        return self.status
