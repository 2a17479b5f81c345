"""The job engine alone, in this process, with work that does nothing or only speaks."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from sqlalchemy import URL

from coder_agent.checkpoint import restored, saved
from coder_agent.coding_job import unattended_endings
from coder_agent.engine.database import JobDatabase
from coder_agent.engine.engine import EngineSettings, JobEngine
from coder_agent.engine.leases import Leases
from coder_agent.engine.records import Claim, Ending, Event, Job, NewJob
from coder_agent.engine.store import JobStore
from coder_agent.engine.worker import Work
from kitty_core.database import open_database
from of_jobs.figures import spread

DONE = Ending("succeeded", "verified", '{"status": 200}', ('{"type":"complete"}',))
SETTINGS = EngineSettings(queue="default", queue_limit=100_000, kept_sec=1e9, kept_jobs=1_000_000, lease_sec=15)
USERS = 10
SPEAKERS = 4
BEFORE_THEY_SPEAK_SEC = 1.5


class Nothing:
    """Work that is done at once. Implements `engine.worker.Work`."""

    async def run(self, emit: Callable[[dict[str, Any]], None], save: Callable[[str, str], Awaitable[None]]) -> Ending:
        """The end."""
        return DONE

    async def cancelled(self) -> Ending:
        """The end."""
        return DONE


class Speech(Nothing):
    """Work that says what time it is, every now and then."""

    def __init__(self, times: int) -> None:
        self._times = times

    async def run(self, emit: Callable[[dict[str, Any]], None], save: Callable[[str, str], Awaitable[None]]) -> Ending:
        """Speaks so many times, 0.15 to 0.35 s apart."""
        await asyncio.sleep(BEFORE_THEY_SPEAK_SEC)
        for number in range(self._times):
            emit({"type": f"tick{number}", "at": time.time()})
            await asyncio.sleep(random.uniform(0.15, 0.35))
        return DONE


@asynccontextmanager
async def running(url: URL, begin: Callable[[Claim], Work], at_once: int) -> AsyncIterator[JobEngine]:
    """An engine with a worker."""

    async def room() -> int:
        return at_once

    async def on_end(job: Job) -> None:
        return None

    engine = JobEngine(JobDatabase(open_database(url)), SETTINGS, begin, room, unattended_endings(), on_end)
    engine.start()
    await engine.opened()
    try:
        yield engine
    finally:
        await engine.stop()


def a_job(user: str = "ann") -> NewJob:
    """One that nobody waits for."""
    return NewJob(uuid4().hex, user, '{"request": "nothing"}')


async def overhead(url: URL, rounds: int) -> dict[str, float]:
    """Milliseconds from handing in a job that does nothing to its end, one after another; the first ten warm up."""
    seconds = []
    async with running(url, lambda claim: Nothing(), 1) as engine:
        for number in range(rounds + 10):
            begun = time.perf_counter()
            job, _ = await engine.submit(a_job())
            await engine.ended(job.id)
            if number >= 10:
                seconds.append(time.perf_counter() - begun)
    return spread(seconds, 50, 90)


async def queue(url: URL, waiting: int) -> dict[str, Any]:
    """Jobs of ten users handed in, taken up while so many wait, and worked off."""
    database = JobDatabase(open_database(url))
    database.prepare()
    store, leases = JobStore(database), Leases(database, "bench", 600)
    begun = time.perf_counter()
    for number in range(waiting):
        store.submit(a_job(f"user{number % USERS}"), 100_000, 60)
    submitted = time.perf_counter() - begun
    claims = _claims(leases, 200)
    database.close()
    begun = time.perf_counter()
    async with running(url, lambda claim: Nothing(), 4) as engine:
        while any((await engine.counts()).values()):  # noqa: ASYNC110 - nobody tells when the last one has ended
            await asyncio.sleep(0.1)
        drained = time.perf_counter() - begun
    return {
        "waiting": waiting,
        "submitted_a_second": round(waiting / submitted, 1),
        "claim_ms": spread(claims, 50, 99),
        "drained_a_second": round(waiting / drained, 1),
    }


def _claims(leases: Leases, rounds: int) -> list[float]:
    """Seconds of each claim; each job is given back, so that as many wait as before."""
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        claim = leases.claim()
        seconds.append(time.perf_counter() - begun)
        assert claim is not None, "so many wait"
        leases.release(claim)
    return seconds


async def events(url: URL, times: int) -> dict[str, Any]:
    """Milliseconds from `emit` to a reader of the same process, and to one of another engine on the database."""
    async with running(url, lambda claim: Speech(times), SPEAKERS) as engine:
        jobs = [(await engine.submit(a_job()))[0].id for _ in range(SPEAKERS)]
        while (await engine.counts())["queued"]:  # noqa: ASYNC110 - nobody tells when the last one has begun
            await asyncio.sleep(0.01)
        async with running(url, lambda claim: Nothing(), 1) as other:
            readers = [_heard(one, job) for one in (engine, other) for job in jobs]
            heard = await asyncio.gather(*readers)
    here, elsewhere = heard[:SPEAKERS], heard[SPEAKERS:]
    return {
        "same_process_ms": spread([late for of_job in here for late in of_job], 50, 99),
        "another_engine_ms": spread([late for of_job in elsewhere for late in of_job], 50, 99),
    }


async def _heard(engine: JobEngine, job_id: str) -> list[float]:
    """Seconds that each event came late."""
    late = []
    async for event in engine.events(job_id):
        if event is not None and '"at"' in event.data:
            late.append(time.time() - _said_at(event))
    return late


def _said_at(event: Event) -> float:
    return float(event.data.rsplit('"at":', 1)[1].rstrip("} "))


def saves(url: URL, state: str, rounds: int) -> dict[str, Any]:
    """What it costs to keep this state once: into text, and into the database."""
    database = JobDatabase(open_database(url))
    database.prepare()
    JobStore(database).submit(a_job(), 100_000, 60)
    leases = Leases(database, "bench", 600)
    claim = leases.claim()
    assert claim is not None, "it was handed in just now"
    of_job = restored(state)
    saved(of_job)
    into_text, into_database = [], []
    for number in range(1, rounds + 1):
        begun = time.perf_counter()
        written = saved(of_job)
        half = time.perf_counter()
        leases.save(claim, [Event(number, '{"type":"code_chunk","delta":"x"}')], written, "plan")
        into_text.append(half - begun)
        into_database.append(time.perf_counter() - half)
    database.close()
    return {
        "bytes": len(state),
        "into_text_ms": spread(into_text, 50, 90, digits=2),
        "into_database_ms": spread(into_database, 50, 90, digits=2),
    }
