"""Serving an app: as a program until a signal comes, or in a thread of this process while a test runs."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

START_WITHIN_SEC = 30.0
GRACE_SEC = 3
"""So long requests may go on after the signal."""


class PromptProtocol(H11Protocol):
    """HTTP that closes a connection on which no whole head of a request comes.

    uvicorn waits for one without end, so that whoever sends half heads would have all of a service's connections.
    """

    head_within_sec: ClassVar[float] = 30.0
    """A connection is looked at this often; one that was without a request all the time is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._look = self.loop.call_later(self.head_within_sec, self._close_if_without, self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._look.cancel()
        super().connection_lost(exc)

    def _close_if_without(self, last: object) -> None:
        is_under_way = self.cycle is not None and not self.cycle.response_complete
        if self.cycle is last and not is_under_way:
            self.transport.close()
        else:
            self._look = self.loop.call_later(self.head_within_sec, self._close_if_without, self.cycle)


def server_for(app: ASGIApp, host: str, port: int, grace_sec: int = GRACE_SEC) -> uvicorn.Server:
    """A server whose log is the service's own; port 0 picks a free one.

    `X-Forwarded-For` and its like are not believed: whoever connects is who asks.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=PromptProtocol,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=grace_sec,
        )
    )


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Serves `app` on a free loopback port until the block ends; yields its base URL."""
    server = server_for(app, "127.0.0.1", 0, grace_sec=1)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{_port(server, thread)}"
    finally:
        server.should_exit = True
        thread.join(START_WITHIN_SEC)


def _port(server: uvicorn.Server, thread: threading.Thread) -> int:
    until = time.monotonic() + START_WITHIN_SEC
    while not server.started:
        if time.monotonic() > until or not thread.is_alive():
            raise RuntimeError("The service did not start.")
        time.sleep(0.005)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
