"""What 1,000 workers would ask of the database, each kind of it as fast as four processes can.

The database holds what it would hold: jobs that wait, and two running ones of each of 1,000 workers. Clients and server
share this machine, so that a rate is a lower bound; on PostgreSQL the server's own seconds of a core are told as well.
Its commits should wait for the disk meanwhile.
"""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import URL, Engine, insert, make_url, select, text

from coder_agent.coding_job import unattended_endings
from coder_agent.engine.database import JobDatabase
from coder_agent.engine.errors import StoreIsUnavailable
from coder_agent.engine.leases import Leases
from coder_agent.engine.records import Event, NewJob
from coder_agent.engine.store import JobStore
from coder_agent.engine.tables import jobs
from kitty_core.audit.records import Invocation
from kitty_core.audit.store import SqlAuditLog
from kitty_core.database import open_database
from of_jobs.figures import spread
from of_jobs.stores import PostgresStore, Store

WORKERS = 1000
AT_ONCE = 2
WAITING = 100
PROCESSES = 4
KINDS = ("claim", "look for work", "renew", "look for cancelled", "sweep", "save", "audit row")


def storm(store: Store, seconds: float) -> dict[str, Any]:
    """By kind: how many a second, how long each took, and the server's milliseconds of a core for each."""
    url = store.fresh()
    _fill(url)
    figures = {}
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), _be_silent) as pool:
        for kind in KINDS:
            figures[kind] = _all_at_once(pool, store, url, kind, seconds)
    return figures


def _all_at_once(pool: ProcessPoolExecutor, store: Store, url: URL, kind: str, seconds: float) -> dict[str, Any]:
    before = store.cpu_sec() if isinstance(store, PostgresStore) else 0.0
    address = url.render_as_string(hide_password=False)
    asked = [pool.submit(_ask, address, kind, number, seconds) for number in range(PROCESSES)]
    answers = [each.result() for each in asked]
    took = [one for of_process, _ in answers for one in of_process]
    figures = {"a_second": round(len(took) / seconds), **spread(took, 50, 99, digits=2)}
    figures["gave_up"] = sum(gave_up for _, gave_up in answers)
    if isinstance(store, PostgresStore):
        time.sleep(0.5)  # what a connection has used is counted when it has ended
        figures["server_ms"] = round(1000 * (store.cpu_sec() - before) / len(took), 2)
    return figures


def _fill(url: URL) -> None:
    """Jobs of ten users that wait, and those that run."""
    engine = open_database(url)
    database = JobDatabase(engine)
    database.prepare()
    store = JobStore(database)
    for number in range(WAITING):
        store.submit(NewJob(uuid4().hex, f"user{number % 10}", "{}"), 100_000, 60)
    with engine.begin() as connection:
        one = dict(connection.execute(jobs.select().limit(1)).mappings().one())
        del one["number"]
        ids = [{"id": uuid4().hex, "worker": f"worker{number % WORKERS}"} for number in range(WORKERS * AT_ONCE)]
        same = {**one, "status": "running", "attempt": 1, "lease_until": time.time() + 1e6}
        connection.execute(insert(jobs), [{**same, "user_id": f"user{n % 10}", **id} for n, id in enumerate(ids)])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def _be_silent() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))


def _ask(address: str, kind: str, number: int, seconds: float) -> tuple[list[float], int]:
    """Seconds of each call, and how many were never let in: SQLite's lock is no queue. In a process of the pool."""
    engine = open_database(make_url(address))
    database = JobDatabase(engine)
    call = _auditing(engine) if kind == "audit row" else _call(kind, database, number)
    call()
    took = []
    until = time.perf_counter() + seconds
    gave_up = 0
    while (begun := time.perf_counter()) < until:
        try:
            call()
            took.append(time.perf_counter() - begun)
        except StoreIsUnavailable:
            gave_up += 1
    engine.dispose()
    return took, gave_up


def _call(kind: str, database: JobDatabase, number: int) -> Callable[[], object]:
    leases = Leases(database, f"worker{number}", 15)
    if kind == "claim":
        return lambda: _claim_and_release(leases)
    if kind == "save":
        return _saving(leases)
    if kind == "renew":
        return _renewing(leases, database)
    endings = unattended_endings()
    calls: dict[str, Callable[[], object]] = {
        "look for work": leases.has_waiting,
        "look for cancelled": leases.to_cancel,
        "sweep": lambda: leases.sweep(*endings),
    }
    return calls[kind]


def _renewing(leases: Leases, database: JobDatabase) -> Callable[[], object]:
    """The leases on the jobs that this worker runs."""
    with database.reading() as connection:
        held = list(connection.execute(select(jobs.c.id).where(jobs.c.worker == leases.worker)).scalars())
    assert len(held) == AT_ONCE, "it runs so many"
    return lambda: leases.renew(held)


def _claim_and_release(leases: Leases) -> None:
    claim = leases.claim()
    if claim is not None:
        leases.release(claim)


def _saving(leases: Leases) -> Callable[[], None]:
    """A piece of code as an event each time, of a job of this process's own."""
    claim = leases.claim()
    assert claim is not None, "so many wait"
    ids = iter(range(1, 1_000_000))
    return lambda: leases.save(claim, [Event(next(ids), '{"type":"code_chunk","delta":"return -1"}')])


def _auditing(engine: Engine) -> Callable[[], None]:
    """A row of the audit trail each time, as every job leaves one. The rows of all are one chain."""
    folder = Path(tempfile.mkdtemp(prefix="kitty-bench-audit-"))
    log = SqlAuditLog(engine, b"k" * 32, folder / "head.json")
    at = datetime.now(UTC)
    return lambda: log.append(
        Invocation(
            request_id="r",
            job_id=uuid4().hex,
            tool="coding.generate",
            user_id="ann",
            decision="allowed",
            status="ok",
            args_sha256="a" * 64,
            hazard_class="low",
            created_at=at,
        )
    )
