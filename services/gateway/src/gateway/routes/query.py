"""`/api/query`, `/api/query/stream` and `/api/routing/models`: to the brain."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.auth import Caller
from gateway.gatekeeper import caller_of
from gateway.routes.documents import CALL_RESPONSES, PROBLEMS, json_body
from gateway.routes.talk import Talk

Asker = Annotated[Caller, Depends(caller_of)]


def create_router(talk: Talk) -> APIRouter:
    """The three routes."""
    router = APIRouter()
    document = json_body("`{conversationId, userId, intent, prompt | payload.prompt, …}` (snake_case too)")

    @router.post("/api/query", responses=CALL_RESPONSES, response_class=Response, openapi_extra=document)
    async def query(request: Request, caller: Asker) -> Response:
        """Say something to the brain; the phrase of a call that waits in this conversation confirms it."""
        return await talk.answer(request, caller, "/api/query")

    @router.post("/api/query/stream", responses=CALL_RESPONSES, response_class=Response, openapi_extra=document)
    async def query_stream(request: Request, caller: Asker) -> Response:
        """The same, its answer as server-sent events."""
        return await talk.answer(request, caller, "/api/query/stream")

    @router.get("/api/routing/models", responses=PROBLEMS, response_class=Response)
    async def routing_models(request: Request, caller: Asker) -> Response:
        """The brain's models, and what each is asked for."""
        return await talk.relayed(request, caller, "/api/routing/models")

    return router
