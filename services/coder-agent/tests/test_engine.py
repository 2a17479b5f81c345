"""The engine alone, with work that is no code: what goes wrong in one job costs that job."""

import asyncio
import json
from contextlib import asynccontextmanager

from sqlalchemy import URL

from coder_agent.engine.database import JobDatabase
from coder_agent.engine.engine import EngineSettings, JobEngine
from coder_agent.engine.leases import Leases
from coder_agent.engine.records import Ending, NewJob
from coder_agent.engine.store import JobStore
from kitty_core.database import open_database

DONE = Ending("succeeded", "verified", "{}", ('{"type":"complete"}',))
FAILED = Ending("failed", "internal", "{}", ('{"type":"error"}',))
CANCELLED = Ending("cancelled", "cancelled", "{}", ('{"type":"error"}',))


class Says:
    """Work that says what the job's body holds, and ends."""

    def __init__(self, claim):
        self._events = json.loads(claim.job.body)

    async def run(self, emit, save):
        for event in self._events:
            emit(event)
        await save("state", "step")
        return DONE

    async def cancelled(self):
        return CANCELLED


@asynccontextmanager
async def running(folder, on_end, begin=Says):
    async def room():
        return 2

    made = JobEngine(
        JobDatabase(open_database(URL.create("sqlite", database=str(folder / "jobs.sqlite3")))),
        EngineSettings(queue="q", queue_limit=100, kept_sec=1e6, kept_jobs=100, lease_sec=5.0),
        begin=begin,
        room=room,
        endings=(FAILED, FAILED, CANCELLED),
        on_end=on_end,
    )
    made.start()
    try:
        yield made
    finally:
        await made.stop()


async def hand_in(engine, id, events=()):
    return await engine.submit(NewJob(id, "ann", json.dumps(list(events))))


async def test_an_event_that_is_no_json_costs_itself_and_not_the_job(tmp_path):
    async def told(job):
        pass

    odd = [{"type": "good", "n": 1}, {"type": "odd", "n": float("nan")}, {"type": "good", "n": 2}]
    async with running(tmp_path, told) as engine, asyncio.timeout(20):
        await hand_in(engine, "a", odd)
        assert (await engine.ended("a")).status == "succeeded"
        seen = [(event.id, json.loads(event.data).get("n")) async for event in engine.events("a") if event]
    assert seen == [(1, 1), (2, 2), (3, None)]


async def test_an_end_that_cannot_be_told_is_told_again_and_keeps_no_other_from_being_told(tmp_path, monkeypatch):
    monkeypatch.setattr("coder_agent.engine.engine.STAY_SEC", 0.1)
    heard = []

    async def told(job):
        heard.append(job.id)
        if job.id == "odd" or heard.count(job.id) == 1:
            raise ValueError("no row can be made of it")

    async with running(tmp_path, told) as engine, asyncio.timeout(20):
        for id in ("odd", "good"):
            await hand_in(engine, id)
        assert (await engine.ended("good")).is_told
        while heard.count("odd") < 4:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
        assert not (await engine.get("odd")).is_told
    assert heard.count("good") == 2


async def test_whoever_waits_for_a_job_is_answered_once_its_end_was_told(tmp_path):
    rows = []

    async def told(job):
        await asyncio.sleep(0.7)
        rows.append(job.id)

    async with running(tmp_path, told) as engine, asyncio.timeout(20):
        await hand_in(engine, "a")
        await engine.ended("a")
        assert rows == ["a"]


async def test_it_is_idle_only_once_it_has_looked_and_not_while_a_dead_worker_s_job_is_left(tmp_path):
    database = JobDatabase(open_database(URL.create("sqlite", database=str(tmp_path / "jobs.sqlite3"))))
    database.prepare()
    JobStore(database).submit(NewJob("a", "ann", "[]", queue="q"), 10, 10)
    assert Leases(database, "dead", 2.0, "q").claim().job.id == "a"

    async def told(job):
        pass

    async with running(tmp_path, told) as engine, asyncio.timeout(20):
        assert not engine.is_idle
        while not (await engine.get("a")).has_ended:
            assert not engine.is_idle
            await asyncio.sleep(0.05)
        assert (await engine.get("a")).attempt == 2
        while not engine.is_idle:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    database.close()


async def test_a_job_that_fails_in_a_way_nobody_thought_of_is_taken_up_again(tmp_path):
    tries = []

    async def told(job):
        pass

    class Breaks(Says):
        async def run(self, emit, save):
            tries.append(1)
            if len(tries) == 1:
                raise RuntimeError("nobody thought of it")
            return await super().run(emit, save)

    async with running(tmp_path, told, Breaks) as engine, asyncio.timeout(30):
        await hand_in(engine, "a")
        job = await engine.ended("a")
    assert (job.status, job.attempt, len(tries)) == ("succeeded", 2, 2)
