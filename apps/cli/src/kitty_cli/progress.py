"""What a person sees while a job runs, always on stderr: one live line on a terminal, a line a step elsewhere."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from kitty_cli.sse import Event
from kitty_cli.visible import visible

STEPS = {
    "code_start": "writing the code",
    "test_start": "writing tests",
    "run_start": "running the tests",
    "refine_start": "refining",
    "summary_start": "summing up",
}
PLANNING = "planning"
"""Begins with its first chunk: where no model is asked for a plan, it takes no time and is not worth a line."""


class JobProgress:
    """The state of a job, from its events. Pure but for the clock it is given."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self.step = "waiting"
        self._candidate = ""
        self._prefill = ""
        self._chunks = 0
        self._first_chunk_at: float | None = None
        self._codes: set[str] = set()

    def apply(self, event: Event) -> bool:
        """Takes an event in; true when there is something new to say."""
        kind = str(event.get("type", ""))
        is_news = kind in STEPS or (kind == "plan_chunk" and self.step != PLANNING)
        if is_news:
            self._begin(kind, event)
        if kind.endswith("_chunk"):
            self._prefill = ""
            self._chunks += 1
            self._first_chunk_at = self._clock() if self._first_chunk_at is None else self._first_chunk_at
        elif kind == "prefill":
            self._prefill = _share(event.get("done"), event.get("total"))
        elif kind == "candidate":
            self._candidate = f"candidate {_one_based(event.get('index'))} of {event.get('of')}"
        elif kind in ("code_complete", "refine_complete"):
            is_news = self._take_code(kind, str(event.get("code") or ""))
        return is_news

    def line(self) -> str:
        """One line: step, candidate, prefill or speed, elapsed."""
        parts = [self.step, self._candidate, self._prefill or self._speed(), f"{self._clock() - self._began:.0f} s"]
        return visible(" · ".join(part for part in parts if part))

    def _begin(self, kind: str, event: Event) -> None:
        self._enter(STEPS.get(kind, PLANNING))
        if kind == "refine_start" and event.get("iteration") is not None:
            self.step += f" (round {event['iteration']})"
        if kind == "code_start" and event.get("candidate") is not None:
            of = f" of {event['of']}" if event.get("of") else ""
            self._candidate = f"candidate {_one_based(event['candidate'])}{of}"

    def _take_code(self, kind: str, code: str) -> bool:
        """True when a refinement ended without code, or with code that was there before."""
        is_new = bool(code) and code not in self._codes
        self._codes.add(code)
        if kind != "refine_complete" or is_new:
            return False
        self._enter("refining brought nothing new")
        return True

    def _enter(self, step: str) -> None:
        self.step = step
        self._prefill, self._chunks, self._first_chunk_at = "", 0, None

    def _speed(self) -> str:
        """Tokens a second: the model's servers send one token a chunk."""
        seconds = 0.0 if self._first_chunk_at is None else self._clock() - self._first_chunk_at
        return f"{(self._chunks - 1) / seconds:.0f} tok/s" if self._chunks > 1 and seconds > 0 else ""


def _one_based(index: object) -> str:
    return str(index + 1) if isinstance(index, int) else str(index)


def _share(done: object, total: object) -> str:
    if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
        return f"reading the prompt {100 * done / total:.0f}%"
    return ""


class Display(AbstractContextManager["Display"], Protocol):
    """Shows a job."""

    def show(self, event: Event) -> None: ...
    def say(self, text: str) -> None: ...


class Silent:
    """`--quiet`."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def show(self, event: Event) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class PlainLines(Silent):
    """One line a step."""

    def __init__(self) -> None:
        self._progress = JobProgress()

    def show(self, event: Event) -> None:
        if self._progress.apply(event):
            self.say(self._progress.line())

    def say(self, text: str) -> None:
        print(f"kitty-cli: {visible(text)}", file=sys.stderr, flush=True)


class LiveLine(Silent):
    """One line that is always up to date, gone at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        self._progress = JobProgress()
        spinner = Spinner("dots", style="cyan")

        def picture() -> Spinner:
            spinner.update(text=Text(self._progress.line(), no_wrap=True, overflow="ellipsis"))
            return spinner

        self._console = Console(stderr=True, highlight=False)
        self._live = Live(get_renderable=picture, console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "LiveLine":
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        self._progress.apply(event)

    def say(self, text: str) -> None:
        self._console.print(visible(text), markup=False, soft_wrap=True)


def display_for(quiet: bool) -> Display:
    """The display for this stderr."""
    if quiet:
        return Silent()
    return LiveLine() if is_full_terminal(sys.stderr.isatty()) else PlainLines()


def is_full_terminal(is_tty: bool) -> bool:
    """Whether a cursor can be moved there."""

    return is_tty and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
