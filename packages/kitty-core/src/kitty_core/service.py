"""The shell of every KITTY service: what a route never has to think about.

create_service() gives a FastAPI app with
- one problem-JSON handler for `KittyError`, validation errors and everything unexpected,
- a guard in front of all routes: Host allow-list, foreign Origin refused, JSON-only POST, size and time of the body,
  service token,
- answers that are valid JSON whatever a guest or a model put into them (`wire`),
- a request id on every request, log line and answer,
- GET /docs, a plain page of the routes, and GET /metrics in the plain exposition format. `/healthz` and `/readyz` are
  the service's own routes.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ipaddress import ip_address
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kitty_core.api_page import api_page
from kitty_core.errors import (
    BadRequest,
    BodyTooSlow,
    Forbidden,
    KittyError,
    PayloadTooLarge,
    Unauthorized,
    UnsupportedMedia,
)
from kitty_core.service_token import LEAST_CONFIGURED, is_short
from kitty_core.wire import JsonResponse

log = structlog.get_logger()
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::[0-9]*)?")
"""A name or an address, and maybe a port."""
WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"})

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Guard:
    """Who may talk to a service."""

    allowed_hosts: frozenset[str] = LOOPBACK_HOSTS
    """Values of the Host header (without the port) that are served: stops DNS rebinding."""
    max_body_bytes: int = 512 * 1024
    body_within_sec: float = 30.0
    service_token: str | None = None
    """When set, every path but OPEN_PATHS wants `Authorization: Bearer TOKEN`."""
    open_to_this_machine: str | None = None
    """Paths that begin so are answered without any token where the peer is on loopback; a wrong one is refused."""


def create_service(
    title: str, *, guard: Guard, registry: CollectorRegistry, lifespan: Lifespan, version: str
) -> FastAPI:
    """A FastAPI app with everything above in place; the caller adds its routers."""
    if guard.service_token is not None:
        warn_of_short_token(guard.service_token)
    app = FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        default_response_class=JsonResponse,
    )
    app.add_middleware(RequestGuard, guard=guard)
    app.add_middleware(RequestLog)
    app.add_exception_handler(KittyError, _answer_kitty_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return api_page(app.openapi())

    return app


def problem(error: KittyError, request_id: str | None = None) -> Response:
    """The answer for `error`: its status, problem JSON, and the request id."""
    body = error.to_problem() | ({"request_id": request_id} if request_id else {})
    return JsonResponse(
        body, status_code=error.status, headers=dict(error.headers), media_type="application/problem+json"
    )


async def _answer_kitty_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, KittyError)
    return problem(error, request.scope.get("request_id"))


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = [{"field": ".".join(str(part) for part in e["loc"][1:]), "message": e["msg"]} for e in error.errors()]
    text = "; ".join(f"{place['field'] or 'body'}: {place['message']}" for place in places)
    return problem(BadRequest(text, errors=places), request.scope.get("request_id"))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return problem(BadRequest(str(error.detail)), request.scope.get("request_id"))
    body = {
        "type": "about:blank",
        "title": str(error.detail),
        "status": error.status_code,
        "detail": str(error.detail),
        "code": {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error"),
    }
    return JsonResponse(
        body, status_code=error.status_code, headers=error.headers, media_type="application/problem+json"
    )


class RequestGuard:
    """Refuses a request before any route sees it."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app
        self.guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self._check(request)
            body = await self._body(request, receive) if request.method in WITH_A_BODY else None
        except KittyError as error:
            await problem(error, scope.get("request_id"))(scope, receive, send)
            return
        await self.app(scope, receive if body is None else _replay(body, receive), send)

    def _check(self, request: Request) -> None:
        host = _without_port(request.headers.get("host", ""))
        if host not in self.guard.allowed_hosts:
            raise Forbidden(f"The host {host!r} is not served here.", allowed=sorted(self.guard.allowed_hosts))
        origin = request.headers.get("origin")
        if origin is not None and _without_port(origin.partition("://")[2]) not in self.guard.allowed_hosts:
            raise Forbidden(f"The origin {origin!r} is not allowed.")
        if request.method in WITH_A_BODY and _has_body(request.headers) and not _is_json(request.headers):
            raise UnsupportedMedia
        if self.guard.service_token is not None and request.scope["path"] not in OPEN_PATHS:
            self._check_token(request, self.guard.service_token)

    def _check_token(self, request: Request, token: str) -> None:
        given = request.headers.get("authorization")
        if given is not None and hmac.compare_digest(given.removeprefix("Bearer ").encode(), token.encode()):
            request.scope["has_service_token"] = True
        elif given is not None or not self._is_open(request):
            raise Unauthorized

    def _is_open(self, request: Request) -> bool:
        start = self.guard.open_to_this_machine
        return start is not None and request.scope["path"].startswith(start) and is_loopback(request)

    async def _body(self, request: Request, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self.guard.body_within_sec):
                return await self._read_body(request, receive)
        except TimeoutError:
            raise BodyTooSlow(f"The body did not arrive within {self.guard.body_within_sec:g} s.") from None

    async def _read_body(self, request: Request, receive: Receive) -> bytes:
        limit = self.guard.max_body_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise PayloadTooLarge(f"The body has {declared} bytes; at most {limit} are accepted.", limit=limit)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                raise PayloadTooLarge(f"The body has more than {limit} bytes.", limit=limit)
        return bytes(body)


def warn_of_short_token(token: str) -> None:
    """Logs that a token can be guessed; off loopback `read_settings` refuses it."""
    if is_short(token):
        log.warning("short_service_token", note=f"KITTY_SERVICE_TOKEN has fewer than {LEAST_CONFIGURED} characters: "
                    "programs of this machine can guess it")  # fmt: skip


def has_service_token(request: Request) -> bool:
    """Whether the guard has seen the service token: then a service asks."""
    return bool(request.scope.get("has_service_token"))


def is_loopback(request: Request) -> bool:
    """Whether who connects is on this machine."""
    try:
        address = ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read already, then whatever comes (a disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _without_port(host: str) -> str:
    """`host` without its port, in lower case; as a whole where it is no host, so that no list holds it."""
    host = host.strip().lower()
    found = HOST.fullmatch(host)
    return found.group(1) if found else host


class RequestLog:
    """Gives each request an id (the caller's `X-Request-Id` when it is a plain word) and logs one line for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Request(scope).headers.get("x-request-id"))
        scope["request_id"] = request_id
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                log.exception("request_failed", method=scope["method"], path=scope["path"])
                await problem(KittyError(), request_id)(scope, receive, send_with_id)
            seconds = round(time.perf_counter() - started, 3)
            level = "debug" if scope["path"] in OPEN_PATHS else "info"
            getattr(log, level)("request", method=scope["method"], path=scope["path"], status=status, seconds=seconds)


def _request_id(given: str | None) -> str:
    if given and len(given) <= 128 and given.replace("-", "").replace("_", "").isalnum() and given.isascii():
        return given
    return uuid4().hex
