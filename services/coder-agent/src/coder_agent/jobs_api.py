"""`/api/coding/jobs`: jobs that go on whoever comes and goes. Each user sees their own; an admin sees all."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from coder_agent.api import open_call
from coder_agent.attached import handed_in
from coder_agent.calls import LOCAL, Calls
from coder_agent.coding_job import last_event, new_job, stored_answer
from coder_agent.coding_request import CodingRequest
from coder_agent.engine.engine import JobEngine
from coder_agent.engine.records import ENDED, Event, Job
from coder_agent.settings import Settings
from coder_agent.shapes import JobList, JobView
from kitty_core.leaving import LAST_EVENTS
from kitty_core.problems import WITH_A_BODY, documented
from kitty_core.service import has_service_token
from kitty_core.wire import JsonResponse, to_json

MOST_LISTED = 500
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
LastEventId = Annotated[int, Header(alias="Last-Event-ID", ge=0, le=2**31 - 1)]
FOUND = documented(401, 403, 404, 422, 503)


def create_router(engine: JobEngine, settings: Settings, calls: Calls) -> APIRouter:
    """The routes of jobs."""
    router = APIRouter(prefix="/api/coding/jobs")

    @router.post(
        "",
        status_code=202,
        responses={202: {"model": JobView}, **documented(*WITH_A_BODY, 409, 429, 503)},
        response_class=Response,
    )
    async def submit(body: CodingRequest, request: Request, idempotency_key: Key = None) -> Response:
        """Hand a job in; it goes on when the client leaves. An `Idempotency-Key` of before gives the job of then.

        409: the key came with another body. 429 with Retry-After: too many wait.
        """
        call, ids = await open_call(calls, body, request, settings)
        sha256 = hashlib.sha256(to_json(body.model_dump(mode="json", exclude_unset=True)).encode()).hexdigest()
        new = new_job(body, ids, call.note, is_attached=False, key=idempotency_key, sha256=sha256)
        job = await handed_in(engine, new, call)
        location = {"Location": f"/api/coding/jobs/{job.id}"}
        return JsonResponse(shown(await engine.get(job.id)), status_code=202, headers=location)

    @router.get("", responses={200: {"model": JobList}, **FOUND}, response_class=Response)
    async def newest(request: Request, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50) -> Response:
        """The newest jobs first, without `result` and `error`."""
        found = await engine.newest(_only_of(request), limit)
        return JsonResponse({"jobs": [shown(job) for job in found]})

    @router.get("/{job_id}", responses={200: {"model": JobView}, **FOUND}, response_class=Response)
    async def show(job_id: str, request: Request) -> Response:
        """One job; `result` is the whole response once it has ended."""
        return JsonResponse(shown(await engine.get(job_id, _only_of(request))))

    @router.get(
        "/{job_id}/events",
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "Events"},
            204: {"description": "The job has ended, and `Last-Event-ID` was its last event"},
            **FOUND,
        },
        response_class=Response,
    )
    async def events(job_id: str, request: Request, last_event_id: LastEventId = 0) -> Response:
        """The job's events from the first, or behind `Last-Event-ID`, each with an `id:`; the last ends the stream."""
        job = await engine.get(job_id, _only_of(request))
        if job.has_ended and last_event_id >= job.last_event:
            return Response(status_code=204)
        frames = _frames(engine, job_id, last_event_id)
        return StreamingResponse(frames, media_type="text/event-stream", headers=STREAM_HEADERS)

    @router.post("/{job_id}/cancel", responses={200: {"model": JobView}, **FOUND}, response_class=Response)
    async def cancel(job_id: str, request: Request) -> Response:
        """End the job: at once where it waits, within two seconds where it runs. One that has ended stays as it is."""
        await engine.get(job_id, _only_of(request))
        return JsonResponse(shown(await engine.cancel(job_id)))

    @router.post(
        "/{job_id}/resume",
        status_code=202,
        responses={202: {"model": JobView}, **FOUND, **documented(409, 429)},
        response_class=Response,
    )
    async def resume(job_id: str, request: Request) -> Response:
        """Have a cancelled or failed job go on behind its last finished step; its deadline counts anew."""
        await engine.get(job_id, _only_of(request))
        await engine.resume(job_id)
        return JsonResponse(shown(await engine.get(job_id)), status_code=202)

    return router


def shown(job: Job) -> dict[str, Any]:
    """The job as the contract shows it."""
    answer = stored_answer(job) if job.answer is not None else None
    problem = answer.problem if answer is not None else None
    return {
        "job_id": job.id,
        "status": job.status,
        "verdict": job.verdict,
        "step": job.step,
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "finished_at": _iso(job.finished_at),
        "queue": job.queue,
        "queue_position": job.queue_position,
        "tool": "coding.generate",
        **json.loads(job.label),
        "user_id": job.user_id or None,
        "request_id": job.request_id,
        "conversation_id": job.conversation_id,
        "attempt": job.attempt,
        "worker": job.worker,
        "cancel_requested": job.cancel_requested and job.status not in ENDED,
        "last_event": job.last_event,
        "error": {"code": problem["code"], "detail": problem["detail"]} if problem is not None else None,
        "result": dict(answer.body) if answer is not None and answer.body else None,
    }


def _only_of(request: Request) -> str | None:
    """Whose jobs the caller sees; None: everybody's. A service says for whom it asks."""
    if not has_service_token(request):
        return LOCAL
    user, role = (request.headers.get(name, "").strip() for name in ("x-kitty-user", "x-kitty-role"))
    return None if role == "admin" or not user else user


async def _frames(engine: JobEngine, job_id: str, last_id: int) -> AsyncIterator[str]:
    async for event in engine.events(job_id, last_id):
        yield ": ping\n\n" if event is None else await _frame(engine, job_id, event)


async def _frame(engine: JobEngine, job_id: str, event: Event) -> str:
    data = event.data
    if json.loads(data)["type"] in LAST_EVENTS:
        job = await engine.get(job_id)
        if job.answer is not None and event.id == job.last_event:
            data = to_json(last_event(stored_answer(job)))
    return f"id: {event.id}\ndata: {data}\n\n"


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
