"""How far an evaluation is, on stderr: a bar with the time left on a terminal, a line a task elsewhere."""

import os
import sys
from collections import Counter
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kitty_evals.records import Record


class RunProgress(Protocol):
    """What a run tells while it goes on."""

    def __enter__(self) -> "RunProgress": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...
    def show(self, record: Record) -> None:
        """One task more is on record."""


class BarProgress:
    """A bar, and how many are right in each arm so far."""

    def __init__(self, total: int, done: int, stream: TextIO) -> None:
        counts = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counts)
        self._bar = Progress(*columns, console=Console(file=stream), transient=True)
        self._task = self._bar.add_task("starting", total=total, completed=done)
        self._right: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()

    def __enter__(self) -> "BarProgress":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, record: Record) -> None:
        arm = record.tier or "raw"
        self._seen[arm] += 1
        self._right[arm] += bool(record.right)
        right = ", ".join(f"{name} {self._right[name]}/{count} right" for name, count in self._seen.items())
        self._bar.update(self._task, advance=1, description=right)


class LineProgress:
    """A plain line a task."""

    def __init__(self, total: int, done: int, stream: TextIO) -> None:
        self._total, self._done, self._stream = total, done, stream

    def __enter__(self) -> "LineProgress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def show(self, record: Record) -> None:
        self._done += 1
        print(f"{self._done}/{self._total} {line_of(record)}", file=self._stream, flush=True)


def line_of(record: Record) -> str:
    """One task in one line."""
    words = [record.task, record.tier or "raw", RIGHT[record.right], record.verdict or ""]
    if record.usage:
        words.append(f"{record.usage.paid_tokens} tokens")
    words += [f"{record.wall_seconds:.1f} s", f"error: {record.error}" if record.error else ""]
    return printable(" · ".join(word for word in words if word))


def announce(text: str) -> None:
    """A line of the program on stderr."""
    print(f"kitty-cli: {printable(text)}", file=sys.stderr, flush=True)


RIGHT = {True: "right", False: "wrong", None: "not judged"}


def printable(text: str) -> str:
    """`text` of a service or a guest in one line, without anything a terminal would act on."""
    return "".join(character if character.isprintable() else "�" for character in text)


def progress_for(total: int, done: int, stream: TextIO | None = None) -> RunProgress:
    """A bar where `stream` (stderr) is a terminal whose cursor can be moved, else lines."""
    chosen = stream or sys.stderr
    is_full = chosen.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return BarProgress(total, done, chosen) if is_full else LineProgress(total, done, chosen)
