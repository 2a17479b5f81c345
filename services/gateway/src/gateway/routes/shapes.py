"""What the routes have in common: how a body is read, and how a call's outcome is said in HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.responses import Response

from gateway.auth import Caller
from gateway.confirmations import PendingCall
from gateway.door import Done, Waiting
from gateway.errors import BodyIsNoJson
from gateway.passage import Passage, Passing
from gateway.replies import Cancelled
from gateway.wish import DEEPEST
from gateway.wording import confirm_command
from kitty_core.wire import JsonResponse, from_json, is_nested_deeper

PROBLEM = "application/problem+json"
STILL_TRUE = frozenset({b"retry-after"})
"""Of a service's headers those that also hold for its answer once it is wrapped."""


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        BodyIsNoJson: it holds none, or a number that is none (NaN, Infinity), or is nested too deep.
    """
    try:
        body = from_json(await request.body())
    except (ValueError, RecursionError):
        raise BodyIsNoJson from None
    if is_nested_deeper(body, DEEPEST):
        raise BodyIsNoJson(f"The body is nested more than {DEEPEST} deep.")
    if not isinstance(body, dict):
        raise BodyIsNoJson("The body is no JSON object.")
    return body


def raw_answer(outcome: Waiting | Done | Passage, caller: Caller) -> Response:
    """The service's answer as it is; for a call that waits the confirmation shape, with 202."""
    if isinstance(outcome, Waiting):
        return waiting_answer(outcome, caller)
    if isinstance(outcome, Passage):
        return Passing(outcome)
    return as_json(outcome.status_code, outcome.headers, outcome.content)


def as_json(status_code: int, headers: list[tuple[bytes, bytes]], content: bytes) -> Response:
    """The JSON that a service has said, with those of its `headers` that are passed on."""
    response = Response(content, status_code)
    response.raw_headers = [*response.raw_headers, *headers]
    if response.headers.get("content-type", "").partition(";")[0] not in ("application/json", PROBLEM):
        response.headers["content-type"] = "application/json"  # it is JSON, and no page that a browser would run
    return response


def wrapped_answer(outcome: Waiting | Done | Passage | Cancelled, caller: Caller) -> Response:
    """`{tool, decision, status, result}`; a failure of the service is its problem document with the first two."""
    if isinstance(outcome, Waiting):
        return waiting_answer(outcome, caller)
    if isinstance(outcome, Cancelled):
        return JsonResponse({"tool": outcome.call.tool, "decision": "cancelled", "status": None, "result": None})
    assert isinstance(outcome, Done)
    facts = {"tool": outcome.tool, "decision": outcome.decision}
    if outcome.status_code >= 400:
        response = JsonResponse({**_problem(outcome), **facts}, outcome.status_code, media_type=PROBLEM)
        response.raw_headers += [pair for pair in outcome.headers if pair[0] in STILL_TRUE]
        return response
    return JsonResponse({**facts, "status": outcome.facts.status, "result": outcome.body})


def waiting_answer(outcome: Waiting, caller: Caller) -> Response:
    """202 and the confirmation shape. A model is not told the phrase: it could only say it back."""
    return JsonResponse({**pending_shape(outcome.call, caller), "detail": outcome.reason}, status_code=202)


def pending_shape(call: PendingCall, caller: Caller) -> dict[str, Any]:
    """What is told of a call that waits: a person is told the phrase, and what it would allow."""
    is_person = caller.surface == "human"
    hint = f"say exactly: {call.phrase}" if is_person else f"confirm with `{confirm_command(call.id)}`"
    return {
        "requiresConfirmation": True,
        "confirmationPhrase": call.phrase if is_person else None,
        "pendingTool": call.tool,
        "hazardClass": call.hazard_class,
        "pendingId": call.id,
        "conversationId": call.conversation_id or None,
        "expiresAt": datetime.fromtimestamp(call.expires_at, UTC).isoformat(),
        "hint": hint,
        **({"arguments": dict(call.arguments)} if is_person else {}),
    }


def _problem(outcome: Done) -> dict[str, Any]:
    said = outcome.body if isinstance(outcome.body, Mapping) else {}
    status = outcome.status_code
    plain = {"type": "about:blank", "title": "service error", "status": status}
    detail = f"The service answered {outcome.tool} with {status}."
    return {**plain, "detail": detail, "code": outcome.facts.error or f"http_{status}", **said}
