"""A model server for tests: real HTTP on loopback, scripted answers, every misbehaviour we know of.

async with ScriptedModel(["def add(a, b): ..."]) as server:
    roles = ModelRoles({"coder": Endpoint(server.base_url)})

with ScriptedModel("always this").threaded() as server:      # from synchronous tests
    ...
"""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CHARACTERS_PER_TOKEN = 4
"""This server's tokenizer: a token is four characters."""

_ENDPOINTS = {
    "/health": "always",
    "/v1/models": "openai",
    "/v1/chat/completions": "openai",
    "/completion": "completion",
    "/props": "props",
    "/slots": "props",
    "/tokenize": "tokenize",
    "/apply-template": "apply_template",
}
_OPENAI_FIELDS = {"model", "messages", "stream", "stream_options", "response_format"} | {
    "temperature",
    "top_p",
    "seed",
    "max_tokens",
    "stop",
}


@dataclass(frozen=True)
class Reply:
    """One scripted answer and how it goes wrong, counted in chunks that were sent before."""

    text: str = ""
    finish_reason: str = "stop"
    error_after: int | None = None
    """An error frame instead of the rest."""
    error: Mapping[str, Any] = field(
        default_factory=lambda: {"code": 500, "message": "the scripted failure", "type": "server_error"}
    )
    drop_after: int | None = None
    """The connection is cut."""
    hang_after: int | None = None
    """Silence until the client goes away."""
    alternatives: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What else some chunk could have been, text to log probability; told where the request asks for it."""


Script = str | Reply | Iterable[str | Reply] | Callable[[list[dict[str, str]]], str | Reply]


@dataclass
class RecordedRequest:
    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    disconnected_at: float | None = None
    """`time.monotonic()` when the client was found gone before the answer's end."""
    ended_at: float | None = None
    """`time.monotonic()` when nothing more of a stream was sent, however it ended."""

    @property
    def messages(self) -> list[dict[str, str]]:
        """As sent; the whole prompt as one user message in the native dialect."""
        prompt = [{"role": "user", "content": str(self.body.get("prompt", ""))}]
        return list(self.body.get("messages", prompt))

    @property
    def prefill(self) -> str:
        last = self.messages[-1] if self.messages else {}
        return str(last.get("content", "")) if last.get("role") == "assistant" else ""


@dataclass
class ScriptedModel:
    """Speaks llama.cpp's dialects on 127.0.0.1.

    `script` is one text for every request, texts in order (one more request is answered 500), or a function of
    the request's messages. Options may be changed while it runs. `stop()` and `start()` keep the port, as a
    restarted server does.
    """

    script: Script = ""
    model: str = "scripted"
    n_ctx: int = 8192
    slots: int = 1
    """As it says; it works on whatever comes."""
    openai: bool = True
    completion: bool = True
    props: bool = True
    tokenize: bool = True
    apply_template: bool = True
    api_key: str | None = None
    loading_requests: int = 0
    """So many requests (for an answer or a question) are answered 503 first."""
    loading_sec: float = 0.0
    """503 for so long after the start."""
    echo_prefill: bool = False
    chunk_chars: int = 8
    write_bytes: int | None = None
    """The stream is written in pieces of so many bytes: cuts frames and characters."""
    delay_sec: float = 0.0
    """Before each chunk."""
    progress_frames: int = 2
    """Prefill progress, where the request asks for it."""
    reject_unknown_fields: bool = False
    reject_prefill: bool = False
    html: bool = False
    """Every answer is a web page."""
    port: int = 0

    requests: list[RecordedRequest] = field(default_factory=list, init=False)
    streams_open: int = field(default=0, init=False)
    hanging: int = field(default=0, init=False)
    _server: asyncio.Server | None = field(default=None, init=False, repr=False)
    _connections: "set[asyncio.Task[None]]" = field(default_factory=set, init=False, repr=False)
    _texts: Iterator[str | Reply] | None = field(default=None, init=False, repr=False)
    _began: float = field(default=0.0, init=False)
    _last_prompt: str = field(default="", init=False, repr=False)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def generations(self) -> list[RecordedRequest]:
        """The requests for an answer, refused ones too."""
        return [request for request in self.requests if request.path in ("/v1/chat/completions", "/completion")]

    async def start(self) -> None:
        self._began = time.monotonic()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuses connections and cuts those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def __aenter__(self) -> "ScriptedModel":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @contextmanager
    def threaded(self) -> Iterator["ScriptedModel"]:
        """Runs in a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="scripted-model", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(), loop).result(10)
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.stop(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """For those who use it `threaded`: within the block it is not there, as a server that is restarted."""
        assert self._server is not None, "it was started"
        loop = self._server.get_loop()
        asyncio.run_coroutine_threadsafe(self.stop(), loop).result(10)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self.start(), loop).result(10)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                await _Answer(self, request, reader, writer).send()
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            writer.close()

    def next_reply(self, request: RecordedRequest) -> Reply | None:
        """None: the script has ended."""
        if callable(self.script):
            reply: str | Reply | None = self.script(request.messages)
        elif isinstance(self.script, str | Reply):
            reply = self.script
        else:
            self._texts = self._texts or iter(self.script)
            reply = next(self._texts, None)
        return Reply(reply) if isinstance(reply, str) else reply

    def is_loading(self, path: str) -> bool:
        if time.monotonic() - self._began < self.loading_sec:
            return True
        if self.loading_requests > 0 and path != "/health":
            self.loading_requests -= 1
            return True
        return self.loading_requests > 0

    def offers(self, path: str) -> bool:
        option = _ENDPOINTS.get(path, "")
        return option == "always" or bool(getattr(self, option, False))

    def cached_tokens(self, prompt: str) -> int:
        """As a prefix cache finds them; at least one token is computed."""
        before, self._last_prompt = self._last_prompt, prompt
        shared = next((at for at, (old, new) in enumerate(zip(before, prompt, strict=False)) if old != new), None)
        shared = min(len(before), len(prompt)) if shared is None else shared
        return max(0, min(shared // CHARACTERS_PER_TOKEN, tokens_of(prompt) - 1))


def tokens_of(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def render(messages: Sequence[Mapping[str, str]]) -> str:
    """ChatML; a last assistant message stays open."""
    turns = [f"<|im_start|>{message['role']}\n{message['content']}" for message in messages]
    if messages and messages[-1]["role"] == "assistant":
        return "<|im_end|>\n".join(turns)
    return "".join(f"{turn}<|im_end|>\n" for turn in turns) + "<|im_start|>assistant\n"


class _Refused(Exception):
    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", **more: int) -> None:
        self.status = status
        self.error = {"code": status, "message": message, "type": kind, **more}


class _Answer:
    """One request answered, well or badly."""

    def __init__(
        self,
        server: ScriptedModel,
        request: RecordedRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._server = server
        self._request = request
        self._reader = reader
        self._writer = writer
        self._native = request.path == "/completion"
        # As llama.cpp: the head is sent with the first piece, so a queued request hears nothing at all.
        self._head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def send(self) -> None:
        if self._server.html:
            return await self._whole(200, b"<html><body>It works!</body></html>", "text/html")
        try:
            self._check()
            answer = self._about_the_server()
        except _Refused as refused:
            return await self._json(refused.status, {"error": refused.error})
        if answer is not None:
            return await self._json(200, answer)
        reply = self._server.next_reply(self._request)
        if reply is None:
            return await self._json(500, {"error": {"code": 500, "message": "the script has ended"}})
        return await self._stream(reply)

    def _check(self) -> None:
        server, path = self._server, self._request.path
        if server.is_loading(path):
            raise _Refused(503, "Loading model", "unavailable_error")
        wanted = f"Bearer {server.api_key}"
        if server.api_key and path != "/health" and self._request.headers.get("authorization") != wanted:
            raise _Refused(401, "Invalid API Key", "authentication_error")
        if not server.offers(path):
            raise _Refused(404, "File Not Found", "not_found_error")

    def _about_the_server(self) -> dict[str, Any] | list[Any] | None:
        """None: the request wants an answer of the model."""
        server, body = self._server, self._request.body
        match self._request.path:
            case "/health":
                return {"status": "ok"}
            case "/v1/models":
                return {"object": "list", "data": [{"id": server.model, "object": "model"}]}
            case "/props":
                return {"default_generation_settings": {"n_ctx": server.n_ctx}, "total_slots": server.slots}
            case "/slots":
                return [{"id": 0, "is_processing": server.streams_open > server.hanging}]
            case "/tokenize":
                return {"tokens": list(range(tokens_of(body["content"])))}
            case "/apply-template":
                return {"prompt": render(body["messages"])}
        self._check_body()
        return None

    def _check_body(self) -> None:
        server, request = self._server, self._request
        unknown = sorted(set(request.body) - _OPENAI_FIELDS)
        if server.reject_unknown_fields and unknown:
            raise _Refused(400, f"Unrecognized request arguments supplied: {', '.join(unknown)}")
        if server.reject_prefill and request.prefill:
            raise _Refused(400, "The last message must not be from the assistant")
        tokens = tokens_of(self._prompt)
        if tokens >= server.n_ctx:
            message = f"request ({tokens} tokens) exceeds the available context size ({server.n_ctx} tokens)"
            raise _Refused(400, message, "exceed_context_size_error", n_prompt_tokens=tokens, n_ctx=server.n_ctx)

    @property
    def _prompt(self) -> str:
        return str(self._request.body["prompt"]) if self._native else render(self._request.messages)

    async def _stream(self, reply: Reply) -> None:
        self._server.streams_open += 1
        try:
            prompt_tokens = tokens_of(self._prompt)
            cached = self._server.cached_tokens(self._prompt)
            await self._progress(prompt_tokens, cached)
            text, finish_reason = _stopped(reply, self._request.body.get("stop") or [])
            echo = self._request.prefill if self._server.echo_prefill and not self._native else ""
            chunks = _cut(echo + text, self._server.chunk_chars)
            for sent, chunk in enumerate(chunks):
                if await self._misbehaves(reply, sent):
                    return
                await self._wait(self._server.delay_sec)
                await self._event({**self._piece(chunk), **self._logprobs(reply, chunk)})
            if not await self._misbehaves(reply, len(chunks)):
                await self._finish(finish_reason, prompt_tokens, cached, tokens_of(text))
        finally:
            self._server.streams_open -= 1
            self._request.ended_at = time.monotonic()

    async def _misbehaves(self, reply: Reply, sent: int) -> bool:
        if reply.hang_after == sent:
            await self._hang()
        if reply.drop_after == sent:
            self._writer.transport.abort()
            raise ConnectionResetError
        if reply.error_after == sent:
            await self._event({"error": dict(reply.error)})
            await self._end()
            return True
        return False

    async def _hang(self) -> None:
        self._server.hanging += 1
        try:
            await self._wait(math.inf)
        finally:
            self._server.hanging -= 1

    async def _progress(self, total: int, cached: int) -> None:
        if not self._request.body.get("return_progress"):
            return
        frames = self._server.progress_frames
        for frame in range(1, frames + 1):
            done = cached + (total - cached) * frame // frames
            numbers = {"total": total, "cache": cached, "processed": done, "time_ms": frame}
            await self._wait(self._server.delay_sec)
            await self._event({**self._piece(""), "prompt_progress": numbers})

    def _piece(self, text: str) -> dict[str, Any]:
        if self._native:
            return {"index": 0, "content": text, "stop": False}
        return {"model": self._server.model, "choices": [{"index": 0, "delta": {"content": text}}]}

    def _logprobs(self, reply: Reply, chunk: str) -> dict[str, Any]:
        """The piece again with its alternatives, as either dialect tells them."""
        body = self._request.body
        others = reply.alternatives.get(chunk, {chunk: 0.0})
        if not reply.alternatives or not (body.get("top_logprobs") or body.get("n_probs")):
            return {}
        told = [{"token": token, "logprob": logprob} for token, logprob in others.items()]
        entry = {"token": chunk, "logprob": others.get(chunk, 0.0), "top_logprobs": told}
        if self._native:
            return {"completion_probabilities": [entry]}
        return {"choices": [{"index": 0, "delta": {"content": chunk}, "logprobs": {"content": [entry]}}]}

    async def _finish(self, finish_reason: str, prompt_tokens: int, cached: int, written: int) -> None:
        timings = {"cache_n": cached, "prompt_n": prompt_tokens - cached, "prompt_ms": 1.5, "predicted_n": written}
        if self._native:
            stop_type = "limit" if finish_reason == "length" else "eos"
            counts = {"tokens_evaluated": prompt_tokens, "tokens_predicted": written, "stop_type": stop_type}
            last = {"content": "", "stop": True, "model": self._server.model, "timings": timings, **counts}
            await self._event(last)
            return await self._end()
        await self._event(
            {"model": self._server.model, "choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}
        )
        details = {"prompt_tokens_details": {"cached_tokens": cached}}
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": written, **details}
        of_llama = {} if self._server.reject_unknown_fields else {"timings": timings}
        await self._event({"model": self._server.model, "choices": [], "usage": usage, **of_llama})
        await self._chunked(b"data: [DONE]\n\n")
        return await self._end()

    async def _event(self, payload: Mapping[str, Any]) -> None:
        data = f"data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()
        size = self._server.write_bytes or len(data)
        for at in range(0, len(data), size):
            await self._chunked(data[at : at + size])

    async def _chunked(self, data: bytes) -> None:
        self._write(self._head + f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self._head = b""
        await self._writer.drain()
        await self._wait(0)

    async def _end(self) -> None:
        self._write(b"0\r\n\r\n")
        await self._writer.drain()

    async def _wait(self, seconds: float) -> None:
        """Raises ConnectionResetError when the client goes away meanwhile."""
        until = time.monotonic() + seconds
        while True:
            if self._reader.at_eof() or self._writer.is_closing():
                self._request.disconnected_at = time.monotonic()
                raise ConnectionResetError
            left = until - time.monotonic()
            await asyncio.sleep(max(0.0, min(left, 0.01)))
            if left <= 0:
                return

    async def _json(self, status: int, payload: Any) -> None:
        await self._whole(status, json.dumps(payload).encode(), "application/json")

    async def _whole(self, status: int, body: bytes, kind: str) -> None:
        head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._write(head.encode() + body)
        await self._writer.drain()

    def _write(self, data: bytes) -> None:
        self._writer.write(data)


async def _read_request(reader: asyncio.StreamReader) -> RecordedRequest | None:
    """None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return RecordedRequest(method, path, headers, json.loads(body) if body else {})


def _stopped(reply: Reply, stops: Sequence[str]) -> tuple[str, str]:
    """The text up to the first stop string, as a server cuts it."""
    ends = [at for at in (reply.text.find(stop) for stop in stops) if at >= 0]
    return (reply.text[: min(ends)], "stop") if ends else (reply.text, reply.finish_reason)


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
