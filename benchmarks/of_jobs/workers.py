"""Several coder-agents over one database, with a model that sleeps."""

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import Engine, text

from coder_agent.coding_job import new_job
from coder_agent.coding_request import CodingRequest
from coder_agent.engine.database import JobDatabase
from coder_agent.engine.store import JobStore
from coder_agent.runner import Ids
from kitty_core.database import open_database
from of_jobs.figures import cpu_sec
from of_jobs.processes import REQUEST, coder_agent, scripted_model
from of_jobs.stores import PostgresStore, Store

AT_ONCE = 2
NOTE = json.dumps({"tool": "coding.generate", "decision": "allowed", "hazard_class": "low", "args_sha256": "a" * 64})
WITHIN_SEC = 300.0
AUDIT_KEY = "ab" * 32


def throughput(
    store: Store, folder: Path, counts: tuple[int, ...], jobs: int, pace: tuple[float, int]
) -> dict[str, Any]:
    """By number of workers: jobs a second, times one worker's, and how many jobs ran more than once.

    All workers, the sandbox, the model and the database share the cores here: with a `pace` of half a second it is
    them that run short, with one of two seconds nothing does.
    """
    figures: dict[str, Any] = {}
    with scripted_model(pace) as model:
        for count in counts:
            figures[str(count)] = _with_workers(model, store, folder, count, jobs)
    one = figures[str(counts[0])]["jobs_a_second"]
    for of_count in figures.values():
        of_count["times_one_worker"] = round(of_count["jobs_a_second"] / one, 2)
    return figures


def _with_workers(model: str, store: Store, folder: Path, count: int, jobs: int) -> dict[str, Any]:
    url = store.fresh()
    engine = open_database(url)
    JobDatabase(engine).prepare()
    queue = JobStore(JobDatabase(engine))
    held = {}
    with ExitStack() as stack:
        pids = []
        for number in range(count):
            own = folder / f"worker{number}"
            agent = coder_agent(model, url, own, coder_jobs_at_once=AT_ONCE, audit_key=AUDIT_KEY)
            base, process = stack.enter_context(agent)
            httpx.get(f"{base}/readyz", timeout=60, trust_env=False)
            pids.append(process.pid)
        _work_off(queue, engine, 2 * AT_ONCE * count)
        before = sum(map(cpu_sec, pids))
        rows = _work_off(queue, engine, jobs)
        used = sum(map(cpu_sec, pids)) - before
        engine.dispose()
        if isinstance(store, PostgresStore):
            held = {"connections_a_worker": round(store.connections(url) / count, 1)}
    took = max(row.finished_at for row in rows) - min(row.created_at for row in rows)
    return {
        "jobs": jobs,
        "seconds": round(took, 2),
        "jobs_a_second": round(jobs / took, 3),
        "cpu_ms_a_job": round(1000 * used / jobs),
        **held,
        "ran_twice": sum(row.attempt != 1 for row in rows),
        "not_verified": sum(row.verdict != "verified" for row in rows),
        "jobs_by_worker": sorted(sum(row.worker == one for row in rows) for one in {row.worker for row in rows}),
    }


def _work_off(queue: JobStore, engine: Engine, jobs: int) -> list[Any]:
    """Hands so many in and returns their rows when all have ended."""
    ids = {uuid4().hex for _ in range(jobs)}
    for id in ids:
        new = new_job(CodingRequest(request=REQUEST, tier="fast"), Ids(id), NOTE, is_attached=False)
        queue.submit(new, 100_000, 60)
    until = time.monotonic() + WITHIN_SEC
    query = text("SELECT id, attempt, verdict, worker, created_at, finished_at, is_told FROM coder_jobs")
    while time.monotonic() < until:
        with engine.connect() as connection:
            rows = [row for row in connection.execute(query) if row.id in ids]
        if all(row.is_told for row in rows):
            return rows
        time.sleep(0.2)
    raise RuntimeError(f"{jobs} jobs did not end within {WITHIN_SEC:g} s")
