"""Transactions over the jobs' tables, and what more than one of their users needs of a row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from coder_agent.engine.clock import now
from coder_agent.engine.errors import QueueIsFull, StoreIsUnavailable
from coder_agent.engine.records import Ending, Event, Job
from coder_agent.engine.tables import MIGRATIONS, OWNER, events, jobs
from kitty_core.database import migrate, reading

J = jobs.c


class JobDatabase:
    """The database of the jobs. All that its users raise besides their own errors is `StoreIsUnavailable`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self) -> None:
        """Makes the tables where they are missing.

        Raises:
            ConfigurationError: a newer program has made them.
            StoreIsUnavailable
        """
        with translated():
            migrate(self._engine, MIGRATIONS, OWNER)

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it, or nothing."""
        with translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view."""
        with translated(), reading(self._engine) as connection:
            yield connection


@contextmanager
def translated() -> Iterator[None]:
    """What the database says against it as an error of the engine; that a row is there already is for the caller."""
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        first, *_ = str(cause).splitlines() or [""]
        raise StoreIsUnavailable(f"The jobs' database: {type(cause).__name__}: {first}") from error


def row_of(connection: Connection, job_id: str) -> RowMapping:
    """The row of a job that is there."""
    return connection.execute(select(jobs).where(J.id == job_id)).mappings().one()


def locked(connection: Connection, job_id: str) -> RowMapping | None:
    """The row, locked until the transaction ends; None where there is none."""
    return connection.execute(select(jobs).where(J.id == job_id).with_for_update()).mappings().one_or_none()


def append(connection: Connection, job_id: str, new_events: Sequence[Event]) -> None:
    """Adds events. What is there already was written by the same claim, in a call whose success it was not told."""
    if not new_events:
        return
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    rows = [{"job_id": job_id, "id": event.id, "data": event.data} for event in new_events]
    connection.execute(build(events).on_conflict_do_nothing(), rows)


def end(connection: Connection, job_id: str, ending: Ending, last_event: int) -> None:
    """Ends the job; its last events follow `last_event`."""
    last = [Event(last_event + number, data) for number, data in enumerate(ending.last_events, start=1)]
    append(connection, job_id, last)
    changed: dict[str, Any] = {
        "status": ending.status,
        "verdict": ending.verdict,
        "answer": ending.answer,
        "finished_at": now(connection),
        "lease_until": None,
        "last_event": last_event + len(last),
    }
    if ending.status == "succeeded":
        changed["state"] = None
    connection.execute(update(jobs).where(J.id == job_id).values(changed))


def refuse_beyond(connection: Connection, queue: str, queue_limit: int) -> None:
    """Raises: QueueIsFull: so many wait already."""
    wait = (J.status == "queued") & (J.queue == queue)
    waiting = connection.execute(select(func.count()).where(wait)).scalar_one()
    if waiting >= queue_limit:
        raise QueueIsFull(f"{waiting} jobs wait already.")


def with_position(connection: Connection, row: RowMapping) -> Job:
    """The job with its place in the queue."""
    job = job_of(row)
    if job.status != "queued":
        return job
    before = select(func.count()).where(J.status == "queued", J.queue == row["queue"], J.number < row["number"])
    return replace(job, queue_position=connection.execute(before).scalar_one() + 1)


def job_of(row: RowMapping) -> Job:
    """The job of a whole row."""
    names = set(Job.__dataclass_fields__) - {"queue_position"}
    return Job(**{name: row[name] for name in names})
