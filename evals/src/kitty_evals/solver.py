"""Who solves a task: the port that `raw` and `tier` fill."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kitty_evals.records import ArmName, Spent
from kitty_evals.tasks import Task

ATTEMPTS = 3
"""So often a server that refuses the connection is asked before it counts as lost."""
PAUSE_SEC = 0.5


@dataclass(frozen=True)
class Answer:
    """What came back; with an `error` there is no code, so it counts as not solved."""

    code: str = ""
    job_id: str | None = None
    verdict: str | None = None
    confidence: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    usage: Spent | None = None
    model: str | None = None
    model_sha256: str | None = None
    error: str | None = None
    error_code: str | None = None


class Solver(Protocol):
    arm: ArmName
    tier: str | None

    async def solve(self, task: Task) -> Answer:
        """Raises an `EvalError` where no further task can be solved either."""
        ...
