"""The routes. They translate between HTTP and the allow-list's commands, nothing more."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from broker.allowlist import Hazard
from broker.attempts import Attempts, Result
from kitty_core.leaving import gone_from, unless_gone
from kitty_core.problems import WITH_A_BODY, documented

Id = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ExecRequest(BaseModel):
    """One command to run."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"command": "disk.usage", "args": {}, "user_id": "local"}]},
    )

    command: Annotated[str, Field(min_length=1, max_length=200)]
    args: dict[str, Any] = Field(default_factory=dict)
    """See `/commands/{name}/schema`."""
    user_id: Id
    conversation_id: Id | None = None
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds; never more than the command's own."""


class ExecResponse(BaseModel):
    """How a command ended. `success`: it exited with 0."""

    success: bool
    command: str
    stdout: str
    stderr: str
    exit_code: int | None
    """None: killed at the deadline, or not started. Negative: the signal that ended it."""
    timeout_exceeded: bool
    error: str | None
    stdout_discarded: int
    """Bytes that came after those that are kept."""
    stderr_discarded: int
    seconds: float
    hazard_class: Hazard


class CommandSummary(BaseModel):
    """One entry of the allow-list."""

    name: str
    description: str
    hazard_class: Hazard
    requires_confirmation: bool
    timeout_sec: int
    workspace: bool
    available: bool
    reason: str | None
    """Why it is not available."""
    args_schema: dict[str, Any]
    """JSON Schema of its `args`, as `/commands/{name}/schema` tells it."""


class CommandList(BaseModel):
    """The whole allow-list."""

    commands: list[CommandSummary]


class Health(BaseModel):
    """How the broker is."""

    service: str
    status: str
    commands_available: int
    commands_unavailable: int
    running: int
    runs_as: str
    landlock_abi: int
    """0: the kernel does not keep confined commands from reading outside their workspace."""


def create_router(attempts: Attempts) -> APIRouter:
    """The broker's routes over its parts."""
    router = APIRouter()

    @router.get("/commands", responses=documented())
    async def commands() -> CommandList:
        """The commands there are, each with its hazard class, what it takes, and whether it can run here."""
        return CommandList(commands=[_summary(attempts, name) for name in attempts.commands])

    @router.get("/commands/{name}/schema", responses=documented(404, 422))
    async def schema(name: str) -> dict[str, Any]:
        """JSON Schema of a command's `args`."""
        return attempts.find(name).schema

    @router.post("/exec", responses=documented(*WITH_A_BODY, 404, 429, 499, 500, 503))
    async def execute(body: ExecRequest, request: Request) -> ExecResponse:
        """Run one listed command to its end. A client that disconnects ends it.

        404 unknown_command; 422 bad_arguments names each place; 429 as many run as may; 503 command_unavailable.
        """
        attempt = attempts.run(body.command, body.args, body.user_id, body.conversation_id, body.timeout)
        return _response(await unless_gone(attempt, gone_from(request.receive)))

    @router.get("/healthz")
    async def healthz() -> Health:
        """How the service is. Nothing is run."""
        available = sum(attempts.why_not(command) is None for command in attempts.commands.values())
        return Health(
            service="broker",
            status="ok" if available else "degraded",
            commands_available=available,
            commands_unavailable=len(attempts.commands) - available,
            running=attempts.running,
            runs_as=attempts.runs_as,
            landlock_abi=attempts.landlock_abi,
        )

    return router


def _summary(attempts: Attempts, name: str) -> CommandSummary:
    command = attempts.commands[name]
    reason = attempts.why_not(command)
    return CommandSummary(
        name=name,
        description=command.description,
        hazard_class=command.hazard_class,
        requires_confirmation=command.hazard_class == "high",
        timeout_sec=command.timeout_sec,
        workspace=command.workspace,
        available=reason is None,
        reason=reason,
        args_schema=command.schema,
    )


def _response(result: Result) -> ExecResponse:
    command, ending = result.command, result.ending
    return ExecResponse(
        success=ending.exit_code == 0,
        command=command.name,
        stdout=ending.stdout.text,
        stderr=ending.stderr.text,
        exit_code=ending.exit_code,
        timeout_exceeded=ending.timed_out,
        error=result.error,
        stdout_discarded=ending.stdout.discarded,
        stderr_discarded=ending.stderr.discarded,
        seconds=round(ending.seconds, 3),
        hazard_class=command.hazard_class,
    )
