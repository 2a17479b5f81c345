"""`/api/tools`: what tools there are, and calling one by its name."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from gateway.auth import Caller
from gateway.commands import BrokerCommands
from gateway.denials import Denials
from gateway.door import Door
from gateway.gatekeeper import caller_of
from gateway.offers import digest_of, for_model, for_person
from gateway.overrides import Overrides
from gateway.routes.documents import CALL_RESPONSES, PROBLEMS
from gateway.routes.shapes import wrapped_answer
from gateway.wish import CONVERSATION_FIELDS, DEEPEST, Wish
from kitty_core.hazard import find_override
from kitty_core.leaving import gone_from
from kitty_core.registry import LiveRegistry
from kitty_core.wire import is_nested_deeper

Asker = Annotated[Caller, Depends(caller_of)]


class ToolCall(BaseModel):
    """A call of a tool."""

    model_config = ConfigDict(extra="ignore")

    arguments: dict[str, Any] = Field(default_factory=dict)
    """Checked against the tool's schema."""
    conversation_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, validation_alias=AliasChoices(*CONVERSATION_FIELDS)
    )
    """`conversationId` too."""
    message: str | None = None
    """The person's own words of now: the override word counts only here. Never kept."""

    @field_validator("arguments")
    @classmethod
    def _is_flat_enough(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        if is_nested_deeper(arguments, DEEPEST):
            raise ValueError(f"nested more than {DEEPEST} deep")
        return arguments


class ToolList(BaseModel):
    """The tools."""

    tools: list[dict[str, Any]]
    digest: str
    """Changes when what models see or what decides about a call does."""


def create_router(
    door: Door,
    live: LiveRegistry,
    commands: BrokerCommands,
    overrides: Overrides,
    override_word: str,
    denials: Denials,
) -> APIRouter:
    """The two routes."""
    router = APIRouter(route_class=denials.route_class)

    @router.get("/api/tools", responses=PROBLEMS)
    async def list_tools(
        request: Request, caller: Asker, seen_by: Annotated[Literal["model"] | None, Query(alias="for")] = None
    ) -> ToolList:
        """All tools with their schemas; with `?for=model` those that are enabled, under the names models use.

        A tool that runs the broker's commands has them in `commands`; in the schema for models they are an enum.
        """
        registry = live.current
        runs_commands = any(tool.enabled and tool.hazard_from is not None for tool in registry.tools.values())
        known = await commands.listed(request.scope["request_id"]) if runs_commands else ()
        if seen_by == "model":
            tools = [for_model(tool, known) for tool in registry.tools.values() if tool.enabled]
        else:
            tools = [for_person(tool, known) for tool in registry.tools.values()]
        return ToolList(tools=tools, digest=digest_of(registry, known))

    @router.post("/api/tools/{name}", responses=CALL_RESPONSES, response_class=Response)
    async def call_tool(name: str, body: ToolCall, request: Request, caller: Asker) -> Response:
        """Call a tool: `{tool, decision, status, result}`, or 202 and the confirmation shape with nothing run."""
        wish = Wish(
            tool=name,
            arguments=body.arguments,
            caller=caller,
            request_id=request.scope["request_id"],
            conversation_id=body.conversation_id,
            override_given=_override_given(name, body, caller, request.scope["request_id"]),
        )
        return wrapped_answer(await door.invoke(wish, gone_from(request.receive)), caller)

    def _override_given(name: str, body: ToolCall, caller: Caller, request_id: str) -> bool:
        if caller.surface == "human":
            return find_override(body.message or "", override_word)[0]
        tool = live.current.find(name)  # a call that needs none uses none up
        return tool is not None and tool.requires_override and overrides.take(request_id, caller.user_id)

    return router
