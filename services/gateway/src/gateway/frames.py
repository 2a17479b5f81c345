"""Looks at server-sent events while they pass: which job it is, and how it ended. Pure."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from kitty_core.audit.facts import Facts, facts_of
from kitty_core.wire import to_json

EVENTS = "text/event-stream"
LONGEST_FRAME = 8 * 1024 * 1024
"""A longer one is passed on without being looked at."""
TELLING = ("started", "complete", "error")


class FrameWatch:
    """Feed it the bytes as they come; ask `facts` when no more will."""

    def __init__(self, longest: int = LONGEST_FRAME) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._half_end = b""
        """A carriage return whose line feed may come with the next bytes."""
        self._searched = 0
        self._is_skipping = False
        self._job_id: str | None = None
        self._last: Mapping[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether `complete` or `error` has passed."""
        return self._last is not None

    @property
    def is_amid_frame(self) -> bool:
        """Whether the bytes so far end inside a frame."""
        return bool(self._rest) or self._is_skipping

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes."""
        chunk = self._half_end + chunk
        self._half_end = b"\r" if chunk.endswith(b"\r") else b""
        self._rest += chunk[: len(chunk) - len(self._half_end)].replace(b"\r\n", b"\n")
        while (end := self._rest.find(b"\n\n", max(0, self._searched - 1))) >= 0:
            frame = bytes(self._rest[:end])
            del self._rest[: end + 2]
            self._searched = 0
            if not self._is_skipping:
                self._look(frame)
            self._is_skipping = False
        self._searched = len(self._rest)
        if len(self._rest) > self._longest:
            self._is_skipping = True
            del self._rest[:-1]
            self._searched = 1

    def facts(self, without_end: str) -> Facts:
        """What the row says; `without_end` is the error where neither `complete` nor `error` has passed."""
        last = self._last
        if last is None:
            return Facts("error", without_end, job_id=self._job_id)
        result = last.get("result")
        said: dict[str, Any] = {"job_id": self._job_id, **(result if isinstance(result, Mapping) else {})}
        if last["type"] == "complete":
            return facts_of(200, said)
        code = last.get("code")
        return facts_of(504 if code == "deadline" else 500, said | {"error_code": code})

    def _look(self, frame: bytes) -> None:
        # Only the few telling frames are parsed; what a model writes inside the others is not worth a look.
        if not any(b'"%s"' % name.encode() in frame for name in TELLING):
            return
        lines = [line[5:].strip() for line in frame.split(b"\n") if line.startswith(b"data:")]
        try:
            event = json.loads(b"\n".join(lines))
        except (ValueError, RecursionError):
            return
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "started" and isinstance(event.get("jobId"), str):
            self._job_id = event["jobId"]
        elif kind in ("complete", "error"):
            self._last = event


async def edited(
    chunks: AsyncIterator[bytes], mark: bytes, edit: Callable[[dict[str, Any]], Awaitable[None]]
) -> AsyncIterator[bytes]:
    """`chunks` frame by frame; the event of a frame that holds `mark` is given to `edit`, which may change it.

    Frames end with an empty line, without carriage returns, as the house writes them. One that is no event, or longer
    than LONGEST_FRAME, is passed on as it is.
    """
    rest = b""
    async for chunk in chunks:
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            yield await _edited(frame, mark, edit) + b"\n\n"
        if len(rest) > LONGEST_FRAME:
            yield rest
            rest = b""
    if rest:
        yield rest


async def _edited(frame: bytes, mark: bytes, edit: Callable[[dict[str, Any]], Awaitable[None]]) -> bytes:
    if mark not in frame or not frame.startswith(b"data:"):
        return frame
    try:
        event = json.loads(frame.removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return frame
    if not isinstance(event, dict):
        return frame
    await edit(event)
    return f"data: {to_json(event)}".encode()
