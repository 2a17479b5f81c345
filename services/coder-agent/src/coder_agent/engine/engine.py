"""The job engine: the one thing that the rest of the service knows of jobs."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from coder_agent.engine.database import JobDatabase
from coder_agent.engine.errors import StoreIsUnavailable
from coder_agent.engine.leases import Leases
from coder_agent.engine.notices import Notices, heard
from coder_agent.engine.records import Claim, Ending, Event, Job, NewJob
from coder_agent.engine.store import JobStore
from coder_agent.engine.threads import Threads
from coder_agent.engine.worker import Work, Worker, forever

log = structlog.get_logger()
AT_ONCE_COMING_IN = 2
LOOK_SEC = 0.5
"""How soon a reader here sees what a worker elsewhere wrote; of one in this process it is told at once."""
ATTACHED_SEC = 20.0
STAY_SEC = 4.0
PRUNE_SEC = 3600.0
PING_SEC = 10.0
READY_WITHIN_SEC = 5.0
TOLD_WITHIN_SEC = 10.0
"""Whoever waits for a job does not wait longer for its end to be told."""


@dataclass(frozen=True)
class EngineSettings:
    """How much may wait, how long what has ended is kept, and how soon a dead worker is given up."""

    queue: str
    """Where jobs go that are handed in here, and come from that run here."""
    queue_limit: int
    kept_sec: float
    kept_jobs: int
    lease_sec: float
    """How long after its last sign of life a worker's jobs are another's."""


class JobEngine:
    """Jobs over one database. `start` before anything else, `stop` when the service ends."""

    def __init__(
        self,
        database: JobDatabase,
        settings: EngineSettings,
        begin: Callable[[Claim], Work],
        room: Callable[[], Awaitable[int]],
        endings: tuple[Ending, Ending, Ending],
        on_end: Callable[[Job], Awaitable[None]],
    ) -> None:
        """
        Args:
            begin, room, endings: the worker's; the last of `endings` is that of a cancelled job.
            on_end: told of each end of a job, once as a rule, and again where a process died meanwhile.
        """
        self._on_end = on_end
        self._database = database
        self._settings = settings
        self._cancelled = endings[2]
        self._store = JobStore(database)
        self._notices = Notices()
        self._threads = Threads()
        self._leases = Leases(database, worker_name(), settings.lease_sec, settings.queue)
        self.worker = Worker(self._leases, begin, room, endings, self._notices, self._tell, self._threads)
        self._attached: set[str] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._prepared: asyncio.Task[None] | None = None
        self._has_started = asyncio.Event()
        self._coming_in = asyncio.Semaphore(AT_ONCE_COMING_IN)
        self._seen: dict[str, int] | None = None

    @property
    def queued(self) -> int:
        """Jobs that waited when it was looked last: at each of `counts`, and every few seconds."""
        return self._seen["queued"] if self._seen else 0

    @property
    def is_idle(self) -> bool:
        """Whether no job of the queue waits or runs, also for a worker that is dead: it is to be taken up here."""
        return self._seen is not None and not self.worker.running and not any(self._seen.values())

    def start(self) -> None:
        """Open the database and begin to work, without waiting for either."""
        self._prepared = asyncio.create_task(self._prepare())
        self._has_started.set()
        self._loops = [asyncio.create_task(forever(step)) for step in (self._look_after, self._prune)]

    async def stop(self) -> None:
        """Give back what runs, end what somebody waits for here, and let the database go."""
        for loop in (*self._loops, self._prepared):
            if loop is not None:
                loop.cancel()
        for job_id in tuple(self._attached):
            with suppress(StoreIsUnavailable):
                await self.cancel(job_id)
        await self.worker.stop()
        await self._threads.write(self._database.close)
        self._threads.close()

    async def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Hands a job in: the job, and whether it is new (see `JobStore.submit`).

        Raises:
            QueueIsFull, KeyIsTaken, StoreIsUnavailable
        """
        await self._ready()
        limit = self._settings.queue_limit
        async with self._coming_in:
            mine = replace(new, queue=self._settings.queue)
            submitted = await self._threads.write(self._store.submit, mine, limit, ATTACHED_SEC)
        self.worker.wake()
        return submitted

    @contextmanager
    def waited_for(self, job_id: str) -> Iterator[None]:
        """Somebody waits for this attached job as long as the block lasts."""
        self._attached.add(job_id)
        try:
            yield
        finally:
            self._attached.discard(job_id)

    async def ended(self, job_id: str) -> Job:
        """The job, once it has ended and its end was told. Raises: NoSuchJob, StoreIsUnavailable."""
        with self._notices.of(job_id) as news:
            while True:
                news.clear()
                job = await self.get(job_id)
                if job.has_ended and (job.is_told or time.time() > (job.finished_at or 0) + TOLD_WITHIN_SEC):
                    return job
                await heard(news, LOOK_SEC)

    async def events(self, job_id: str, last_id: int = 0) -> AsyncIterator[Event | None]:
        """The events behind `last_id`, until the job has ended and all of them were given; None where nothing comes.

        Raises:
            NoSuchJob, StoreIsUnavailable
        """
        await self._ready()
        silent_sec = 0.0
        with self._notices.of(job_id) as news:
            while True:
                news.clear()
                found, is_all = await self._threads.read(self._store.events_after, job_id, last_id)
                for event in found:
                    yield event
                    last_id = event.id
                if is_all:
                    return
                silent_sec = 0.0 if found else silent_sec
                if not found and not await heard(news, LOOK_SEC):
                    silent_sec += LOOK_SEC
                    if silent_sec >= PING_SEC:
                        silent_sec = 0.0
                        yield None

    async def cancel(self, job_id: str) -> Job:
        """Ends the job, or has its worker end it. Raises: NoSuchJob, StoreIsUnavailable."""
        await self._ready()
        job = await self._threads.write(self._store.cancel, job_id, self._cancelled)
        self.worker.cancel(job_id)
        if job.has_ended:
            await self._tell(job_id)
        return job

    async def resume(self, job_id: str) -> Job:
        """Has a cancelled or failed job go on. Raises: NoSuchJob, JobDoesNotWait, QueueIsFull, StoreIsUnavailable."""
        await self._ready()
        job = await self._threads.write(self._store.resume, job_id, self._settings.queue_limit)
        self.worker.wake()
        return job

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        """The job; of `user_id` alone where that is given. Raises: NoSuchJob, StoreIsUnavailable."""
        await self._ready()
        return await self._threads.read(self._store.get, job_id, user_id)

    async def newest(self, user_id: str | None, limit: int) -> list[Job]:
        """The newest jobs, of `user_id` alone where that is given. Raises: StoreIsUnavailable."""
        await self._ready()
        return await self._threads.read(self._store.newest, user_id, limit)

    async def counts(self) -> dict[str, int]:
        """How many jobs of this queue are `queued` and `running`, here and elsewhere. Raises: StoreIsUnavailable."""
        await self._ready()
        self._seen = await self._threads.read(self._store.counts, self._settings.queue)
        return self._seen

    async def prune(self) -> int:
        """Deletes what has been kept long enough; returns how many jobs. Raises: StoreIsUnavailable."""
        await self._ready()
        total = 0
        while deleted := await self._threads.write(
            self._store.prune, self._settings.kept_sec, self._settings.kept_jobs
        ):
            total += deleted
        return total

    async def _ready(self) -> None:
        """Raises: StoreIsUnavailable: the database could not be opened so far."""
        assert self._prepared is not None, "start() comes first"
        try:
            await asyncio.wait_for(asyncio.shield(self._prepared), READY_WITHIN_SEC)
        except TimeoutError:
            raise StoreIsUnavailable from None

    async def opened(self) -> None:
        """Returns when the database is open. Raises: ConfigurationError: a newer program has made its tables."""
        await self._has_started.wait()
        assert self._prepared is not None, "start() made it"
        await asyncio.shield(self._prepared)

    async def _prepare(self) -> None:
        while True:
            try:
                await self._threads.write(self._database.prepare)
                break
            except StoreIsUnavailable as error:
                log.warning("job_store_unavailable", reason=error.message)
                await asyncio.sleep(1)
        self.worker.start()

    async def _tell(self, job_id: str) -> None:
        """Tells of the job's end, where it has ended and that was not told."""
        job = await self._threads.read(self._store.get, job_id)
        if job.has_ended and not job.is_told:
            await self._on_end(job)
            await self._threads.write(self._store.told, job)
        self._notices.tell(job_id)

    async def _tell_what_was_left(self) -> None:
        for job_id in await self._threads.read(self._store.untold):
            try:
                await self._tell(job_id)
            except StoreIsUnavailable:
                raise
            except Exception:
                log.exception("end_not_told", job_id=job_id)

    async def _look_after(self) -> None:
        await self.counts()
        if self._attached:
            await self._threads.write(self._store.stay, tuple(self._attached), ATTACHED_SEC)
        await self._tell_what_was_left()
        await asyncio.sleep(STAY_SEC)

    async def _prune(self) -> None:
        await self.prune()
        await asyncio.sleep(PRUNE_SEC)


def worker_name() -> str:
    """A name that no other worker has: the machine's, the process's id, and a few random digits."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(4)}"
