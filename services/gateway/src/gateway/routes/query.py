"""`/api/query` and `/api/query/stream`: to the brain. A message that answers a waiting call is answered here.

message ─> does a call of this user wait in this conversation? ─┬─ and the message is its phrase, or cancels ─> Replies
                                                               └─ no, or it is something else ─────────────> brain
"""

import asyncio
import json
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.auth import Caller
from gateway.door import Done
from gateway.errors import DatabaseIsAway, NotThisUser, ServiceAnsweredBadly, ServiceIsTooSlow
from gateway.facts import Facts
from gateway.gatekeeper import caller_of
from gateway.passage import Passage, Passing, unless_gone
from gateway.proxy import Upstreams
from gateway.replies import Cancelled, Replies, Reply
from gateway.routes.documents import CALL_RESPONSES, json_body
from gateway.routes.shapes import gone_from, read_object
from gateway.wish import CONVERSATION_FIELDS, USER_FIELDS, named_in
from kitty_core.confirmation import read_reply
from kitty_core.wire import JsonResponse, to_json

Asker = Annotated[Caller, Depends(caller_of)]
EVENTS = "text/event-stream"


def create_router(upstreams: Upstreams, replies: Replies, deadline_sec: float) -> APIRouter:
    """The two routes."""
    router = APIRouter()
    talk = Talk(upstreams, replies, deadline_sec)
    document = json_body("`{conversationId, userId, intent, prompt | payload.prompt, …}` (snake_case too)")

    @router.post("/api/query", responses=CALL_RESPONSES, response_class=Response, openapi_extra=document)
    async def query(request: Request, caller: Asker) -> Response:
        """Say something to the brain; the phrase of a call that waits in this conversation confirms it."""
        return await talk.answer(request, caller, "/api/query")

    @router.post("/api/query/stream", responses=CALL_RESPONSES, response_class=Response, openapi_extra=document)
    async def query_stream(request: Request, caller: Asker) -> Response:
        """The same, its answer as server-sent events."""
        return await talk.answer(request, caller, "/api/query/stream")

    return router


@dataclass(frozen=True)
class Talk:
    """A person's message, to whom it is for."""

    upstreams: Upstreams
    replies: Replies
    deadline_sec: float

    async def answer(self, request: Request, caller: Caller, path: str) -> Response:
        """The answer of the call that waited, or of the brain."""
        body = await read_object(request)
        for name in USER_FIELDS:
            if body.get(name) not in (None, caller.user_id):
                raise NotThisUser(f"{name} has to be {caller.user_id!r}, or to be left out.")
        reply = await self._reply(request, caller, body)
        if reply is None:
            told = {**body, "userId": caller.user_id}
            return await _relayed(self.upstreams, request, caller, path, told, self.deadline_sec)
        outcome = await self.replies.reply(reply, gone_from(request))
        assert isinstance(outcome, Done | Cancelled)  # the message was the phrase, or one that cancels
        answer = _answer(outcome, reply.conversation_id, body.get("intent"))
        if path.endswith("/stream"):
            return Response(f"data: {to_json({'type': 'complete', 'result': answer})}\n\n", media_type=EVENTS)
        return JsonResponse(answer)

    async def _reply(self, request: Request, caller: Caller, body: dict[str, Any]) -> Reply | None:
        """The message as a reply to the newest call that waits in its conversation; None where it is none.

        Raises:
            DatabaseIsAway: it could be one.
        """
        message, conversation = _message(body), named_in(body, CONVERSATION_FIELDS)
        if caller.surface != "human" or not conversation:
            return None
        try:
            waiting = await self.replies.waiting(caller)
        except DatabaseIsAway:
            if self.replies.may_be_meant(message):
                raise
            return None
        in_it = [call for call in waiting if call.conversation_id == conversation]
        own = [call for call in in_it if call.user_id == caller.user_id]
        if not own or read_reply(message, own[-1].phrase) == "neither":
            return None
        return Reply(own[-1].id, message, caller, request.scope["request_id"], conversation)


def _message(body: dict[str, Any]) -> str:
    payload = body.get("payload")
    prompt = body.get("prompt") or (payload.get("prompt") if isinstance(payload, dict) else None)
    return prompt if isinstance(prompt, str) else ""


def _answer(outcome: Done | Cancelled, conversation: str, intent: object) -> dict[str, Any]:
    """In the shape of the brain's own answers."""
    is_done = isinstance(outcome, Done)
    tool = outcome.tool if isinstance(outcome, Done) else outcome.call.tool
    output = outcome.body if isinstance(outcome, Done) else f"{tool} was cancelled; nothing was run."
    step = {"tool": tool, "decision": outcome.decision if isinstance(outcome, Done) else "cancelled"}
    return {
        "conversationId": conversation,
        "intent": intent,
        "result": {"output": output},
        "routing": {"tier": "gateway", "metadata": {"tools_used": [tool] if is_done else [], "agent_steps": [step]}},
        "requiresConfirmation": False,
    }


async def _relayed(
    upstreams: Upstreams, request: Request, caller: Caller, path: str, body: dict[str, Any], deadline_sec: float
) -> Response:
    """The brain's answer as it comes."""
    url = f"{upstreams.bases['brain']}{path}"
    headers = upstreams.headers_for(caller, request.scope["request_id"], request.headers)
    headers["Content-Type"] = "application/json"
    until = asyncio.get_running_loop().time() + deadline_sec
    async with AsyncExitStack() as held:
        try:
            opening = _opened(held, upstreams.open("POST", url, headers, json.dumps(body).encode()), until)
            response, content = await unless_gone(opening, gone_from(request))
            if content is None:
                return Passing(Passage(response, held.pop_all(), until, _no_row))
            return JsonResponse(json.loads(content), status_code=response.status_code)
        except TimeoutError:
            raise ServiceIsTooSlow("brain did not answer in time.", service="brain") from None
        except httpx.HTTPError as error:
            raise upstreams.failure(url, error) from error
        except ValueError:
            raise ServiceAnsweredBadly("brain answered with something that is no JSON.") from None


async def _opened(
    held: AsyncExitStack, opening: AbstractAsyncContextManager[httpx.Response], until: float
) -> tuple[httpx.Response, bytes | None]:
    async with asyncio.timeout_at(until):
        response = await held.enter_async_context(opening)
        is_stream = response.headers.get("content-type", "").startswith(EVENTS)
        return response, None if is_stream else await response.aread()


async def _no_row(facts: Facts) -> None:
    """What the brain calls comes through the door and gets its own rows."""
