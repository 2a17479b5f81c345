"""A coder-agent that says what it is told: a real HTTP server on loopback, in a thread, for tests of its clients.

with ScriptedCoderAgent(verified_job("x = 1")) as agent:
    ...  # agent.base_url, then agent.requests
"""

import asyncio
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from kitty_cli.sse import Event

JOBS = "/api/coding/jobs"
CODE = "def add(a, b):\n    return a + b\n"
TESTS = "from solution import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"


def result(verdict: str = "verified", code: str = CODE, **more: Any) -> dict[str, Any]:
    """A whole response, as `/api/coding/generate` gives it."""
    passed = verdict == "verified"
    return {
        "code": code,
        "tests": TESTS,
        "test_code": TESTS,
        "passed": passed,
        "tests_passed": passed,
        "success": passed,
        "summary": "**Done.**",
        "final_answer": "**Done.**",
        "error": None,
        "verdict": verdict,
        "evidence": {"caller_tests": 0, "examples": 2, "generated_tests": 3, "candidates": 2, "agreement": 1.0},
        "confidence": 0.93,
        "code_sha256": hashlib.sha256(code.encode()).hexdigest(),
        "usage": {
            "prefill_tokens": 310,
            "completion_tokens": 42,
            "calls": 2,
            "seconds": {"code": 1.5, "test": 0.5},
            "total_seconds": 2.5,
        },
        "model": "kitty-coder",
        "tier": "standard",
        "refinement_count": 0,
    } | more


def steps(code: str = CODE) -> list[Event]:
    """The events of a job before its end."""
    return [
        {"type": "started", "sessionId": "s", "jobId": "j"},
        {"type": "plan_start"},
        {"type": "plan_complete", "plan": "1. write it"},
        {"type": "code_start", "candidate": 0},
        {"type": "prefill", "done": 155, "total": 310},
        *({"type": "code_chunk", "delta": line} for line in code.splitlines(keepends=True)),
        {"type": "something_new", "of": "a later version"},
        {"type": "code_complete", "code": code, "candidate": 0},
        {"type": "run_start", "iteration": 0},
        {"type": "run_complete", "testsPassed": True, "exitCode": 0},
        {"type": "candidate", "index": 0, "of": 1, "examples_passed": 2},
    ]


def finished_job(verdict: str = "verified", code: str = CODE, **more: Any) -> list[Event]:
    """All events of a job that ends with `complete`."""
    answer = result(verdict, code, **more)
    return [*steps(code), {"type": "complete", "success": answer["success"], "verdict": verdict, "result": answer}]


def failed_job(code: str, message: str, **more: Any) -> list[Event]:
    """All events of a job that ends with `error`."""
    return [*steps(), {"type": "error", "error": message, "code": code, **more}]


@dataclass
class Received:
    """One request, as it came."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class ScriptedCoderAgent:
    """Answers `POST` to `path` with `events`, `GET` of one of `documents` with it, and 404 to all else.

    It knows one job, `job_id`, whose events are the same with numbers from 1.
    """

    events: Sequence[Event] = field(default_factory=finished_job)
    problem: Mapping[str, Any] | None = None
    """Sent instead of the stream: a problem document, with its `status`."""
    ending: str = "end"
    """After the events: `end` the stream; `hold` it open, with pings; `break` the connection."""
    health: dict[str, Any] = field(
        default_factory=lambda: {"status": "ok", "service": "coder-agent", "jobs_running": 0}
    )
    port: int = 0
    path: str = "/api/coding/stream"
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    job_id: str = "ab" * 16
    requests: list[Received] = field(default_factory=list, init=False)
    streaming: threading.Event = field(default_factory=threading.Event, init=False)
    """Set when all events were sent."""
    disconnected: threading.Event = field(default_factory=threading.Event, init=False)
    """Set when a client left a stream that was held open."""
    base_url: str = field(default="", init=False)

    def __enter__(self) -> "ScriptedCoderAgent":
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self.serve(ready),), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the scripted service did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    async def serve(self, ready: threading.Event | None = None) -> None:
        """Serves until the end of the `with` block, or for ever where there is none."""
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        if ready is not None:
            ready.set()
        await self._over.wait()
        server.close()
        open_connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in open_connections:
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read_request(reader)
            if request.path == "/healthz":
                await _send(writer, 200, self.health)
                return
            self.requests.append(request)
            if request.path in self.documents:
                await _send(writer, 200, self.documents[request.path])
            elif request.path.partition("?")[0] in (JOBS, f"{JOBS}/{self.job_id}"):
                job = {"job_id": self.job_id, "status": "running"}
                await _send(writer, 200, {**job, "jobs": [job]})
            elif request.path == f"{JOBS}/{self.job_id}/events":
                await self._stream(reader, writer, int(request.headers.get("last-event-id", 0)))
            elif request.path != self.path:
                await _send(writer, 404, {"code": "not_found", "detail": "Not found"})
            elif self.problem is not None:
                await _send(writer, int(self.problem["status"]), self.problem)
            else:
                await self._stream(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.disconnected.set()
        finally:
            writer.close()

    async def _stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: int | None = None
    ) -> None:
        """`behind`: the number of the event that is known already, where they have numbers."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, event in list(enumerate(self.events, 1))[behind or 0 :]:
            named = "" if behind is None else f"id: {number}\n"
            frame = f": ping\n\n{named}data: {json.dumps(event, ensure_ascii=False)}\n\n"
            await _send_chunk(writer, frame.encode())
        self.streaming.set()
        if self.ending == "hold":
            await reader.read()  # returns when the client closes
            self.disconnected.set()
        elif self.ending == "end":
            await _send_chunk(writer, b"")


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(first.split()[1], headers, json.loads(body) if body else None)


async def _send(writer: asyncio.StreamWriter, status: int, document: Mapping[str, Any]) -> None:
    content = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + content)
    await writer.drain()


async def _send_chunk(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
    await writer.drain()
