"""`/api/coding/*` and `/api/memory/*`: the tools of that name, at the services' own paths."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.auth import Caller
from gateway.denials import Denials
from gateway.door import Done, Door
from gateway.gatekeeper import caller_of
from gateway.routes.documents import CALL_RESPONSES, OBJECT, json_body
from gateway.routes.jobs import location_of
from gateway.routes.shapes import raw_answer, read_object
from gateway.wish import Way, Wish
from kitty_core.leaving import gone_from

WAYS: Mapping[str, Way] = {"stream": "stream", "jobs": "jobs"}
"""Names that are no tools, but ways to be answered by `coding.generate`."""
CODING = ("generate", "test", "fix", "refactor", "explain", *WAYS)
MEMORY = ("remember", "search")
PATHS = {
    f"/api/{group}/{name}": f"{group}.{'generate' if name in WAYS else name}"
    for group, names in (("coding", CODING), ("memory", MEMORY))
    for name in names
}
"""The tool behind each path."""
SUMMARIES: Mapping[Way, str] = {
    "whole": "",
    "stream": ", its answer as server-sent events",
    "jobs": " as a job that goes on without its caller",
}
HANDED_IN = "`Location` says where the job is; or (`requiresConfirmation`) a person has to confirm, nothing was run"
Asker = Annotated[Caller, Depends(caller_of)]


def create_router(door: Door, denials: Denials) -> APIRouter:
    """One route for each path."""
    router = APIRouter(route_class=denials.route_class)
    for path, tool in PATHS.items():
        _add(router, door, path, tool)
    return router


def _add(router: APIRouter, door: Door, path: str, tool: str) -> None:
    _, _, group, name = path.split("/")
    way = WAYS.get(name, "whole")

    async def call(request: Request, caller: Asker) -> Any:
        arguments = await read_object(request)
        wish = Wish(
            tool=tool,
            arguments=arguments,
            caller=caller,
            request_id=request.scope["request_id"],
            way=way,
            headers=request.headers,
        )
        outcome = await door.invoke(wish, gone_from(request.receive))
        answer = raw_answer(outcome, caller)
        if way == "jobs" and isinstance(outcome, Done) and (location := location_of(outcome.body)):
            answer.headers["location"] = location
        return answer

    router.add_api_route(
        path,
        call,
        methods=["POST"],
        name=f"{group}_{name}",
        summary=f"Call {tool}{SUMMARIES[way]}",
        description=f"Passed to the service of `{tool}` through the one door: schema, hazard, confirmation, one audit "
        "row. 202: a person has to confirm, nothing was run.",
        response_class=Response,
        responses=CALL_RESPONSES | ({202: {"description": HANDED_IN, "content": OBJECT}} if way == "jobs" else {}),
        openapi_extra=json_body("The arguments of the tool; `GET /api/tools` has its schema."),
    )
