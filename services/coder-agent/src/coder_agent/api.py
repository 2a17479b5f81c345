"""The routes. They translate between HTTP and jobs, nothing more."""

import asyncio
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from coder_agent.backends import Backends
from coder_agent.decision import TIERS
from coder_agent.direct import Call, DirectCalls, Events
from coder_agent.errors import NetworkIsRefused
from coder_agent.jobs import Answer, Ids, Jobs
from coder_agent.settings import Settings
from coder_agent.shapes import CodingResponse, Health
from coder_agent.state import Task
from coder_agent.task import module_name_problem, read_task
from kitty_core.audit.late import LateAuditLog
from kitty_core.errors import KittyError
from kitty_core.leaving import error_event, events_of, gone_from, unless_gone
from kitty_core.problems import WITH_A_BODY, documented
from kitty_core.wire import JsonResponse
from kitty_sandbox import Sandbox, SandboxStatus

PROBED_WITHIN_SEC = 0.6
BEING_PROBED = SandboxStatus(False, reason="The sandbox is being probed; ask again.")
PLAIN_MODEL = re.compile(r"[\w.:-]{1,100}", re.ASCII)
MOST_TEXT = 200_000
Text = Annotated[str, Field(max_length=MOST_TEXT)]
PROBLEMS = documented(*WITH_A_BODY, 499, 502, 503, 504)


class CodingRequest(BaseModel):
    """A request for code. Only `request` is needed."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=False)

    request: Annotated[str, Field(min_length=1, max_length=20_000)]
    tests: Text | None = None
    module: str = "solution.py"
    files: Annotated[dict[str, Text], Field(max_length=50)] = Field(default_factory=dict)
    max_refinements: Annotated[int, Field(ge=0, le=8)] | None = None
    timeout_seconds: Annotated[float, Field(ge=1, le=300)] | None = None
    deadline_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    tier: Literal["fast", "standard", "deep"] = "standard"
    model: str | None = None
    conversation_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, validation_alias=AliasChoices("conversation_id", "conversationId")
    )
    user_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, validation_alias=AliasChoices("user_id", "userId")
    )
    allow_network: bool = False

    @field_validator("request", "tests")
    @classmethod
    def _is_text(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "\x00" in value:
            raise ValueError("holds a NUL character")
        if not value.strip():
            raise ValueError("is empty")
        _encodable(value)
        return value

    @field_validator("module")
    @classmethod
    def _is_plain_module(cls, value: str) -> str:
        if problem := module_name_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("files")
    @classmethod
    def _are_plain_files(cls, value: dict[str, str]) -> dict[str, str]:
        for path, text in value.items():
            if not is_plain_path(path):
                raise ValueError(f"{path!r} is not a plain relative path (no '..', no leading '/', no links)")
            if "\x00" in text:
                raise ValueError(f"{path!r} holds a NUL character")
            _encodable(text)
        return value

    @field_validator("model")
    @classmethod
    def _is_alias(cls, value: str | None) -> str | None:
        if value is not None and not PLAIN_MODEL.fullmatch(value):
            raise ValueError("must be an alias such as kitty-coder, not a path or an address")
        return value


def is_plain_path(path: str) -> bool:
    """Whether `path` is relative, stays below its folder, and holds nothing odd."""
    parts = path.split("/")
    return (
        0 < len(path) <= 200
        and path.isprintable()
        and not any(c in path for c in "\\:")
        and all(part not in {"", ".", ".."} for part in parts)
    )


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode text") from None


def create_router(
    jobs: Jobs, backends: Backends, sandbox: Sandbox, settings: Settings, calls: DirectCalls, trail: LateAuditLog
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
        call = await calls.begin(request)
        task, ids = await _read(body, request, call, settings)
        job = call.runs(jobs.run(task, ids, lambda event: None), ids.job_id)
        return _response(await unless_gone(job, gone_from(request.receive)))

    @router.post(
        "/api/coding/stream",
        responses={200: {"content": {"text/event-stream": {}}, "description": "Events"}, **documented(*WITH_A_BODY)},
        response_class=Response,
    )
    async def stream(body: CodingRequest, request: Request) -> Response:
        """The same job as server-sent events; the last is `complete` with the whole response, or `error`."""
        call = await calls.begin(request)
        task, ids = await _read(body, request, call, settings)
        frames = events_of(lambda listener: call.runs(jobs.run(task, ids, listener), ids.job_id), _last_event)
        return Events(frames, call)

    @router.get("/healthz", responses={200: {"model": Health}})
    async def healthz() -> dict[str, Any]:
        """How the service is, in under a second, with every model down too. Nothing is generated."""
        servers, status = await asyncio.gather(backends.health(), _probed_soon(sandbox))
        is_up = any(state in {"ok", "loading", "unknown"} for state in servers.values())
        is_isolating = status.available or status is BEING_PROBED or not settings.sandbox_enabled
        is_well = is_up and is_isolating and not calls.rows_lost
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
            "jobs_running": jobs.running,
            "jobs_queued": jobs.queued,
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


def _task(body: CodingRequest, settings: Settings) -> Task:
    if body.allow_network:
        raise NetworkIsRefused
    limits = TIERS[body.tier]
    return read_task(
        request=body.request,
        module=body.module if "module" in body.model_fields_set else None,
        caller_tests=body.tests,
        files=body.files,
        limits=limits,
        refinements=settings.coder_refine_passes if body.max_refinements is None else body.max_refinements,
        runs_code=settings.sandbox_enabled,
        tier=body.tier,
        model=body.model,
        timeout_sec=body.timeout_seconds or settings.coder_test_timeout_sec,
        deadline_sec=body.deadline_seconds,
    )


async def _read(body: CodingRequest, request: Request, call: Call, settings: Settings) -> tuple[Task, Ids]:
    try:
        task = await asyncio.to_thread(_task, body, settings)
    except NetworkIsRefused as error:
        await call.refuse(error)
        raise
    except KittyError:
        call.drop()
        raise
    user_id = call.user_of(body.user_id)
    return task, Ids(request_id=request.scope["request_id"], conversation_id=body.conversation_id, user_id=user_id)


def _response(answer: Answer) -> Response:
    if answer.error is None:
        return JsonResponse(dict(answer.body))
    # Here `code` is the program, as in every answer that holds one; the stable code is `verdict` and `error_code`.
    body = {**answer.error.to_problem(), **answer.body, "error_code": answer.error.code}
    return JsonResponse(body, status_code=answer.error.status, media_type="application/problem+json")


def _last_event(job: "asyncio.Task[Answer]") -> dict[str, Any]:
    try:
        answer = job.result()
    except Exception as error:  # noqa: BLE001 - the stream has begun
        return error_event(error)
    if answer.error is not None:
        error_code = answer.error.code
        return {"type": "error", "error": answer.error.message, "code": error_code, "result": dict(answer.body)}
    body = answer.body
    return {
        "type": "complete",
        "success": body["success"],
        "testsPassed": body["tests_passed"],
        "refinementCount": body["refinement_count"],
        "verdict": body["verdict"],
        "result": dict(body),
    }
