"""A coding job in the hands of the engine: from the body that was handed in, or the state it was left in, to its end.

What is stored as the answer: `{"status", "body", "problem"}`. `problem` is the RFC 9457 document where no verdict, or
no code, came of it, and `status` its HTTP status, else 200.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from coder_agent.checkpoint import restored, saved
from coder_agent.coding_request import CodingRequest, JobRequest, read_again, task_of, written_down
from coder_agent.engine.errors import LeaseLost
from coder_agent.engine.records import Claim, Ending, Job, NewJob, Outcome
from coder_agent.errors import DeadlineBeforeCode
from coder_agent.runner import Answer, Ids, Progress, Runner
from coder_agent.settings import Settings
from coder_agent.state import CodingState
from kitty_core.errors import KittyError
from kitty_core.leaving import CallerIsGone
from kitty_core.wire import to_json

log = structlog.get_logger()
PROBLEM_MEMBERS = frozenset({"type", "title", "status", "detail", "code", "instance"})
MOST_SHOWN_OF_A_REQUEST = 500
GAVE_UP = "The job was given up: the process that ran it ended again and again."


@dataclass(frozen=True)
class StoredAnswer:
    """What came of a job."""

    status: int
    body: Mapping[str, Any]
    problem: Mapping[str, Any] | None = None


class CodingJob:
    """One claim. Implements `engine.worker.Work`."""

    def __init__(self, claim: Claim, runner: Runner, settings: Settings) -> None:
        self._claim = claim
        self._runner = runner
        self._settings = settings
        job = claim.job
        self._ids = Ids(job.id, job.request_id, job.conversation_id, job.user_id or None)
        self._progress: Progress | None = None

    async def run(self, emit: Callable[[dict[str, Any]], None], save: Callable[[str, str], Awaitable[None]]) -> Ending:
        """Does it, and says how it ended. Raises: LeaseLost."""

        async def keep(state: CodingState) -> None:
            await save(await asyncio.to_thread(saved, state), _step_of(state))

        try:
            # Whoever asked is known by this id in every line of the log, also where another process goes on.
            with structlog.contextvars.bound_contextvars(request_id=self._ids.request_id):
                self._progress = progress = await asyncio.to_thread(self._begun)
                answer = await self._runner.run(progress, self._ids, emit, keep)
        except (LeaseLost, asyncio.CancelledError):
            raise
        except KittyError as error:
            return ending_of(Answer({}, error))
        except Exception as error:
            log.exception("job_failed", job_id=self._claim.job.id)
            return ending_of(Answer({}, KittyError(f"{type(error).__name__}: {error}")))
        return ending_of(answer)

    async def cancelled(self) -> Ending:
        """How it ended, now that it was cancelled."""
        if self._progress is None:
            return cancelled_ending()
        return ending_of(self._runner.cancelled(self._progress, self._ids))

    def _begun(self) -> Progress:
        job = self._claim.job
        at = self._claim.taken_at
        left = None if job.deadline_at is None else job.deadline_at - at
        before = max(0.0, at - (job.started_at or at))
        if self._claim.state is not None:
            try:
                return Progress(restored(self._claim.state), before, left)
            except ValueError as error:
                log.warning("job_begins_again", job_id=job.id, reason=str(error)[:200])
        assert job.body is not None, "only lists leave it out"
        return Progress(CodingState(task=task_of(read_again(job.body), self._settings)), before, left)


def new_job(
    body: JobRequest, ids: Ids, note: str, *, is_attached: bool, key: str | None = None, sha256: str = ""
) -> NewJob:
    """The job that `body` asks for.

    Args:
        note: what is known of its audit row.
        key: the caller's idempotency key, with the hash of what was sent with it.
    """
    words = body.request if isinstance(body, CodingRequest) else f"{body.tool.partition('.')[2]} {body.module}"
    return NewJob(
        id=ids.job_id,
        user_id=ids.user_id or "",
        body=written_down(body),
        label=json.dumps({"tool": body.tool, "request": words[:MOST_SHOWN_OF_A_REQUEST], "tier": body.tier}),
        request_id=ids.request_id,
        conversation_id=ids.conversation_id,
        idempotency_key=key,
        body_sha256=sha256,
        deadline_sec=body.deadline_seconds,
        is_attached=is_attached,
        note=note,
    )


def ending_of(answer: Answer) -> Ending:
    """The end of a job that came to `answer`."""
    error, body = answer.error, dict(answer.body)
    status: Outcome = "succeeded"
    if error is not None:
        status = "cancelled" if isinstance(error, CallerIsGone) else "failed"
    verdict = body.get("verdict") or (error.code if error is not None else None)
    stored = StoredAnswer(
        status=error.status if error is not None else 200,
        body=body,
        problem=error.to_problem() if error is not None else None,
    )
    return Ending(status, verdict, to_json(asdict(stored)), (to_json(_ended(stored)),))


def cancelled_ending() -> Ending:
    """Of a job that was cancelled before it began."""
    return ending_of(Answer({}, CallerIsGone("The job was cancelled.")))


def unattended_endings() -> tuple[Ending, Ending, Ending]:
    """Of a job that its workers died of, that was late before it began, and that nobody waits for any more."""
    late = DeadlineBeforeCode("The deadline passed before the model had written any code.")
    return ending_of(Answer({}, KittyError(GAVE_UP))), ending_of(Answer({}, late)), cancelled_ending()


def stored_answer(job: Job) -> StoredAnswer:
    """What came of a job that has ended."""
    assert job.answer is not None, "a job that has ended has an answer"
    return StoredAnswer(**json.loads(job.answer))


def last_event(answer: StoredAnswer) -> dict[str, Any]:
    """The event that ends the job's stream, with the whole answer; stored without it."""
    event = _ended(answer)
    return {**event, "result": dict(answer.body)} if answer.body else event


def _ended(answer: StoredAnswer) -> dict[str, Any]:
    body, problem = answer.body, answer.problem
    if problem is not None:
        more = {name: value for name, value in problem.items() if name not in PROBLEM_MEMBERS}
        return {"type": "error", "error": problem["detail"], **more, "code": problem["code"]}
    return {
        "type": "complete",
        "success": body["success"],
        "testsPassed": body["tests_passed"],
        "refinementCount": body["refinement_count"],
        "verdict": body["verdict"],
    }


def _step_of(state: CodingState) -> str:
    if "summary" in state:
        return "summarize"
    if "report" in state:
        return "verify"
    steps = state.get("steps", ())
    return steps[-1].action if steps else "plan"
