"""`/api/confirmations`: what waits for a person, and the person's word for it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from gateway.auth import Caller
from gateway.confirmations import PendingCall
from gateway.gatekeeper import caller_of
from gateway.replies import Replies, Reply
from gateway.routes.documents import CALL_RESPONSES, CONFIRMATION_PROBLEMS, PROBLEMS
from gateway.routes.shapes import pending_shape, wrapped_answer
from gateway.wish import CONVERSATION_FIELDS
from kitty_core.confirmation import Approval
from kitty_core.leaving import gone_from

Asker = Annotated[Caller, Depends(caller_of)]
PendingId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="`pendingId` of the call.")]
Short = Annotated[str, Field(max_length=200)]


class SignedApproval(BaseModel):
    """The word of a second person, as `/approve` gives it."""

    model_config = ConfigDict(extra="forbid")

    pending_id: Short
    tool: Short
    arguments_sha256: Short
    user_id: Short
    conversation_id: Short
    expires_at: AwareDatetime
    nonce: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]
    signature: Short


class ReplyBody(BaseModel):
    """What a person says to one call."""

    model_config = ConfigDict(extra="ignore")

    message: Annotated[str, Field(max_length=2000)]
    """The phrase as a whole confirms; cancel, abort, no or stop cancels; all else changes nothing."""
    conversation_id: Short | None = Field(None, validation_alias=AliasChoices(*CONVERSATION_FIELDS))
    """That of the call (`GET /api/confirmations` shows it); none where it has none. `conversationId` too."""
    approval: SignedApproval | None = None
    """Of the second person, for a tool that needs two."""


class WaitingCalls(BaseModel):
    """What waits."""

    confirmations: list[dict[str, Any]]


def create_router(replies: Replies) -> APIRouter:
    """The three routes."""
    router = APIRouter()

    @router.get("/api/confirmations", responses=PROBLEMS)
    async def list_waiting(caller: Asker) -> WaitingCalls:
        """Calls of yours that wait, with their exact arguments; admins also see those that need a second person."""
        calls = await replies.waiting(caller)
        return WaitingCalls(confirmations=[_detailed(call, caller) for call in calls])

    @router.post("/api/confirmations/{pending_id}", responses=CALL_RESPONSES, response_class=Response)
    async def answer(pending_id: PendingId, body: ReplyBody, request: Request, caller: Asker) -> Response:
        """Confirm or cancel. The call runs once, with its original arguments: `{tool, decision, status, result}`.

        202: the message was neither the phrase nor a word that cancels, and the call still waits.
        """
        outcome = await replies.reply(_reply(pending_id, body, request, caller), gone_from(request.receive))
        return wrapped_answer(outcome, caller)

    @router.post("/api/confirmations/{pending_id}/approve", responses=CONFIRMATION_PROBLEMS)
    async def approve(pending_id: PendingId, body: ReplyBody, request: Request, caller: Asker) -> SignedApproval:
        """As the second person (an admin): say the phrase, get a signed approval for the one who asked to hand in."""
        approval = await replies.approve(_reply(pending_id, body, request, caller))
        return SignedApproval(**vars(approval))

    return router


def _reply(pending_id: str, body: ReplyBody, request: Request, caller: Caller) -> Reply:
    return Reply(
        pending_id=pending_id,
        message=body.message,
        caller=caller,
        request_id=request.scope["request_id"],
        conversation_id=body.conversation_id or "",
        approval=Approval(**body.approval.model_dump()) if body.approval else None,
    )


def _detailed(call: PendingCall, caller: Caller) -> dict[str, Any]:
    created_at = datetime.fromtimestamp(call.created_at, UTC)
    return {
        **pending_shape(call, caller),
        "userId": call.user_id,
        "isYours": call.user_id == caller.user_id,
        "dualConfirm": call.dual_confirm,
        "createdAt": created_at.isoformat(),
    }
