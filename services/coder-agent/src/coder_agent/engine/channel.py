"""What a running job writes: events, and the state after each step. One writer a job, in order, many events at a time.

emit ─> buffer ─┐
save ─> state ──┼─> one transaction, at once after a tenth of a second of silence, else a tenth after the one before;
finish ─> end ──┘   again and again while the database is away

A job does not stand still for a database that is away: after `PATIENCE_SEC` it goes on, and what it has to say waits in
memory. Only its end is awaited, however long that takes.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from coder_agent.engine.errors import LeaseLost, StoreIsUnavailable
from coder_agent.engine.leases import Leases
from coder_agent.engine.notices import Notices
from coder_agent.engine.records import Claim, Ending, Event
from coder_agent.engine.threads import Threads
from kitty_core.wire import to_json

log = structlog.get_logger()
GATHER_SEC = 0.1
"""Events that come within this time of the last ones are written together; a stream is this far behind at most."""
PATIENCE_SEC = 5.0
RETRY_SEC = (0.2, 0.5, 1.0, 2.0)


class Channel:
    """For one claim. `start` before, `close` after its use."""

    def __init__(
        self, leases: Leases, claim: Claim, notices: Notices, threads: Threads, on_lost: Callable[[], None]
    ) -> None:
        """`on_lost` is called once when the job turns out to be somebody else's."""
        self._leases = leases
        self._claim = claim
        self._notices = notices
        self._threads = threads
        self._on_lost = on_lost
        self._last_id = claim.job.last_event
        self._buffer: list[dict[str, Any]] = []
        self._numbered: list[Event] = []
        self._state: tuple[str, str] | None = None
        self._ending: Ending | None = None
        self._news = asyncio.Event()
        self._written = asyncio.Event()
        self._at_once = asyncio.Event()
        self._is_lost = False
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write nothing more."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait({self._writer})

    def emit(self, event: dict[str, Any]) -> None:
        """Adds an event. Pieces of one text that have not been written yet become one; so do counts of progress."""
        last = self._buffer[-1] if self._buffer else None
        if last is not None and last["type"] == event["type"]:
            if "delta" in event:
                self._buffer[-1] = {**event, "delta": last["delta"] + event["delta"]}
                return
            if event["type"] == "prefill":
                self._buffer[-1] = event
                return
        self._buffer.append(event)
        self._news.set()

    async def save(self, state: str, step: str) -> None:
        """Keeps what a step left, and returns when it is kept, or the database was away too long to wait for.

        Raises:
            LeaseLost
        """
        self._state = (state, step)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_written(), PATIENCE_SEC)

    async def finish(self, ending: Ending) -> None:
        """Ends the job, and returns when that is in the database. Raises: LeaseLost."""
        self._ending = ending
        await self._all_written()

    async def _all_written(self) -> None:
        self._written.clear()
        self._at_once.set()
        self._news.set()
        await self._written.wait()
        if self._is_lost:
            raise LeaseLost(self._claim.job.id)

    async def _write(self) -> None:
        written_at, tries = 0.0, 0
        while not self._is_lost:
            await self._news.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._at_once.wait(), written_at + GATHER_SEC - time.monotonic())
            self._news.clear()
            self._at_once.clear()
            try:
                await self._write_once()
                written_at, tries = time.monotonic(), 0
            except LeaseLost:
                self._is_lost = True
                self._on_lost()
            except Exception as error:
                if not isinstance(error, StoreIsUnavailable):
                    log.exception("job_not_written", job_id=self._claim.job.id)
                elif tries == 0:
                    log.warning("job_not_written", job_id=self._claim.job.id, reason=error.message)
                self._news.set()
                await asyncio.sleep(RETRY_SEC[min(tries, len(RETRY_SEC) - 1)])
                tries += 1
                continue
            if self._is_lost or not self._news.is_set():
                self._written.set()
            self._notices.tell(self._claim.job.id)

    async def _write_once(self) -> None:
        while self._buffer:
            data = to_json(self._buffer.pop(0))  # first, so that one that is no JSON costs only itself
            self._last_id += 1
            self._numbered.append(Event(self._last_id, data))
        numbered, state, ending = tuple(self._numbered), self._state, self._ending
        if ending is not None:
            await self._threads.write(self._leases.finish, self._claim, ending, numbered)
        else:
            await self._threads.write(self._leases.save, self._claim, numbered, *(state or ()))
        del self._numbered[: len(numbered)]
        if self._state == state:
            self._state = None
