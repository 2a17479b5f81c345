"""What the OpenAPI document says of bodies and answers that are passed on rather than made here."""

from typing import Any

from kitty_core.problems import documented

OBJECT = {"application/json": {"schema": {"type": "object"}}}
ALWAYS = (401, 403, 408, 413, 422, 429, 503)
"""What any /api route may answer: gatekeeper, guard, and a database that is away."""
CALL_PROBLEMS = (*ALWAYS, 404, 409, 410, 499, 500, 502, 504)
PROBLEMS: dict[int | str, dict[str, Any]] = documented(*ALWAYS)
CONFIRMATION_PROBLEMS: dict[int | str, dict[str, Any]] = documented(*ALWAYS, 404, 409, 410)
JOB_PROBLEMS: dict[int | str, dict[str, Any]] = documented(*CALL_PROBLEMS)
CALL_RESPONSES: dict[int | str, dict[str, Any]] = {
    **documented(*CALL_PROBLEMS),
    200: {"description": "The service's answer", "content": OBJECT},
    202: {"description": "A person has to confirm; nothing was run", "content": OBJECT},
}


def json_body(description: str) -> dict[str, Any]:
    """`openapi_extra` of a route that takes a JSON object and checks it itself."""
    return {"requestBody": {"required": True, "description": description, "content": OBJECT}}
