"""One evaluation: each arm solves the tasks that are not on record yet; each answer is graded and recorded at once.

The arms run one after the other, not task by task in turns: the server's cache is then as full for a tier as in daily
use, and the seconds of one arm do not depend on the other.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import cast, get_args

from kitty_evals.errors import ModelLost, NotConfigured
from kitty_evals.evaluation import Evaluation, records_to_go_on_with
from kitty_evals.evidence import grade_candidates
from kitty_evals.grading import check_sandbox, grade
from kitty_evals.model_server import serving
from kitty_evals.progress import announce, progress_for
from kitty_evals.records import UNAVAILABLE, ArmName, Key, Record, RecordFile
from kitty_evals.solver import Solver
from kitty_evals.target import Target, open_solver
from kitty_evals.tasks import Task
from kitty_sandbox import BubblewrapSandbox, Sandbox, SandboxTier

MOST_UNAVAILABLE = 3
"""So many tasks in a row without a model, and the rest would be no better."""


async def run_evaluation(evaluation: Evaluation, env: Mapping[str, str]) -> None:
    """Returns when everything is on record.

    Raises:
        EvalError: it cannot begin, or cannot go on; what is on record stays.
    """
    target, file = evaluation.target, RecordFile(evaluation.folder)
    recorded = {record.key for record in records_to_go_on_with(evaluation, file) if record.is_settled}
    file.open()
    open_tasks = {arm: [t for t in evaluation.tasks if _key(t, arm, target) not in recorded] for arm in evaluation.arms}
    left = sum(map(len, open_tasks.values()))
    total = len(evaluation.tasks) * len(evaluation.arms)
    announce(_in_words(evaluation, total - left))
    if not left:
        return
    with _sandbox(env) as sandbox, progress_for(total, total - left) as progress:
        await check_sandbox(sandbox)

        def keep(record: Record) -> None:
            file.append(record)
            progress.show(record)

        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(serving(target.model)) if target.model else None
            for arm in [arm for arm in evaluation.arms if open_tasks[arm]]:
                async with open_solver(arm, target, server, env, evaluation.folder) as solver:
                    await solve_all(solver, open_tasks[arm], sandbox, evaluation, keep)


async def solve_all(
    solver: Solver, tasks: Sequence[Task], sandbox: Sandbox, evaluation: Evaluation, keep: Callable[[Record], None]
) -> None:
    """Hands each task's record to `keep` before the next task begins.

    Raises:
        ModelLost: three tasks in a row found no model (or no sandbox); `--resume` does them again.
    """
    in_a_row = 0
    for task in tasks:
        record = await _solve(solver, task, sandbox, evaluation)
        await grade_candidates(sandbox, task, evaluation.folder, record.job_id)
        keep(record)
        in_a_row = in_a_row + 1 if record.error_code in UNAVAILABLE else 0
        if in_a_row == MOST_UNAVAILABLE:
            raise ModelLost(f"{in_a_row} tasks in a row could not be solved. The last one says: {record.error}")


async def _solve(solver: Solver, task: Task, sandbox: Sandbox, evaluation: Evaluation) -> Record:
    target = evaluation.target
    began = time.monotonic()
    answer = await solver.solve(task)
    wall_seconds = round(time.monotonic() - began, 3)
    graded = await grade(sandbox, task, answer.code)
    sandbox_error = f"The sandbox could not judge it: {graded.reason}" if graded.right is None else None
    return Record(
        task=task.id,
        arm=solver.arm,
        tier=solver.tier,
        model=target.name,
        right=graded.right,
        grade=graded.outcome,
        wall_seconds=wall_seconds,
        job_id=answer.job_id,
        verdict=answer.verdict,
        confidence=answer.confidence,
        evidence=answer.evidence,
        usage=answer.usage,
        code=answer.code,
        error=answer.error or sandbox_error,
        error_code=answer.error_code or ("infrastructure" if sandbox_error else None),
        answered_by=answer.model,
        model_sha256=answer.model_sha256 or target.sha256,
        file=evaluation.file.name,
        task_sha256=task.sha256,
    )


def _in_words(evaluation: Evaluation, done: int) -> str:
    """What the run is about to do, and where it goes: its first line."""
    tasks, target = len(evaluation.tasks), evaluation.target
    what = f"{tasks} {'task' if tasks == 1 else 'tasks'} of {evaluation.file}, model {target.name}, tier {target.tier}"
    raw = " and the model alone" if "raw" in evaluation.arms else ""
    of = tasks * len(evaluation.arms)
    recorded = f" {done} of {of} answers are on record already." if evaluation.resume else ""
    return f"{what}{raw}; records go to {evaluation.folder}.{recorded}"


def _key(task: Task, arm: ArmName, target: Target) -> Key:
    return (task.id, arm, target.tier if arm == "tier" else None, target.name)


@contextmanager
def _sandbox(env: Mapping[str, str]) -> Iterator[BubblewrapSandbox]:
    """As the coder-agent builds its own, from the same variables."""
    tier = env.get("SANDBOX_TIER", "").strip().lower() or "full"
    if tier not in get_args(SandboxTier):
        raise NotConfigured(f"SANDBOX_TIER: {tier!r} is none of {', '.join(get_args(SandboxTier))}.")
    sandbox = BubblewrapSandbox(python=env.get("SANDBOX_PY_PATH") or None, tier=cast(SandboxTier, tier))
    try:
        yield sandbox
    finally:
        sandbox.close()
