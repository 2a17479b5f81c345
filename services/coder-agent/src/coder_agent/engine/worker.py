"""A worker: takes jobs up as long as it has room, shows that it is alive, ends what is to be cancelled, sweeps.

claim ─> Work.run ─┬─> Ending ───────────────> finish
                   ├─ cancelled on request ──> Work.cancelled ─> finish
                   ├─ this worker stops ─────> release: another goes on, or this one later
                   └─ the lease is lost ─────> nothing: it is another's job now
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog

from coder_agent.engine.channel import Channel
from coder_agent.engine.errors import LeaseLost, StoreIsUnavailable
from coder_agent.engine.leases import Leases
from coder_agent.engine.notices import Notices, heard
from coder_agent.engine.records import Claim, Ending
from coder_agent.engine.threads import Threads

log = structlog.get_logger()
BEATS_A_LEASE = 5
LOOK_SEC = 1.0
"""How soon a job is found that another process handed in; one of this process is found at once."""
CANCEL_SEC = 0.5
SWEEP_SEC = 2.0
"""At most; more often where leases are short."""
STOPPED_WITHIN_SEC = 8.0
Why = Literal["cancelled", "stopping", "lost"]


class Work(Protocol):
    """One job in the hands of a worker."""

    async def run(self, emit: Callable[[dict[str, Any]], None], save: Callable[[str, str], Awaitable[None]]) -> Ending:
        """Does it, from its beginning or from the state it was left in, and says how it ended.

        Cancelling the call ends everything it has started before the call returns.
        """
        ...

    async def cancelled(self) -> Ending:
        """How it ended, now that `run` was cancelled because somebody wanted that."""
        ...


@dataclass
class _Running:
    claim: Claim
    run: "asyncio.Task[Ending]"
    taken_at: float
    why: Why | None = None

    def stop(self, why: Why) -> None:
        """Nothing happens to a job that is being ended anyway."""
        if self.why is None and not self.run.done():
            self.why = why
            self.run.cancel()


class Worker:
    """Runs jobs in this process's event loop."""

    def __init__(
        self,
        leases: Leases,
        begin: Callable[[Claim], Work],
        room: Callable[[], Awaitable[int]],
        endings: tuple[Ending, Ending, Ending],
        notices: Notices,
        tell: Callable[[str], Awaitable[None]],
        threads: Threads,
    ) -> None:
        """
        Args:
            begin: the work of a claim.
            room: how many jobs may run here at once.
            endings: how a job ends that its workers die of, that is late before it begins, that nobody waits for.
            tell: told the id of a job that has ended here.
        """
        self._tell = tell
        self._threads = threads
        self._beat_sec = leases.lease_sec / BEATS_A_LEASE
        self._leases = leases
        self._begin = begin
        self._room = room
        self._endings = endings
        self._notices = notices
        self._running: dict[str, _Running] = {}
        self._wake = asyncio.Event()
        self._busy = asyncio.Event()
        self._is_stopping = False
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.last_active = time.monotonic()

    @property
    def running(self) -> int:
        """Jobs that run here now."""
        return len(self._running)

    def start(self) -> None:
        """Begin to take jobs up."""
        loops = (self._claim_jobs, self._show_life, self._look_for_cancelled, self._sweep)
        self._loops = [asyncio.create_task(forever(loop), name=loop.__name__) for loop in loops]

    async def stop(self) -> None:
        """Takes up no more jobs, and gives back those that run: what their finished steps left is kept."""
        self._is_stopping = True
        for loop in self._loops:
            loop.cancel()
        for running in list(self._running.values()):
            running.stop("stopping")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOPPED_WITHIN_SEC)

    def wake(self) -> None:
        """A job was handed in."""
        self.last_active = time.monotonic()
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """Somebody wants the job ended; nothing happens where it does not run here."""
        if running := self._running.get(job_id):
            running.stop("cancelled")

    async def _claim_jobs(self) -> None:
        self._wake.clear()
        if not self._is_stopping and await self._has_room():
            claim = await self._threads.write(self._leases.claim)
            if claim is not None:
                self._take_up(claim)
                return
        await heard(self._wake, LOOK_SEC)

    async def _has_room(self) -> bool:
        """Whether one more may run. How many may is asked only where that matters: somebody else may have to say."""
        if not self._running:
            return True
        return await self._threads.read(self._leases.has_waiting) and self.running < await self._room()

    def _take_up(self, claim: Claim) -> None:
        job_id = claim.job.id
        log.info("job_taken_up", job_id=job_id, attempt=claim.attempt, goes_on=claim.state is not None)
        work = self._begin(claim)
        channel = Channel(self._leases, claim, self._notices, self._threads, lambda: running.stop("lost"))
        channel.start()
        run = asyncio.create_task(work.run(channel.emit, channel.save), name=f"job {job_id}")
        if before := self._running.get(job_id):
            before.stop("lost")  # this worker was taken for dead, and was the first to notice
        running = self._running[job_id] = _Running(claim, run, time.monotonic())
        self._busy.set()
        task = asyncio.create_task(self._see_through(running, work, channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, running: _Running, work: Work, channel: Channel) -> None:
        job_id = running.claim.job.id
        try:
            await asyncio.wait({running.run})
            await self._end(running, work, channel)
            await self._tell(job_id)
        except LeaseLost:
            log.warning("job_lost", job_id=job_id, attempt=running.claim.attempt)
        except Exception:  # its lease runs out, or its end is told later
            log.exception("job_not_seen_through", job_id=job_id)
        finally:
            await channel.close()
            if self._running.get(job_id) is running:
                del self._running[job_id]
            if not self._running:
                self._busy.clear()
            self._notices.tell(job_id)
            self.wake()

    async def _end(self, running: _Running, work: Work, channel: Channel) -> None:
        """Raises: LeaseLost, StoreIsUnavailable."""
        if not running.run.cancelled():
            await channel.finish(running.run.result())
        elif running.why == "cancelled":
            await channel.finish(await work.cancelled())
        elif running.why == "stopping":
            await self._threads.write(self._leases.release, running.claim)

    async def _show_life(self) -> None:
        await self._busy.wait()
        await self._renew()
        await asyncio.sleep(self._beat_sec)

    async def _renew(self) -> None:
        held = await self._threads.write(self._leases.renew, tuple(self._running))
        for job_id, running in list(self._running.items()):
            attempt, is_cancelled = held.get(job_id, (None, False))
            # One that was taken up or ended meanwhile may be missing; what it writes finds out.
            if attempt != running.claim.attempt and time.monotonic() - running.taken_at > self._beat_sec:
                running.stop("lost")
            elif is_cancelled:
                running.stop("cancelled")

    async def _look_for_cancelled(self) -> None:
        await self._busy.wait()
        for job_id in await self._threads.read(self._leases.to_cancel):
            self.cancel(job_id)
        await asyncio.sleep(CANCEL_SEC)

    async def _sweep(self) -> None:
        if self._running:  # when the database is there again this worker's own jobs are not to be taken for neglected
            await self._renew()
        for job_id in await self._threads.write(self._leases.sweep, *self._endings):
            log.warning("job_swept", job_id=job_id)
            self._notices.tell(job_id)
            self._wake.set()
        await asyncio.sleep(min(SWEEP_SEC, self._beat_sec))


async def forever(step: Callable[[], Awaitable[None]]) -> None:
    """`step` again and again: neither a database that is away nor a fault of ours ends it."""
    while True:
        try:
            await step()
        except StoreIsUnavailable as error:
            log.warning("job_store_unavailable", reason=error.message)
            await asyncio.sleep(1)
        except Exception:
            log.exception("job_loop_failed", step=getattr(step, "__name__", ""))
            await asyncio.sleep(1)
