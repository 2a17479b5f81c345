"""In front of every /api path: who asks, may they, and not too much at once.

key ──> caller ──> reading or more? ──> requests a minute ──> places ──> route (`caller_of(request)`)
 └─ wrong or missing ──> 401, and after some of them 429 for that address

Who is known and may only read leaves a row where a tool was to be called (`on_refusal`).
A right key is never refused for the failures of others behind the same address.
"""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth import Caller, Doorman, may
from gateway.errors import KeyIsNeeded, TooManyRequests
from gateway.limits import Concurrency, RateLimit
from kitty_core.errors import KittyError
from kitty_core.service import problem


class Gatekeeper:
    """The ASGI layer."""

    def __init__(
        self,
        app: ASGIApp,
        doorman: Doorman,
        rate: RateLimit,
        failures: RateLimit,
        concurrency: Concurrency,
        on_refusal: Callable[[Scope, Caller, str], Awaitable[None]],
    ) -> None:
        """`on_refusal` is told the request, who asked, and the code of the refusal."""
        self.app = app
        self._doorman = doorman
        self._rate = rate
        self._failures = failures
        self._concurrency = concurrency
        self._on_refusal = on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        try:
            caller = await self._admit(Request(scope))
            scope["caller"] = caller
            with self._concurrency.place(caller.key_id):
                await self.app(scope, receive, send)
        except KittyError as error:
            response = problem(error, scope.get("request_id"))
            if isinstance(error, TooManyRequests):
                response.headers["Retry-After"] = str(error.retry_after_sec)
            await response(scope, receive, send)

    async def _admit(self, request: Request) -> Caller:
        try:
            if self._doorman.needs_lookup(request.headers):
                caller = await asyncio.to_thread(self._doorman.identify, request.headers)
            else:
                caller = self._doorman.identify(request.headers)
        except KeyIsNeeded:
            self._failures.take(request.client.host if request.client else "")
            raise
        self._rate.take(caller.key_id)
        try:
            may(caller, request.method, request.scope["path"])
        except KittyError as error:
            await self._on_refusal(request.scope, caller, error.code)
            raise
        return caller


def caller_of(request: Request) -> Caller:
    """Who the gatekeeper let in: a FastAPI dependency."""
    caller = request.scope["caller"]
    assert isinstance(caller, Caller)
    return caller
