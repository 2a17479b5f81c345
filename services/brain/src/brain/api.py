"""The routes. They translate between HTTP and queries, nothing more."""

import asyncio
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from starlette.responses import Response

from brain.completion_request import CompletionRequest
from brain.directives import Directive, read_directive
from brain.door import Caller, Door
from brain.errors import OtherUser
from brain.history import Exchange
from brain.models import ALIASES, PLAIN_MODEL, ModelServers
from brain.queries import Asked, Queries
from brain.question import Question, ToolMode
from brain.shapes import Health, ModelList, QueryResponse
from kitty_core.leaving import error_event, events_of, gone_from, unless_gone
from kitty_core.problems import WITH_A_BODY, documented
from kitty_core.wire import JsonResponse
from kitty_llm import Role
from kitty_llm.health import best_of

MOST_TEXT = 200_000
Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT, pattern=r"\S")]
Short = Annotated[str, Field(max_length=200)]
UserId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}$")]
"""As the gateway names people: it travels in a header."""
PROBLEMS = documented(*WITH_A_BODY, 499, 502, 503)


def _in_small_letters(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


AnyCase = BeforeValidator(_in_small_letters)
"""`F16` and `ON` are `f16` and `on`."""


def _either(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Payload(BaseModel):
    """Where some clients put the prompt."""

    model_config = ConfigDict(extra="ignore")

    prompt: Text


class Query(BaseModel):
    """A message. `prompt`, here or in `payload`, is all that is needed; every name is read in snake_case too."""

    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"anyOf": [{"required": ["prompt"]}, {"required": ["payload"]}]}
    )

    prompt: Text | None = None
    payload: Payload | None = None
    conversation_id: Short | None = Field(None, validation_alias=_either("conversationId", "conversation_id"))
    user_id: UserId | None = Field(None, validation_alias=_either("userId", "user_id"))
    intent: Short = "query"
    force_tier: Annotated[Literal["q4", "f16", "coder", "local"] | None, AnyCase] = Field(
        None, validation_alias=_either("forceTier", "force_tier")
    )
    """The role that has to answer; `local` leaves it to the brain: everything is local."""
    model_alias: Annotated[str, Field(pattern=PLAIN_MODEL)] | None = Field(
        None, validation_alias=_either("modelAlias", "model_alias")
    )
    use_agent: bool = Field(True, validation_alias=_either("useAgent", "use_agent"))
    """false: as `toolMode` off."""
    tool_mode: Annotated[ToolMode, AnyCase] = Field("auto", validation_alias=_either("toolMode", "tool_mode"))
    """`on`: a tool has to be called; `off`: a plain answer of the model."""
    verbosity: Annotated[int, Field(ge=1, le=5)] | None = None
    completion: CompletionRequest | None = None
    """A raw call of the model in place of the prompt, which then is read by nobody. Only with tools off."""

    @field_validator("prompt", "conversation_id", "user_id", "intent", "payload")
    @classmethod
    def _is_unicode(cls, value: Any) -> Any:
        text = value.prompt if isinstance(value, Payload) else value
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise ValueError("is not valid Unicode text") from None
        return value

    @model_validator(mode="after")
    def _has_a_prompt(self) -> "Query":
        if self.prompt is None and self.payload is None:
            raise ValueError("prompt is missing")
        return self

    @model_validator(mode="after")
    def _completes_without_tools(self) -> "Query":
        if self.completion is not None and self.use_agent and self.tool_mode != "off":
            raise ValueError("completion wants toolMode off, or useAgent false")
        return self


class Said(BaseModel):
    """One exchange of a conversation."""

    model_config = ConfigDict(extra="ignore")

    conversation_id: Annotated[
        str, Field(min_length=1, max_length=200, validation_alias=_either("conversationId", "conversation_id"))
    ]
    user_id: UserId | None = Field(None, validation_alias=_either("userId", "user_id"))
    message: Text
    answer: Text
    is_coding: bool = Field(False, validation_alias=_either("isCoding", "is_coding"))
    """The answer is code."""


def create_router(queries: Queries, models: ModelServers, door: Door) -> APIRouter:
    """The brain's routes over its parts."""
    router = APIRouter()

    @router.post("/api/query", responses={200: {"model": QueryResponse}, **PROBLEMS}, response_class=Response)
    async def query(body: Query, request: Request) -> Response:
        """Say something. Code that is asked for is written and tested by coding.generate; the rest is answered.

        A `conversationId` is the caller's own: one that is not known begins a conversation, and
        `routing.metadata.remembered` says how many exchanges of it were remembered. A `modelAlias` that is no alias of
        the house and that no model server lists is 422 `unknown_model`.

        With `completion` the model is sent exactly its messages, and `routing.metadata.completion` says what came of
        it; no history, cache, directive or tool has a part in that. A client that disconnects stops the model and the
        tool.
        """
        answer = queries.answer(_asked(body, request), lambda event: None)
        return JsonResponse(await unless_gone(answer, gone_from(request.receive)))

    @router.post(
        "/api/query/stream",
        responses={200: {"content": {"text/event-stream": {}}, "description": "Events"}, **PROBLEMS},
        response_class=Response,
    )
    async def stream(body: Query, request: Request) -> Response:
        """The same as server-sent events, each `data: {json}`.

        `routing`, `step`, `tool_start`, `tool_end`, `delta{delta}` as they happen, then exactly one
        `complete{result}` (the whole response) or `error{error, code}`. With `completion`: `prefill{done, total}` and
        `delta{delta}`, then the same ending.
        """
        asked = _asked(body, request)
        return StreamingResponse(
            events_of(lambda listener: queries.answer(asked, listener), _last_event),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    @router.post("/api/exchanges", status_code=204, responses=documented(*WITH_A_BODY))
    async def remember(body: Said, request: Request) -> Response:
        """Something was said and answered without the brain, as a confirmed call is: it belongs to the conversation."""
        caller = _caller(body, request)
        queries.remember(caller.user_id, body.conversation_id, Exchange(body.message, body.answer, body.is_coding))
        return Response(status_code=204)

    @router.get("/api/routing/models", responses={200: {"model": ModelList}, **documented()}, response_class=Response)
    async def routing_models() -> Response:
        """The roles, their servers, what each is asked for, and how many calls can be worked on at once.

        `state` is the best of a role's `servers`, `base_url` the first.
        """
        found, slots = await asyncio.gather(models.health_by_server(), models.slots())
        used = {
            "q4": "routing, tools, answers",
            "f16": "where q4 is unsure or chooses badly",
            "coder": "only where forced",
        }
        listed = [
            {
                "tier": role,
                "alias": alias,
                "base_url": next(iter(found[role])),
                "state": best_of(found[role].values()),
                "used_for": used[role],
                "servers": [{"base_url": base_url, "state": state} for base_url, state in found[role].items()],
            }
            for role, alias in ALIASES.items()
        ]
        return JsonResponse({"models": listed, "default": "q4", "slots": slots})

    @router.get("/healthz", responses={200: {"model": Health}}, response_class=Response)
    async def healthz() -> Response:
        """How the service is, in under a second, with everything else down too. Nothing is generated."""
        servers, has_gateway = await asyncio.gather(models.health(), door.is_there())
        has_model = any(state in {"ok", "loading"} for state in servers.values())
        status = "ok" if has_model and has_gateway else "degraded" if has_model else "error"
        gateway = "ok" if has_gateway else "down"
        return JsonResponse({"service": "brain", "status": status, "llm_servers": servers, "gateway": gateway})

    return router


def _asked(body: Query, request: Request) -> Asked:
    text = body.prompt or (body.payload.prompt if body.payload else "")
    directive = Directive(text) if body.completion else read_directive(text)
    uses_agent = body.use_agent if directive.uses_agent is None else directive.uses_agent
    mode: ToolMode = body.tool_mode if uses_agent else "off"
    role: Role | None = None if body.force_tier == "local" else body.force_tier
    question = Question(
        text=text,
        request=directive.request,
        caller=_caller(body, request),
        conversation_id=body.conversation_id or uuid4().hex,
        tool=directive.tool if mode != "off" else None,
        is_ordered=bool(directive.uses_agent),
        tool_mode=mode,
        role=role,
        verbosity=body.verbosity,
    )
    raw = body.completion.call() if body.completion else None
    return Asked(question, body.intent, directive.model or body.model_alias, bool(body.conversation_id), raw)


def _caller(body: Query | Said, request: Request) -> Caller:
    """Who asks: the gateway says so in a header, and only it (or who has its token) gets here."""
    told = request.headers.get("x-kitty-user", "").strip()
    if told and body.user_id and body.user_id != told:
        raise OtherUser(f"userId has to be {told!r}, or to be left out.")
    return Caller(
        user_id=told or body.user_id or "local",
        request_id=str(request.scope.get("request_id") or uuid4().hex),
        role=request.headers.get("x-kitty-role"),
        is_read_only=request.headers.get("x-remote-mode", "").strip().lower() == "read-only",
    )


def _last_event(answer: "asyncio.Task[dict[str, Any]]") -> dict[str, Any]:
    try:
        return {"type": "complete", "result": answer.result()}
    except Exception as error:  # noqa: BLE001 - the stream has begun: the failure can only be told in it
        return error_event(error)
