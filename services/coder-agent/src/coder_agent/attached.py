"""A job that somebody waits for: handed in, followed to its end, and cancelled when they go."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from coder_agent.calls import Call
from coder_agent.coding_job import StoredAnswer, new_job, stored_answer
from coder_agent.coding_request import JobRequest
from coder_agent.engine.engine import JobEngine
from coder_agent.engine.errors import StoreIsUnavailable
from coder_agent.engine.records import Job, NewJob
from coder_agent.runner import Ids
from kitty_core.errors import KittyError
from kitty_core.leaving import LAST_EVENTS

ENDED_WITHIN_SEC = 10.0
"""How long a cancelled job is waited for: its model and its sandbox have to stop first."""


async def attached(
    engine: JobEngine,
    body: JobRequest,
    ids: Ids,
    call: Call,
    listener: Callable[[dict[str, Any]], None] | None = None,
) -> StoredAnswer:
    """What comes of the job. Cancelling the call cancels the job, and returns when that has ended.

    Args:
        listener: called with every event but the last.

    Raises:
        QueueIsFull, StoreIsUnavailable
    """
    job = await handed_in(engine, new_job(body, ids, call.note, is_attached=True), call)
    with engine.waited_for(job.id):
        try:
            if listener is not None:
                await _follow(engine, job.id, listener)
            return stored_answer(await engine.ended(job.id))
        except asyncio.CancelledError:
            await _leave(engine, job.id)
            raise


async def handed_in(engine: JobEngine, new: NewJob, call: Call) -> Job:
    """The job, whose row is written when it ends. Raises: QueueIsFull, KeyIsTaken, StoreIsUnavailable."""
    try:
        job, _ = await engine.submit(new)
    except KittyError as error:
        await call.refuse(error)
        raise
    call.drop()
    return job


async def _follow(engine: JobEngine, job_id: str, listener: Callable[[dict[str, Any]], None]) -> None:
    async for event in engine.events(job_id):
        if event is not None:
            told = json.loads(event.data)
            if told["type"] not in LAST_EVENTS:
                listener(told)


async def _leave(engine: JobEngine, job_id: str) -> None:
    """The job is cancelled; being cancelled again meanwhile changes nothing."""

    async def cancel() -> None:
        with suppress(StoreIsUnavailable, TimeoutError):
            await engine.cancel(job_id)
            await asyncio.wait_for(engine.ended(job_id), ENDED_WITHIN_SEC)

    leaving = asyncio.create_task(cancel())
    while not leaving.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({leaving})
