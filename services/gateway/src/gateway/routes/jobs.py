"""`/api/coding/jobs`: jobs that were handed in (by `routes.coding`), looked at, followed, cancelled, resumed.

caller ──> who asks ──> coder-agent: their own jobs; an admin who is a person: all ──> its answer as it is

They call no tool: no hazard is judged, and no row is written. A model sees the jobs of its user, whatever their role.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from gateway.auth import Caller
from gateway.errors import NoSuchJob, ServiceAnsweredBadly, ServiceIsTooSlow
from gateway.frames import EVENTS
from gateway.gatekeeper import caller_of
from gateway.passage import Passage, Passing, no_row
from gateway.proxy import Upstreams, passed_on, whole_of
from gateway.routes.documents import JOB_PROBLEMS, OBJECT
from gateway.routes.shapes import as_json
from kitty_core.leaving import gone_from, unless_gone
from kitty_core.wire import from_json

PATH = "/api/coding/jobs"
NAME = "coder-agent"
ANSWERED_WITHIN_SEC = 60.0
MOST_LISTED = 500
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
"""What stands in a path of the service: nothing else could lead to another one."""
NO_CONTENT = 204
Asker = Annotated[Caller, Depends(caller_of)]
LastEventId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=2**31 - 1)]
JOB: dict[int | str, dict[str, Any]] = {200: {"description": "The job", "content": OBJECT}, **JOB_PROBLEMS}


class Jobs:
    """Passes on what is asked of jobs."""

    def __init__(self, upstreams: Upstreams, deadline_sec: float) -> None:
        """`deadline_sec`: after so long events are broken off; whoever reads them comes again."""
        self._upstreams = upstreams
        self._base = f"{upstreams.bases[NAME]}{PATH}"
        self._deadline_sec = deadline_sec

    async def ask(self, request: Request, caller: Caller, rest: str = "", query: str = "") -> Response:
        """The service's answer to the same request.

        Raises:
            KittyError: it gave none.
        """
        headers = self._upstreams.headers_for(_seen(caller), request.scope["request_id"], request.headers)
        url = f"{self._base}{rest}"
        async with AsyncExitStack() as held:
            opening = self._opened(request.method, url, headers, query, held)
            response, content = await unless_gone(opening, gone_from(request.receive))
            if content is None:
                until = asyncio.get_running_loop().time() + self._deadline_sec
                return Passing(Passage(response, held.pop_all(), until, no_row, is_resumable=True))
        return _answer(response, content)

    async def _opened(
        self, method: str, url: str, headers: Mapping[str, str], query: str, held: AsyncExitStack
    ) -> tuple[httpx.Response, bytes | None]:
        """The answer with its whole content; with None where it is events, which `held` keeps open."""
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_SEC):
                response = await held.enter_async_context(self._upstreams.open(method, url, headers, None, query))
                if response.headers.get("content-type", "").startswith(EVENTS):
                    return response, None
                return response, await whole_of(response, NAME)
        except TimeoutError:
            raise ServiceIsTooSlow(f"{NAME} did not answer in time.", service=NAME) from None
        except httpx.HTTPError as error:
            raise self._upstreams.failure(url, error) from error


def create_router(jobs: Jobs) -> APIRouter:
    """The five routes."""
    router = APIRouter()

    @router.get(PATH, responses=JOB | {200: {"description": "The jobs", "content": OBJECT}}, response_class=Response)
    async def newest_jobs(
        request: Request, caller: Asker, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50
    ) -> Response:
        """The newest jobs first, without their results: the caller's own; an admin's list has everybody's."""
        return await jobs.ask(request, caller, query=f"limit={limit}")

    @router.get(f"{PATH}/{{job_id}}", responses=JOB, response_class=Response)
    async def show_job(job_id: str, request: Request, caller: Asker) -> Response:
        """One job; `result` is the whole response once it has ended."""
        return await jobs.ask(request, caller, _named(job_id))

    @router.get(
        f"{PATH}/{{job_id}}/events",
        responses={
            200: {"description": "Events, each with an `id:`", "content": {EVENTS: {}}},
            204: {"description": "The job has ended, and `Last-Event-ID` was its last event"},
            **JOB_PROBLEMS,
        },
        response_class=Response,
    )
    async def job_events(job_id: str, request: Request, caller: Asker, last_event_id: LastEventId = None) -> Response:
        """The job's events from the first, or behind `Last-Event-ID`. Whoever is cut off asks again with that."""
        answer = await jobs.ask(request, caller, f"{_named(job_id)}/events")
        if not isinstance(answer, Passing) and answer.status_code == httpx.codes.OK:
            raise ServiceAnsweredBadly(f"{NAME} answered with something that is no events.")
        return answer

    @router.post(f"{PATH}/{{job_id}}/cancel", responses=JOB, response_class=Response)
    async def cancel_job(job_id: str, request: Request, caller: Asker) -> Response:
        """End the job. One that has ended stays as it is."""
        return await jobs.ask(request, caller, f"{_named(job_id)}/cancel")

    @router.post(
        f"{PATH}/{{job_id}}/resume",
        status_code=202,
        responses={202: {"description": "It goes on", "content": OBJECT}, **JOB_PROBLEMS},
        response_class=Response,
    )
    async def resume_job(job_id: str, request: Request, caller: Asker) -> Response:
        """Have a cancelled or failed job go on behind its last finished step."""
        return await jobs.ask(request, caller, f"{_named(job_id)}/resume")

    return router


def location_of(body: object) -> str | None:
    """Where a job is that was handed in, by the service's answer to that."""
    job_id = body.get("job_id") if isinstance(body, Mapping) else None
    return f"{PATH}/{job_id}" if isinstance(job_id, str) and JOB_ID.fullmatch(job_id) else None


def _seen(caller: Caller) -> Caller:
    return replace(caller, role="user") if caller.surface == "model" and caller.role == "admin" else caller


def _named(job_id: str) -> str:
    """Raises: NoSuchJob: that is no id."""
    if not JOB_ID.fullmatch(job_id):
        raise NoSuchJob
    return f"/{job_id}"


def _answer(response: httpx.Response, content: bytes) -> Response:
    """Raises: ServiceAnsweredBadly: it is no JSON."""
    if response.status_code == NO_CONTENT:
        return Response(status_code=NO_CONTENT)
    try:
        from_json(content)
    except (ValueError, RecursionError):
        raise ServiceAnsweredBadly(f"{NAME} answered with {response.status_code} and no JSON.") from None
    return as_json(response.status_code, passed_on(response.headers.multi_items()), content)
