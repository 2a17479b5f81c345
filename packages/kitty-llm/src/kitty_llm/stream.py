"""One answer from one server.

fit → ask → 200? ─┬─ yes → frames → deltas
      ↑           ├─ another way to ask (dialect, stricter body, no prefill) ─┐
      │           ├─ 503: wait while loading ─────────────────────────────────┤
      │           └─ refused, lost before the first word: wait a little ──────┤
      └───────────────────────────────────────────────────────────────────────┘
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx

from kitty_llm.backend import Backend, Loading
from kitty_llm.budget import fit
from kitty_llm.dialects import Call, Delta, Variant, ask_for_prefill_in_words, chat_body, delta_of, native_body
from kitty_llm.echo import EchoStripper
from kitty_llm.endpoint import Patience
from kitty_llm.errors import (
    BackendAnsweredNonsense,
    ContextOverflow,
    LLMError,
    ModelUnavailable,
    RequestRefused,
    ServerLost,
)
from kitty_llm.refusals import Refusal, error_in_stream, error_of, other_way
from kitty_llm.sse import Frame, FrameReader

_LOST = (502, 504)
_BUSY = (429, 503)


class Truncated(Exception):
    """The stream ended before the answer did."""


class Waiting:
    """Back-off within a budget that starts with the first wait."""

    def __init__(self, budget_sec: float) -> None:
        self._budget_sec = budget_sec
        self._deadline: float | None = None
        self._pause_sec = 0.1

    async def pause(self) -> bool:
        """Waits a little; False: the budget is spent."""
        now = time.monotonic()
        self._deadline = now + self._budget_sec if self._deadline is None else self._deadline
        if now >= self._deadline:
            return False
        await asyncio.sleep(min(self._pause_sec, self._deadline - now))
        self._pause_sec = min(self._pause_sec * 1.6, 2.0)
        return True


async def stream_answer(backend: Backend, call: Call, patience: Patience) -> AsyncGenerator[Delta, None]:
    """The answer's pieces, without the prefill; the last ones carry finish reason, usage and timings.

    Raises:
        ModelUnavailable: refused, lost or loading for longer than `patience` allows.
        ServerLost: lost after the first words.
        LLMError: anything else in `errors`.
    """
    lost, loading = Waiting(patience.lost_sec), Waiting(patience.loading_sec)
    url = backend.endpoint.base_url
    while True:
        words = False
        try:
            async with aclosing(_attempt(backend, call, patience)) as deltas:
                async for delta in deltas:
                    words = words or bool(delta.text)
                    yield delta
            return
        except Loading as state:
            backend.forget()
            if not await loading.pause():
                raise ModelUnavailable([url], f"It still answered 503 after {patience.loading_sec:g} s.") from state
            lost = Waiting(patience.lost_sec)
        except (httpx.TransportError, Truncated) as state:
            backend.forget()
            reason = f"{type(state).__name__}: {state}".rstrip(": ")
            if words:
                raise ServerLost(
                    [url], message=f"The model server was lost in the middle of an answer ({reason})."
                ) from state
            if not await lost.pause():
                raise ModelUnavailable([url], f"({reason})") from state


async def _attempt(backend: Backend, call: Call, patience: Patience) -> AsyncGenerator[Delta, None]:
    call = await fit(backend, call)
    response, variant = await _ask(backend, call, patience)
    try:
        async with aclosing(_deltas(backend, response, patience)) as deltas:
            stripper = EchoStripper(call.prefill if _may_echo(variant) else "")
            async for delta in deltas:
                yield replace(delta, text=stripper.feed(delta.text))
        yield Delta(text=stripper.close(), prefilled=variant.continues)
    finally:
        await response.aclose()


def _may_echo(variant: Variant) -> bool:
    return variant.dialect == "chat" or not variant.continues


async def _ask(backend: Backend, call: Call, patience: Patience) -> tuple[httpx.Response, Variant]:
    """Asks in the ways this server might understand, and remembers the one it did."""
    variant, tried = backend.found.variant, set[Variant]()
    first: Refusal | None = None
    while True:
        tried.add(variant)
        path, body = await _request(backend, call, variant)
        response = await backend.send(path, body, patience)
        if response.status_code == 200:
            backend.remember(variant)
            return response, variant
        refusal = await _refusal(backend, response)
        first = first or refusal
        following = other_way(variant, refusal, call)
        if following is None or following in tried:
            raise _final(error_of(first if refusal.status == 404 else refusal, backend.endpoint), backend)
        variant = following


def _final(error: LLMError, backend: Backend) -> LLMError:
    if isinstance(error, ContextOverflow) and error.n_ctx:
        backend.found.n_ctx = error.n_ctx
    return error


async def _request(backend: Backend, call: Call, variant: Variant) -> tuple[str, dict[str, Any]]:
    if not variant.continues:
        call = ask_for_prefill_in_words(call)
    if variant.strict and call.sampling.grammar is not None:
        raise RequestRefused(f"The model server {backend.endpoint.base_url} knows no grammars; use a JSON schema.")
    if variant.dialect == "chat":
        return "/v1/chat/completions", chat_body(call, variant)
    return "/completion", native_body(call, await backend.render(call))


async def _refusal(backend: Backend, response: httpx.Response) -> Refusal:
    try:
        async with asyncio.timeout(10):
            body = (await response.aread()).decode("utf-8", errors="replace")
    finally:
        await response.aclose()
    if response.status_code in _BUSY:
        raise Loading(body[:200])
    if response.status_code in _LOST:
        raise Truncated(f"status {response.status_code}")
    if response.status_code in (401, 403):
        raise backend.unauthorized()
    return Refusal(response.status_code, body)


async def _deltas(backend: Backend, response: httpx.Response, patience: Patience) -> AsyncGenerator[Delta, None]:
    kind = response.headers.get("content-type", "")
    understood = finished = False
    async with aclosing(_frames(backend, response, patience, kind)) as frames:
        async for frame in frames:
            if frame.value == "[DONE]":
                finished = True
                break
            delta = _delta(backend, frame)
            understood = True
            finished = finished or delta.finish_reason is not None
            yield delta
    if not finished:
        if understood or "event-stream" in kind:
            raise Truncated("the stream ended before the answer did")
        raise BackendAnsweredNonsense(f"{backend.endpoint.base_url} answered with {kind or 'no content type'}")


async def _frames(
    backend: Backend, response: httpx.Response, patience: Patience, kind: str
) -> AsyncGenerator[Frame, None]:
    """Events, or the whole body where the server did not stream."""
    if "event-stream" in kind:
        reader = FrameReader()
        async with aclosing(backend.read(response, patience)) as pieces:
            async for piece in pieces:
                for frame in reader.feed(piece):
                    yield frame
        for frame in reader.close():
            yield frame
        return
    async with aclosing(backend.read(response, patience)) as pieces:
        body = b"".join([piece async for piece in pieces]).decode("utf-8", errors="replace")
    if "json" not in kind:
        raise BackendAnsweredNonsense(f"{backend.endpoint.base_url} answered with {kind or 'no type'}: {body[:120]!r}")
    yield Frame("data", body)


def _delta(backend: Backend, frame: Frame) -> Delta:
    try:
        payload = json.loads(frame.value)
    except ValueError as error:
        raise BackendAnsweredNonsense(
            f"The model server sent a frame that is not JSON: {frame.value[:120]!r}"
        ) from error
    if frame.field == "error" or (isinstance(payload, dict) and payload.get("error")):
        raise error_in_stream(payload, backend.endpoint)
    return delta_of(payload)
