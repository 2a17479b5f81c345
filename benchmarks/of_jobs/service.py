"""The whole service over HTTP, in a process of its own: what it adds to model and sandbox, idle, rows and bytes."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import URL, Engine, text

from coder_agent.engine.database import JobDatabase
from kitty_core.database import open_database
from of_jobs.figures import cpu_sec, quantile, spread
from of_jobs.processes import INSTANT, LIKE_A_REAL_ONE, REQUEST, coder_agent, scripted_model
from of_jobs.stores import PostgresStore, Store

SANDBOX = re.compile(r"^sandbox_run_seconds_sum (\S+)$", re.M)
COUNTERS_ARE_LATE_SEC = 1.5
STATES = """
CREATE TABLE bench_states (state TEXT);
CREATE TRIGGER bench_keeps AFTER UPDATE OF state ON coder_jobs WHEN NEW.state IS NOT NULL
BEGIN INSERT INTO bench_states VALUES (NEW.state); END
"""
"""Keeps each state that a job saves: a job that has succeeded has none any more. SQLite."""


@contextmanager
def _client(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, trust_env=False, timeout=120) as http:
        yield http


def overhead(store: Store, folder: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds of /generate (tier fast, an example, a model that answers at once), and of it outside both.

    `outside_ms` is without the seconds of the model (usage) and of the sandbox's runs (/metrics), one after another in
    this tier.
    """
    asked = {"request": REQUEST, "tier": "fast"}
    wall, outside = [], []
    with (
        scripted_model(INSTANT) as model,
        coder_agent(model, store.fresh(), folder) as (base, _),
        _client(base) as http,
    ):
        for number in range(rounds + 3):
            before = _seconds(http)
            begun = time.perf_counter()
            answer = http.post("/api/coding/generate", json=asked)
            spent = time.perf_counter() - begun
            after, body = _seconds(http), answer.json()
            assert body["verdict"] == "verified", body
            if number < 3:
                continue
            wall.append(spent)
            outside.append(spent - sum(body["usage"]["seconds"].values()) - (after - before))
    return {"generate_ms": spread(wall, 50, 90), "outside_ms": spread(outside, 50, 90)}


def _seconds(http: httpx.Client) -> float:
    """Of the sandbox's runs so far."""
    return sum(map(float, SANDBOX.findall(http.get("/metrics").text)))


def idle(store: Store, folder: Path, seconds: float) -> dict[str, float]:
    """What a coder-agent costs that has worked once and now waits: % of a core, transactions a second."""
    url = store.fresh()
    with scripted_model(INSTANT) as model, coder_agent(model, url, folder) as (base, process), _client(base) as http:
        http.post("/api/coding/generate", json={"request": REQUEST, "tier": "fast"}).raise_for_status()
        time.sleep(COUNTERS_ARE_LATE_SEC)
        cpu, transactions = cpu_sec(process.pid), _transactions(store, url)
        begun = time.perf_counter()
        time.sleep(seconds)
        spent = time.perf_counter() - begun
        used = cpu_sec(process.pid) - cpu
        time.sleep(COUNTERS_ARE_LATE_SEC)
        more = _transactions(store, url) - transactions
        figures = {"percent_of_a_core": round(100 * used / spent, 2), "seconds": round(spent, 1)}
        if isinstance(store, PostgresStore):
            figures["transactions_a_second"] = round(more / (spent + COUNTERS_ARE_LATE_SEC), 2)
        return figures


def _transactions(store: Store, url: URL) -> int:
    return store.transactions(url) if isinstance(store, PostgresStore) else 0


def typical(store: Store, folder: Path, jobs: int) -> dict[str, Any]:
    """Rows and bytes of jobs of tier standard with a model that writes 25 tokens a second; one after another.

    `states` are those of the last job, for whoever wants to know what it costs to keep one (SQLite only).
    """
    url = store.fresh()
    engine = open_database(url)
    JobDatabase(engine).prepare()
    if store.name == "sqlite":
        _keep_states(engine)
    seconds = []
    with (
        scripted_model(LIKE_A_REAL_ONE) as model,
        coder_agent(model, url, folder) as (base, _),
        _client(base) as http,
    ):
        http.post("/api/coding/generate", json={"request": REQUEST, "tier": "fast"}).raise_for_status()
        time.sleep(COUNTERS_ARE_LATE_SEC)
        before = _transactions(store, url)
        for _ in range(jobs):
            begun = time.perf_counter()
            answer = http.post("/api/coding/generate", json={"request": REQUEST, "tier": "standard"}).json()
            seconds.append(time.perf_counter() - begun)
        time.sleep(COUNTERS_ARE_LATE_SEC)
        more = _transactions(store, url) - before
    try:
        figures = _sizes(engine) | {"seconds": round(quantile(seconds, 0.5), 2), "calls": answer["usage"]["calls"]}
        figures["completion_tokens"] = answer["usage"]["completion_tokens"]
        if isinstance(store, PostgresStore):
            figures["transactions_a_job"] = round(more / jobs, 1)
        return figures | {"states": _kept_states(engine) if store.name == "sqlite" else []}
    finally:
        engine.dispose()


def _keep_states(engine: Engine) -> None:
    table, trigger = STATES.strip().split(";\n", 1)
    with engine.begin() as connection:
        connection.execute(text(table))
        connection.execute(text(trigger))


def _kept_states(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT state FROM bench_states ORDER BY rowid DESC LIMIT 8")).scalars())


def _sizes(engine: Engine) -> dict[str, Any]:
    """Of the newest job: its rows, and the bytes of their texts."""
    job = (
        "SELECT id, length(body), length(answer), length(note) FROM coder_jobs"
        " WHERE status = 'succeeded' ORDER BY number DESC LIMIT 1"
    )
    with engine.connect() as connection:
        id, body, answer, note = connection.execute(text(job)).one()
        query = text("SELECT data FROM coder_job_events WHERE job_id = :id")
        told = list(connection.execute(query, {"id": id}).scalars())
    kinds: dict[str, int] = {}
    for data in told:
        kind = json.loads(data)["type"]
        kinds[kind] = kinds.get(kind, 0) + 1
    return {
        "job_row_bytes": {"body": body, "answer": answer, "note": note},
        "events": len(told),
        "event_bytes": sum(map(len, told)),
        "chunk_events": sum(count for kind, count in kinds.items() if kind.endswith("_chunk")),
    }
