"""`/api/tools`: what tools there are, and calling one by its name."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from gateway.auth import Caller
from gateway.denials import Denials
from gateway.door import Door
from gateway.gatekeeper import caller_of
from gateway.overrides import Overrides
from gateway.routes.documents import CALL_RESPONSES, PROBLEMS
from gateway.routes.shapes import wrapped_answer
from gateway.wish import CONVERSATION_FIELDS, DEEPEST, Wish
from kitty_core.hazard import find_override
from kitty_core.leaving import gone_from
from kitty_core.registry import LiveRegistry
from kitty_core.tools import Tool
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
    door: Door, live: LiveRegistry, overrides: Overrides, override_word: str, denials: Denials
) -> APIRouter:
    """The two routes."""
    router = APIRouter(route_class=denials.route_class)

    @router.get("/api/tools", responses=PROBLEMS)
    async def list_tools(
        caller: Asker, seen_by: Annotated[Literal["model"] | None, Query(alias="for")] = None
    ) -> ToolList:
        """All tools with their schemas; with `?for=model` those that are enabled, under the names models use."""
        registry = live.current
        if seen_by == "model":
            tools = [_for_model(tool) for tool in registry.tools.values() if tool.enabled]
        else:
            tools = [_for_person(tool) for tool in registry.tools.values()]
        return ToolList(tools=tools, digest=registry.digest)

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


def _for_person(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "schema": dict(tool.schema),
        "method": tool.method,
        "hazard_class": tool.hazard_class,
        "requires_confirmation": tool.requires_confirmation or tool.dual_confirm or tool.hazard_class == "high",
        "requires_override": tool.requires_override,
        "dual_confirm": tool.dual_confirm,
        "egress": tool.egress,
        "read_only": tool.read_only,
        "budget_tier": tool.budget_tier,
        "enabled": tool.enabled,
        "note": tool.note,
    }


def _for_model(tool: Tool) -> dict[str, Any]:
    return {"name": tool.model_name, "description": tool.description, "schema": dict(tool.schema)}
