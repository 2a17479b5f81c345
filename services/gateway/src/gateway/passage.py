"""Answers that are passed on as they come, byte for byte, and ended the moment the caller goes.

service ──> Passage.chunks ──> Passing (the ASGI response) ──> caller
                │                  │ watches for the caller's leaving at the same time
                └── ends once: the service's request is closed, the row is written
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import httpx
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.frames import FrameWatch
from gateway.proxy import passed_on
from kitty_core.audit.facts import Facts
from kitty_core.leaving import CallerIsGone, frame_of, gone_from, unless_gone

TAKEN_WITHIN_SEC = 2.0
"""What is left to a caller to take the last of a stream after its deadline; then its service is let go."""


class Passage:
    """One open answer of a service that is a stream of events.

    Args:
        held: what has to be closed when it is over: the service's request.
        until: the loop's time at which it is broken off.
        on_end: told once, with what the row says.
        pieces: what is passed on, where that is not the response's own bytes.
        is_resumable: whoever reads it comes again for what is missing; nothing is added where it breaks off.
    """

    def __init__(
        self,
        response: httpx.Response,
        held: AsyncExitStack,
        until: float,
        on_end: Callable[[Facts], Awaitable[None]],
        pieces: AsyncIterator[bytes] | None = None,
        *,
        is_resumable: bool = False,
    ) -> None:
        self.status_code = response.status_code
        self.headers = passed_on(response.headers.multi_items())
        self._pieces = response.aiter_raw() if pieces is None else pieces
        self._held = held
        self.until = until
        self._on_end = on_end
        self._is_resumable = is_resumable
        self._watch = FrameWatch()
        self._broken = "client_disconnected"
        self._is_closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come; where the service breaks off, one `error` event more: there is always an end.

        One that can be read on from where it broke off just ends.
        """
        while True:
            try:
                async with asyncio.timeout_at(self.until):
                    chunk = await anext(self._pieces)
            except StopAsyncIteration:
                self._broken = "stream_broken"
                break
            except TimeoutError:
                self._broken = "deadline"
                break
            except httpx.HTTPError:
                self._broken = "bad_gateway"
                break
            self._watch.feed(chunk)
            yield chunk
        if not self._watch.has_ended and not self._is_resumable:
            yield self._last_words()

    def cut_off(self) -> None:
        """The time is over, and the caller has not taken what there is."""
        self._broken = "deadline"

    async def close(self) -> None:
        """Ends it, whether all of it was read or not; a second time does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        held = self._held.pop_all()
        try:
            await held.aclose()
        finally:
            facts = self._watch.facts(self._broken)
            if self._broken == "deadline" and not self._watch.has_ended:
                facts = Facts("timeout", "deadline", job_id=facts.job_id)
            await self._on_end(facts)

    def _last_words(self) -> bytes:
        reasons = {
            "deadline": "The time for this call is over.",
            "bad_gateway": "The service broke the connection off.",
        }
        text = reasons.get(self._broken, "The service ended the stream without a result.")
        code = self._broken if self._broken in reasons else "bad_gateway"
        event = {"type": "error", "error": text, "code": code}
        return (b"\n\n" if self._watch.is_amid_frame else b"") + frame_of(event).encode()


class Passing(Response):
    """The ASGI response that passes a passage on."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self.status_code = passage.status_code
        self.background = None
        self.raw_headers = passage.headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout_at(self._passage.until + TAKEN_WITHIN_SEC):
                await unless_gone(self._pump(send), gone_from(receive))
        except CallerIsGone:
            return  # there is nobody to tell
        except TimeoutError:
            self._passage.cut_off()
        finally:
            await _undisturbed(self._passage.close())

    async def _pump(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._passage.chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        # The row is there before the caller sees the end.
        await _undisturbed(self._passage.close())
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def no_row(facts: Facts) -> None:
    """Where nothing is to be told at the end of a passage."""


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Waits for `work`, which goes on when the waiting is cancelled."""
    await asyncio.shield(asyncio.create_task(work))
