"""Run untrusted Python with pytest and earn a verdict.

    sandbox = BubblewrapSandbox()
    result = await sandbox.run(SandboxRun(files={...}, tests=("test_solution.py",)))

What is stopped and what is not: see `kitty_sandbox.supervisor` (walls) and `kitty_sandbox.report` (verdicts).
"""

from kitty_sandbox.errors import InvalidSandboxRun, SandboxError, SandboxUnavailable
from kitty_sandbox.packages import package_hint
from kitty_sandbox.port import (
    CaseOutcome,
    CaseResult,
    Cell,
    CellOutcome,
    MatrixRow,
    Outcome,
    Profile,
    RowOutcome,
    Sandbox,
    SandboxLimits,
    SandboxMatrix,
    SandboxResult,
    SandboxRun,
    SandboxStatus,
    SandboxTier,
    VerdictStrength,
)
from kitty_sandbox.supervisor import BubblewrapSandbox

__all__ = [
    "BubblewrapSandbox",
    "CaseOutcome",
    "CaseResult",
    "Cell",
    "CellOutcome",
    "InvalidSandboxRun",
    "MatrixRow",
    "Outcome",
    "Profile",
    "RowOutcome",
    "Sandbox",
    "SandboxError",
    "SandboxLimits",
    "SandboxMatrix",
    "SandboxResult",
    "SandboxRun",
    "SandboxStatus",
    "SandboxTier",
    "SandboxUnavailable",
    "VerdictStrength",
    "package_hint",
]
