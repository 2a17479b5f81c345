"""What the gateway counts."""

import re
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Metrics:
    """All series of the gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        on: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("gateway_requests_total", "Answered requests", ["route", "status"], **on)
        self.decisions = Counter("hazard_decisions_total", "Calls of tools by what was decided", ["decision"], **on)
        self.spool_rows = Gauge("audit_spool_rows", "Audit rows that wait for the database", **on)

    def count_decision(self, decision: str) -> None:
        """Counts one call of a tool by what was decided."""
        self.decisions.labels(decision=decision).inc()


class Counting:
    """Counts every answer by its route (the pattern, so that ids make no series of their own) and status.

    Also what is refused in front of the routes counts as the route it was for.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._requests = metrics.requests
        self._patterns: list[tuple[re.Pattern[str], str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def send_and_look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_look)
        finally:
            route = getattr(scope.get("route"), "path", None) or self._wanted(scope)
            self._requests.labels(route=route, status=str(status)).inc()

    def _wanted(self, scope: Scope) -> str:
        """The pattern of the route that a request was for; `none` where there is no such route."""
        if not self._patterns:
            self._patterns = [(compile_path(path)[0], path) for path in scope["app"].openapi()["paths"]]
        return next((path for pattern, path in self._patterns if pattern.match(scope["path"])), "none")
