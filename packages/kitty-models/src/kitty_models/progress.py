"""Showing a person how far a pull is: a bar on a terminal, a line now and then elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

LINE_EVERY_SEC = 5.0
LINE_EVERY_SHARE = 0.10
MB = 1_000_000


class PullProgress(Protocol):
    """What a pull tells while it runs."""

    def say(self, text: str) -> None:
        """A sentence for the person who waits."""

    def begin(self, label: str, done: int, total: int | None) -> None:
        """Bytes start to flow; `done` of them are there already."""

    def advance(self, size: int) -> None:
        """So many bytes more."""

    def end(self) -> None:
        """No more bytes from this source."""


class SilentProgress:
    """Says nothing."""

    def say(self, text: str) -> None: ...
    def begin(self, label: str, done: int, total: int | None) -> None: ...
    def advance(self, size: int) -> None: ...
    def end(self) -> None: ...


class BarProgress:
    """A bar with size, rate and time left."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def say(self, text: str) -> None:
        (self._bar.console if self._bar else self._console).print(text, markup=False, highlight=False)

    def begin(self, label: str, done: int, total: int | None) -> None:
        self.end()
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = Progress(TextColumn("{task.description}"), *columns, console=self._console, transient=True)
        self._task = self._bar.add_task(label, total=total, completed=done)
        self._bar.start()

    def advance(self, size: int) -> None:
        if self._bar:
            self._bar.advance(self._task, size)

    def end(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


class LineProgress:
    """A plain line every ten percent, and at the latest every five seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._label = ""
        self._total: int | None = None
        self._start = self._done = self._shown = 0
        self._started_at = self._shown_at = 0.0

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def begin(self, label: str, done: int, total: int | None) -> None:
        self._label, self._total = label, total
        self._start = self._done = self._shown = done
        self._started_at = self._shown_at = self._clock()

    def advance(self, size: int) -> None:
        self._done += size
        now = self._clock()
        step = LINE_EVERY_SHARE * self._total if self._total else float("inf")
        if self._done - self._shown >= step or now - self._shown_at >= LINE_EVERY_SEC:
            self._shown, self._shown_at = self._done, now
            self.say(self._line(now))

    def end(self) -> None: ...

    def _line(self, now: float) -> str:
        rate = (self._done - self._start) / max(now - self._started_at, 1e-3)
        if self._total is None:
            return f"{self._label}: {self._done / MB:.0f} MB, {rate / MB:.1f} MB/s"
        left = (self._total - self._done) / max(rate, 1.0)
        share = 100 * self._done / self._total
        total = f"{self._done / MB:.0f} of {self._total / MB:.0f} MB"
        return f"{self._label}: {share:.0f}% ({total}), {rate / MB:.1f} MB/s, {left:.0f} s left"


def progress_for(stream: TextIO | None = None) -> PullProgress:
    """A bar when `stream` (stderr) is a terminal, else lines."""
    chosen = stream or sys.stderr
    return BarProgress(chosen) if chosen.isatty() else LineProgress(chosen)
