"""Rows of calls that never reach the door: of a caller who may only read, or with a body that cannot be read.

They say `denied`, and nothing of the arguments. No row is left by who is not known (401), by who asks too often (429;
`gateway_requests_total` counts both), and by what the guard refuses before it is known who asks (Host, Origin, media
type, size).
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from gateway.auth import Caller
from gateway.errors import BodyIsNoJson
from kitty_core.audit.recorder import Recorder
from kitty_core.errors import BadRequest
from kitty_core.registry import LiveRegistry

BY_NAME = "/api/tools/"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Denials:
    """Writes those rows. `paths` names the tool behind each path that is a tool's own."""

    def __init__(self, recorder: Recorder, live: LiveRegistry, paths: Mapping[str, str]) -> None:
        self._recorder = recorder
        self._live = live
        self._paths = paths

    async def note(self, scope: Scope, caller: Caller, code: str) -> None:
        """Writes the row of a request that was refused with `code`, where it was to call a tool."""
        path = scope["path"]
        name = path.removeprefix(BY_NAME) if path.startswith(BY_NAME) else self._paths.get(path)
        if not name or "/" in name or scope["method"] != "POST":
            return
        tool = self._live.current.find(name)
        row = self._recorder.begin(tool.name if tool else name, caller.user_id, scope["request_id"], None, None)
        row.decision = "denied"
        row.hazard_class = tool.hazard_class if tool else None
        await row.end(error=code)

    @property
    def route_class(self) -> type[APIRoute]:
        """For `APIRouter`: its routes leave a row where they refuse the body."""
        denials = self

        class RecordedRoute(APIRoute):
            def get_route_handler(self) -> Handler:
                handle = super().get_route_handler()

                async def handle_and_note(request: Request) -> Response:
                    try:
                        return await handle(request)
                    except (RequestValidationError, HTTPException, BodyIsNoJson):
                        await denials.note(request.scope, request.scope["caller"], BadRequest.code)
                        raise

                return handle_and_note

        return RecordedRoute
