"""Server-sent events from bytes that may be cut anywhere, in the middle of a character too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """`field` is `data`, or `error` as older llama.cpp servers name a failure."""

    field: str
    value: str


class FrameReader:
    """Collects the lines of an event; comments (pings), ids and event names are left out."""

    def __init__(self) -> None:
        self._bytes = b""
        self._lines: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> list[Frame]:
        """The events that `data` completes."""
        *lines, self._bytes = (self._bytes + data).split(b"\n")
        return [frame for line in lines for frame in self._line(line)]

    def close(self) -> list[Frame]:
        """The event that has no closing empty line."""
        return self.feed(b"\n\n")

    def _line(self, raw: bytes) -> list[Frame]:
        line = raw.removesuffix(b"\r").decode("utf-8", errors="replace")
        if not line:
            return self._flush()
        field, colon, value = line.partition(":")
        if colon and field in ("data", "error"):
            self._lines.append((field, value.removeprefix(" ")))
        return []

    def _flush(self) -> list[Frame]:
        lines, self._lines = self._lines, []
        if not lines:
            return []
        return [Frame(lines[0][0], "\n".join(value for _, value in lines))]
