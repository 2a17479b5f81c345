"""One model server: requests to it, and what it was found to be and to have."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from kitty_llm.dialects import Call, Variant, chatml
from kitty_llm.endpoint import Endpoint, Patience
from kitty_llm.errors import Stalled, Unauthorized

_T = TypeVar("_T")

_ASK_SEC = 10.0
_LOOK_SEC = 2.0
_SILENCES_AT_WORK = 10
"""A server that says it is at work is given so many times the longest silence: one batch of a long prompt takes
minutes on a busy small machine, and its progress is told only between batches."""
_COUNTS_KEPT = 64
UNAUTHORIZED = "The model server {url} wants another API key: set {variable}."


class Loading(Exception):
    """The server answers 503 (loading the model) or 429 (busy)."""


@dataclass
class Found:
    """What trying has shown. Forgotten when the server goes away: another one may come back."""

    variant: Variant
    n_ctx: int | None = None
    missing: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)


def open_client() -> httpx.AsyncClient:
    """The HTTP client that fits: no proxies for loopback, no limit on jobs, no stale connections."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=2.0)
    return httpx.AsyncClient(trust_env=False, limits=limits, headers={"Accept-Encoding": "identity"})


class Backend:
    """Shared by all jobs that use its endpoint.

    Args:
        endpoint: where it is.
        http: not closed here.
        fallback_n_ctx: the context window of a server that cannot be asked, in tokens.
        supports_prefill: False where it is known that the last assistant message is not continued.
        unauthorized_message: may name `{url}` and `{variable}`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        http: httpx.AsyncClient,
        *,
        fallback_n_ctx: int = 4096,
        supports_prefill: bool = True,
        unauthorized_message: str = UNAUTHORIZED,
    ) -> None:
        self.endpoint = endpoint
        self._http = http
        self._fallback_n_ctx = fallback_n_ctx
        self._unauthorized_message = unauthorized_message
        self._first_guess = Variant(continues=supports_prefill)
        self.found = Found(self._first_guess)

    def forget(self) -> None:
        """Begin anew: chat completions first."""
        self.found = Found(self._first_guess)

    def unauthorized(self) -> Unauthorized:
        names = {"url": self.endpoint.base_url, "variable": self.endpoint.key_variable}
        return Unauthorized(self._unauthorized_message.format(**names))

    async def send(self, path: str, body: Mapping[str, Any], patience: Patience) -> httpx.Response:
        """Sends a request for an answer and returns when it begins to arrive; close the response.

        A server that works for another request is waited for: only silence without work is a stall.

        Raises:
            Stalled: no byte for `patience.stall_sec`, and no slot of the server is at work.
            httpx.TransportError: no connection, or lost.
        """
        timeout = httpx.Timeout(None, connect=patience.connect_sec, write=patience.stall_sec)
        request = self._http.build_request("POST", self._url(path), json=body, headers=self._headers, timeout=timeout)
        return await self._unless_stalled(self._http.send(request, stream=True), patience)

    async def read(self, response: httpx.Response, patience: Patience) -> AsyncGenerator[bytes, None]:
        """The body as it arrives.

        Raises:
            Stalled: as in `send`.
        """
        body = response.aiter_bytes()
        while (piece := await self._unless_stalled(_next(body), patience)) is not None:
            yield piece

    async def _unless_stalled(self, work: Coroutine[Any, Any, _T], patience: Patience) -> _T:
        task = asyncio.create_task(work)
        try:
            for _ in range(_SILENCES_AT_WORK):
                if (await asyncio.wait({task}, timeout=patience.stall_sec))[0]:
                    return task.result()
                if not await self._is_at_work():
                    break
            raise self.stalled(patience)
        except BaseException:
            await _abandon(task)
            raise

    def stalled(self, patience: Patience) -> Stalled:
        return Stalled(f"The model server {self.endpoint.base_url} sent nothing for {patience.stall_sec:g} s.")

    async def n_ctx(self) -> int:
        """The context window of one slot, in tokens."""
        if self.found.n_ctx is None:
            props = await self.ask("/props")
            if props is None and "/props" not in self.found.missing:
                return self._fallback_n_ctx
            props = props or {}
            settings = props.get("default_generation_settings")
            n_ctx = (settings if isinstance(settings, dict) else props).get("n_ctx")
            self.found.n_ctx = n_ctx if isinstance(n_ctx, int) and n_ctx > 0 else self._fallback_n_ctx
        return self.found.n_ctx

    async def count(self, text: str) -> int | None:
        """Tokens of `text`; None where the server cannot be asked."""
        known = self.found.counts.get(text)
        if known is not None:
            return known
        answer = await self.ask("/tokenize", {"content": text, "add_special": True, "parse_special": True})
        tokens = (answer or {}).get("tokens")
        if not isinstance(tokens, list):
            return None
        if len(self.found.counts) >= _COUNTS_KEPT:
            del self.found.counts[next(iter(self.found.counts))]
        self.found.counts[text] = len(tokens)
        return len(tokens)

    async def render(self, call: Call) -> str:
        """The prompt as the model reads it: the server's own template, ChatML where it has none to offer."""
        messages = [message.as_json() for message in call.messages]
        rendered = (await self.ask("/apply-template", {"messages": messages}) or {}).get("prompt")
        return (rendered if isinstance(rendered, str) else chatml(call.messages)) + call.prefill

    def remember(self, variant: Variant) -> None:
        self.found.variant = variant

    async def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """A question about the server itself; None where it has no answer, remembered.

        Raises:
            Loading: ask again later.
            httpx.TransportError: no connection, or lost.
        """
        if path in self.found.missing:
            return None
        try:
            response = await self._http.request(
                "GET" if body is None else "POST",
                self._url(path),
                json=body,
                headers=self._headers,
                timeout=httpx.Timeout(_ASK_SEC, connect=1.0),
            )
        except httpx.ReadTimeout:
            return None
        if response.status_code == 503:
            raise Loading(path)
        payload = _json_object(response) if response.status_code == 200 else None
        if payload is None:
            self.found.missing.add(path)
        return payload

    async def _is_at_work(self) -> bool:
        """A slot is busy, or the loop that would say so is, while the rest of the server answers."""
        try:
            response = await self._get("/slots")
            slots = response.json() if response.status_code == 200 else []
        except httpx.ReadTimeout:
            return await self._is_alive()
        except (httpx.TransportError, ValueError):
            return False
        return isinstance(slots, list) and any(isinstance(slot, dict) and slot.get("is_processing") for slot in slots)

    async def _is_alive(self) -> bool:
        try:
            return (await self._get("/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def _get(self, path: str) -> httpx.Response:
        return await self._http.get(self._url(path), headers=self._headers, timeout=_LOOK_SEC)

    def _url(self, path: str) -> str:
        return self.endpoint.root + path

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.endpoint.api_key}"} if self.endpoint.api_key else {}


async def _next(body: AsyncIterator[bytes]) -> bytes | None:
    return await anext(body, None)


async def _abandon(task: "asyncio.Task[Any]") -> None:
    """Frees the connection, also when the answer arrives in the moment of giving up."""
    task.cancel()
    [outcome] = list[Any](await asyncio.gather(task, return_exceptions=True))
    if isinstance(outcome, httpx.Response):
        await outcome.aclose()


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        payload = response.json()
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None
