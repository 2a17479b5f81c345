"""A real gateway for tests, and a real service behind it: both over HTTP, on free ports, in threads of this process."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway.key_store import KeyStore, Role
from gateway.main import create_app
from gateway.settings import Settings
from kitty_core.audit import SpooledAuditLog
from kitty_core.serving import listening
from kitty_core.testing import MemoryAuditLog

TOKEN = "the-service-token-of-the-tests"


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Returns once `condition` holds; an AssertionError where it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


@dataclass(frozen=True)
class Seen:
    """A request that reached the service."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    query: str = ""


@dataclass(frozen=True)
class Reply:
    """What the service says."""

    body: Any = field(default_factory=dict)
    status: int = 200
    frames: Sequence[str | None] = ()
    """Server-sent events instead of `body`; None waits for `ScriptedService.let_go`."""
    waits: bool = False
    """Nothing is said before `let_go`."""
    breaks_off: bool = False
    """The connection is broken after the frames."""
    content: bytes | None = None
    """Raw bytes instead of `body`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """On top of the usual ones."""


class ScriptedService:
    """A service behind the gateway. `script` answers all but /healthz; what came is in `seen`."""

    def __init__(self, script: Callable[[Seen], Reply] | Reply) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self.left: list[str] = []
        """Paths of requests whose client went away."""
        self.base_url = ""
        self._gate = threading.Event()

    def let_go(self) -> None:
        """Ends every waiting, from now on."""
        self._gate.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            return
        request = Request(scope, receive)
        if scope["path"].endswith("/healthz"):
            await JSONResponse({"status": "ok"})(scope, receive, send)
            return
        content = await request.body()
        body = json.loads(content) if content else None
        seen = Seen(request.method, scope["path"], dict(request.headers), body, request.url.query)
        self.seen.append(seen)
        reply = self.script(seen) if callable(self.script) else self.script
        if reply.waits and not await self._waited(request):
            return
        await self._response(reply, request)(scope, receive, send)

    def _response(self, reply: Reply, request: Request) -> Response:
        if reply.frames:
            return StreamingResponse(self._frames(reply, request), 200, reply.headers, media_type="text/event-stream")
        if reply.content is not None:
            return Response(reply.content, reply.status, {"content-type": "text/plain", **reply.headers})
        return JSONResponse(reply.body, reply.status, {**reply.headers})

    async def _frames(self, reply: Reply, request: Request) -> Any:
        try:
            for frame in reply.frames:
                if frame is None:
                    while not self._gate.is_set():  # noqa: ASYNC110 - opened from another thread
                        await asyncio.sleep(0.01)
                else:
                    yield frame
            if reply.breaks_off:
                raise ConnectionError("broken off by the script")
        except asyncio.CancelledError:
            self.left.append(request.url.path)
            raise

    async def _waited(self, request: Request) -> bool:
        while not self._gate.is_set():
            if await request.is_disconnected():
                self.left.append(request.url.path)
                return False
            await asyncio.sleep(0.01)
        return True


@contextmanager
def running_service(script: Callable[[Seen], Reply] | Reply) -> Iterator[ScriptedService]:
    """A scripted service until the block ends."""
    service = ScriptedService(script)
    with listening(service) as base_url:
        service.base_url = base_url
        yield service
        service.let_go()


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


@dataclass(frozen=True)
class RunningGateway:
    """Where it listens, and what can be looked at from outside of HTTP."""

    base_url: str
    app: FastAPI
    audit: MemoryAuditLog
    clock: Clock

    def key(self, user_id: str, role: Role = "user") -> dict[str, str]:
        """Makes a key; returns the header that carries it."""
        keys: KeyStore = self.app.state.keys
        return {"authorization": f"Bearer {keys.create(user_id, role)[1]}"}

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """POST a JSON body."""
        return httpx.post(f"{self.base_url}{path}", json=body, headers=headers, timeout=30, trust_env=False)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """GET a path."""
        return httpx.get(f"{self.base_url}{path}", headers=headers, timeout=30, trust_env=False)

    def rows(self) -> list[dict[str, Any]]:
        """The audit rows, oldest first."""
        return [dict(entry.columns) for entry in self.audit.rows]


@contextmanager
def running_gateway(
    folder: Path, registry: str, *, audit: MemoryAuditLog | None = None, **settings: Any
) -> Iterator[RunningGateway]:
    """Serve until the block ends.

    Args:
        folder: where its database and its spool are.
        registry: the text of the tool registry.
        settings: fields of `Settings`.
    """
    made = make_gateway(folder, registry, audit=audit, **settings)
    with listening(made.app) as base_url:
        yield RunningGateway(base_url, made.app, made.audit, made.clock)


def make_gateway(
    folder: Path, registry: str, *, audit: MemoryAuditLog | None = None, **settings: Any
) -> RunningGateway:
    """The same, not listening: `app` can be driven in this process."""
    path = folder / "tool_registry.yaml"
    path.write_text(registry)
    own = Settings(_env_file=None, **{"kitty_service_token": TOKEN, "tool_registry_path": str(path), **settings})
    log, clock = audit or MemoryAuditLog(), Clock()
    env = {"DATABASE_URL": f"sqlite:///{folder / 'gateway.sqlite3'}"}
    app = create_app(own, env, audit=SpooledAuditLog(log, folder / "spool"), clock=clock)
    return RunningGateway("http://127.0.0.1", app, log, clock)
