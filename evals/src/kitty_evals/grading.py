"""Whether an answer is right: the hidden tests, run in the sandbox once the answer is final."""

from dataclasses import dataclass

from kitty_evals.errors import NotConfigured
from kitty_evals.tasks import Task
from kitty_sandbox import InvalidSandboxRun, Sandbox, SandboxRun, SandboxUnavailable

ATTEMPTS = 2


@dataclass(frozen=True)
class Grade:
    """`right` is None where the sandbox failed, which says nothing about the code."""

    right: bool | None
    outcome: str
    reason: str = ""


NOT_RUN = Grade(False, "not_run")


async def check_sandbox(sandbox: Sandbox) -> None:
    """Raises `NotConfigured` where nothing could be graded, before hours are spent on answers."""
    status = await sandbox.probe()
    if not status.available:
        raise NotConfigured(f"Nothing can be graded without a sandbox: {status.reason} {status.fix}".strip())


async def grade(sandbox: Sandbox, task: Task, code: str) -> Grade:
    """Runs the hidden tests on `code`; a failure of the sandbox itself is tried once more.

    Raises:
        NotConfigured: the sandbox is gone.
    """
    if not code.strip():
        return NOT_RUN
    try:
        run = SandboxRun(files={**task.tests, task.module: code}, tests=tuple(task.tests))
    except InvalidSandboxRun as error:
        return Grade(False, "not_run", str(error))  # too large, or not Unicode: the answer's own fault
    for _ in range(ATTEMPTS):
        try:
            result = await sandbox.run(run)
        except SandboxUnavailable as error:
            raise NotConfigured(f"The sandbox cannot run any more: {error}") from error
        if result.outcome != "infrastructure":
            return Grade(result.passed, result.outcome, result.reason)
    return Grade(None, result.outcome, result.reason)
