"""The routes. They translate between HTTP and jobs, nothing more."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from coder_agent.attached import attached
from coder_agent.backends import Backends
from coder_agent.calls import Call, Calls, Events
from coder_agent.coding_job import StoredAnswer, last_event
from coder_agent.coding_request import CodingRequest, FixRequest, JobRequest, task_of
from coder_agent.engine.engine import JobEngine
from coder_agent.engine.errors import StoreIsUnavailable
from coder_agent.errors import NetworkIsRefused
from coder_agent.runner import Ids
from coder_agent.settings import Settings
from coder_agent.shapes import CodingResponse, Health
from kitty_core.audit.late import LateAuditLog
from kitty_core.errors import KittyError
from kitty_core.leaving import error_event, events_of, gone_from, unless_gone
from kitty_core.problems import WITH_A_BODY, documented
from kitty_core.wire import JsonResponse
from kitty_sandbox import Sandbox, SandboxStatus

PROBED_WITHIN_SEC = 0.6
COUNTED_WITHIN_SEC = 0.6
BEING_PROBED = SandboxStatus(False, reason="The sandbox is being probed; ask again.")
PROBLEMS = documented(*WITH_A_BODY, 429, 499, 502, 503, 504)


def create_router(
    engine: JobEngine, backends: Backends, sandbox: Sandbox, settings: Settings, calls: Calls, trail: LateAuditLog
) -> APIRouter:
    """The coder-agent's routes over its parts."""
    router = APIRouter()

    @router.post(
        "/api/coding/generate", responses={200: {"model": CodingResponse}, **PROBLEMS}, response_class=Response
    )
    async def generate(body: CodingRequest, request: Request) -> Response:
        """Code, its tests and an earned verdict. A client that disconnects cancels its job.

        200 with `verdict` verified, tests_failed, not_verified or budget_exhausted; 503 model_unavailable or
        sandbox_unavailable (the body still has `code` and `tests` where there are any); 504 deadline before any code.
        """
        call, ids = await open_call(calls, body, request, settings)
        job = attached(engine, body, ids, call)
        return _response(await unless_gone(job, gone_from(request.receive)))

    @router.post("/api/coding/fix", responses={200: {"model": CodingResponse}, **PROBLEMS}, response_class=Response)
    async def fix(body: FixRequest, request: Request) -> Response:
        """`code` corrected so that its tests pass, changed as little as possible, and an earned verdict.

        What passed before passes afterwards, or nothing is changed. `diff` shows the change, `files` has the module.
        With an `error` alone nothing can be verified. Otherwise as `/generate`.
        """
        call, ids = await open_call(calls, body, request, settings)
        job = attached(engine, body, ids, call)
        return _response(await unless_gone(job, gone_from(request.receive)))

    @router.post(
        "/api/coding/stream",
        responses={200: {"content": {"text/event-stream": {}}, "description": "Events"}, **documented(*WITH_A_BODY)},
        response_class=Response,
    )
    async def stream(body: CodingRequest, request: Request) -> Response:
        """The same job as server-sent events; the last is `complete` with the whole response, or `error`."""
        call, ids = await open_call(calls, body, request, settings)
        frames = events_of(lambda tell: attached(engine, body, ids, call, tell), _last_event)
        return Events(frames, call)

    @router.get("/healthz", responses={200: {"model": Health}})
    async def healthz() -> dict[str, Any]:
        """How the service is, in under a second, with every model down too. Nothing is generated."""
        servers, status, counts = await asyncio.gather(backends.health(), _probed_soon(sandbox), _counted_soon(engine))
        is_up = any(state in {"ok", "loading", "unknown"} for state in servers.values())
        is_isolating = status.available or status is BEING_PROBED or not settings.sandbox_enabled
        is_well = is_up and is_isolating and not calls.rows_lost and counts is not None
        return {
            "service": "coder-agent",
            "status": "ok" if is_well else "degraded" if is_up or is_isolating else "error",
            "access": "open" if settings.is_loopback else "token",
            "llm_servers": servers,
            "sandbox": {
                "enabled": settings.sandbox_enabled,
                "available": status.available,
                "sandbox_tier": status.sandbox_tier,
                "python": status.python,
                "reason": status.reason,
                "fix": status.fix,
                "warnings": list(status.warnings),
            },
            "embedded_model": backends.embedded.default if backends.embedded else None,
            "jobs_running": counts["running"] if counts else None,
            "jobs_queued": counts["queued"] if counts else None,
            "audit": {"spooled_rows": await asyncio.to_thread(lambda: trail.waiting), "lost_rows": calls.rows_lost},
        }

    @router.get("/readyz", responses={200: {"model": Health}, 503: {"model": Health}}, response_class=Response)
    async def readyz() -> Response:
        """200 when a job could run now: a model answers and the sandbox isolates; else 503 with the reason."""
        health = await healthz()
        is_ready = health["status"] == "ok" and "ok" in health["llm_servers"].values()
        return JsonResponse(health, status_code=200 if is_ready else 503)

    return router


async def _probed_soon(sandbox: Sandbox) -> SandboxStatus:
    """The sandbox's status; while its first probe still runs, that it does. The probe goes on."""
    probe = asyncio.ensure_future(sandbox.probe())
    done, _ = await asyncio.wait({probe}, timeout=PROBED_WITHIN_SEC)
    return probe.result() if done else BEING_PROBED


async def _counted_soon(engine: JobEngine) -> dict[str, int] | None:
    """None: the jobs' database does not answer in time."""
    try:
        return await asyncio.wait_for(engine.counts(), COUNTED_WITHIN_SEC)
    except (StoreIsUnavailable, TimeoutError):
        return None


async def open_call(calls: Calls, body: JobRequest, request: Request, settings: Settings) -> tuple[Call, Ids]:
    """The call that `request` makes, and what the job of `body`, of which a task can be made, will be known by.

    Raises:
        KittyError: it cannot; the call has left its row, or leaves none.
    """
    async with calls.entry:
        call = await calls.begin(request, body.tool)
        try:
            await asyncio.to_thread(task_of, body, settings)
        except NetworkIsRefused as error:
            await call.refuse(error)
            raise
        except KittyError:
            call.drop()
            raise
        return call, call.ids(request, body.user_id, body.conversation_id)


def _response(answer: StoredAnswer) -> Response:
    if answer.problem is None:
        return JsonResponse(dict(answer.body))
    # Here `code` is the program, as in every answer that holds one; the stable code is `verdict` and `error_code`.
    body = {**answer.problem, **answer.body, "error_code": answer.problem["code"]}
    return JsonResponse(body, status_code=answer.status, media_type="application/problem+json")


def _last_event(job: "asyncio.Task[StoredAnswer]") -> dict[str, Any]:
    try:
        answer = job.result()
    except Exception as error:  # noqa: BLE001 - the stream has begun
        return error_event(error)
    return last_event(answer)
