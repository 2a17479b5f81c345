"""Server-sent events, as bytes arrive: `data:` lines up to a blank line are one JSON document. Pure."""

import json
from collections.abc import Iterator
from typing import Any

from kitty_cli.errors import ServiceFailed

Event = dict[str, Any]
MOST_DIGITS = 15


class FrameParser:
    """Feed it what arrives, in any cut. Comments (`: ping`) and fields other than `data`, `event`, `id` are skipped.

    Lines are split at `\\n` only: JSON may hold other characters that Python counts as line ends.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._name = ""
        self.last_id: int | None = None
        """The number of the event that was given last, where they have numbers."""
        self._id: int | None = None

    def feed(self, block: bytes) -> Iterator[Event]:
        """The events that `block` completes.

        Raises:
            ServiceFailed: a frame is not a JSON object.
        """
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            event = self._take(line.removesuffix(b"\r"))
            if event is not None:
                yield event

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._finish_frame()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
        elif field == b"id" and value.isdigit():
            self._id = int(value[:MOST_DIGITS])
        return None

    def _finish_frame(self) -> Event | None:
        data, name = b"\n".join(self._data), self._name
        self._data, self._name = [], ""
        if not data:
            return None
        self.last_id = self._id
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise ServiceFailed(f"The service sent a frame that is not a JSON object: {data[:80]!r}")
        return event if "type" in event or not name else {"type": name, **event}
