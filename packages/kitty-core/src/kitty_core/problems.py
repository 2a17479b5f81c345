"""What an OpenAPI document says of the errors a route may answer with: RFC 9457 problem JSON."""

from http.client import responses
from typing import Any

MEDIA_TYPE = "application/problem+json"
SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable name of the error."},
        "request_id": {"type": "string"},
    },
}
PHRASES = {**responses, 499: "Client Closed Request"}
ALWAYS = (401, 403)
"""What the guard in front of every route may answer (see `service`)."""
WITH_A_BODY = (408, 413, 422)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that may answer with these problems, besides those of the guard."""
    return {
        status: {"description": PHRASES[status], "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
        for status in sorted({*ALWAYS, *statuses})
    }
