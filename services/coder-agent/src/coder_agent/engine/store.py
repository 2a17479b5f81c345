"""What people do with jobs: hand them in, look at them, cancel them, resume them."""

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from coder_agent.engine.clock import now
from coder_agent.engine.database import J, JobDatabase, end, job_of, locked, refuse_beyond, row_of, with_position
from coder_agent.engine.errors import JobDoesNotWait, KeyIsTaken, NoSuchJob
from coder_agent.engine.records import ENDED, Ending, Event, Job, NewJob
from coder_agent.engine.tables import events, jobs

LONG = ("body", "answer", "state")
"""Columns that may hold very much."""


class JobStore:
    """Blocking; meant for threads."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    def submit(self, new: NewJob, queue_limit: int, attached_sec: float) -> tuple[Job, bool]:
        """The job, and whether it is new: with a known idempotency key it is the one handed in before.

        Args:
            queue_limit: most jobs that wait.
            attached_sec: so long an attached job goes on without a sign of whoever waits for it.

        Raises:
            QueueIsFull, KeyIsTaken, StoreIsUnavailable
        """
        try:
            return self._submit(new, queue_limit, attached_sec)
        except IntegrityError:  # the same key came twice at once: the other one was first
            try:
                return self._submit(new, queue_limit, attached_sec)
            except IntegrityError:
                raise KeyIsTaken("There is a job with this id already.") from None

    def _submit(self, new: NewJob, queue_limit: int, attached_sec: float) -> tuple[Job, bool]:
        with self._database.writing() as connection:
            if new.idempotency_key is not None:
                same = (J.user_id == new.user_id) & (J.idempotency_key == new.idempotency_key)
                if before := connection.execute(select(jobs).where(same)).mappings().one_or_none():
                    if before["body_sha256"] != new.body_sha256:
                        raise KeyIsTaken
                    return job_of(before), False
            refuse_beyond(connection, new.queue, queue_limit)
            at = now(connection)
            row = {
                "id": new.id,
                "queue": new.queue,
                "user_id": new.user_id,
                "request_id": new.request_id,
                "conversation_id": new.conversation_id,
                "idempotency_key": new.idempotency_key,
                "body_sha256": new.body_sha256,
                "body": new.body,
                "label": new.label,
                "is_attached": new.is_attached,
                "attached_until": at + attached_sec if new.is_attached else None,
                "status": "queued",
                "attempt": 0,
                "crashes": 0,
                "cancel_requested": False,
                "created_at": at,
                "deadline_sec": new.deadline_sec,
                "deadline_at": None if new.deadline_sec is None else at + new.deadline_sec,
                "last_event": 0,
                "resumes": 0,
                "note": new.note,
                "is_told": False,
            }
            connection.execute(insert(jobs), row)
            return job_of(row_of(connection, new.id)), True

    def stay(self, job_ids: Sequence[str], attached_sec: float) -> None:
        """Whoever waits for these attached jobs is still there. Raises: StoreIsUnavailable."""
        with self._database.writing() as connection:
            until = now(connection) + attached_sec
            connection.execute(update(jobs).where(J.id.in_(job_ids)).values(attached_until=until))

    def cancel(self, job_id: str, ending: Ending) -> Job:
        """Ends a job that waits; asks the worker of one that runs to end it. One that has ended stays as it is.

        Raises:
            NoSuchJob, StoreIsUnavailable
        """
        with self._database.writing() as connection:
            row = locked(connection, job_id)
            if row is None:
                raise NoSuchJob
            if row["status"] in ("queued", "waiting"):
                end(connection, job_id, ending, row["last_event"])
            elif row["status"] == "running":
                connection.execute(update(jobs).where(J.id == job_id).values(cancel_requested=True))
            return job_of(row_of(connection, job_id))

    def resume(self, job_id: str, queue_limit: int) -> Job:
        """Puts a cancelled or failed job into the queue again; it goes on behind its last finished step.

        Its deadline counts anew, and from now on nobody has to wait for it.

        Raises:
            NoSuchJob, JobDoesNotWait, QueueIsFull, StoreIsUnavailable
        """
        with self._database.writing() as connection:
            row = locked(connection, job_id)
            if row is None:
                raise NoSuchJob
            if row["status"] not in ("cancelled", "failed"):
                raise JobDoesNotWait(f"The job is {row['status']}.")
            refuse_beyond(connection, row["queue"], queue_limit)
            seconds = row["deadline_sec"]
            connection.execute(
                update(jobs)
                .where(J.id == job_id)
                .values(
                    status="queued",
                    verdict=None,
                    answer=None,
                    worker=None,
                    finished_at=None,
                    crashes=0,
                    resumes=J.resumes + 1,
                    is_told=False,
                    cancel_requested=False,
                    is_attached=False,
                    attached_until=None,
                    deadline_at=None if seconds is None else now(connection) + seconds,
                )
            )
            return job_of(row_of(connection, job_id))

    def get(self, job_id: str, user_id: str | None = None) -> Job:
        """The job; only the one of `user_id` where that is given. Raises: NoSuchJob, StoreIsUnavailable."""
        with self._database.reading() as connection:
            row = connection.execute(select(jobs).where(J.id == job_id)).mappings().one_or_none()
            if row is None or user_id not in (None, row["user_id"]):
                raise NoSuchJob
            return with_position(connection, row)

    def untold(self) -> list[str]:
        """Jobs that have ended, which nobody was told of. Raises: StoreIsUnavailable."""
        with self._database.reading() as connection:
            wanted = J.finished_at.is_not(None) & ~J.is_told
            return list(connection.execute(select(J.id).where(wanted).order_by(J.finished_at).limit(100)).scalars())

    def told(self, job: Job) -> None:
        """This end of the job was told. Raises: StoreIsUnavailable."""
        with self._database.writing() as connection:
            this = (J.id == job.id) & (J.resumes == job.resumes)
            connection.execute(update(jobs).where(this).values(is_told=True))

    def newest(self, user_id: str | None, limit: int) -> list[Job]:
        """The newest `limit` jobs of `user_id`, of everybody where that is None; without `body` and `answer`.

        Raises:
            StoreIsUnavailable
        """
        columns = [column for column in jobs.c if column.name not in LONG]
        newest = select(*columns, *(null().label(name) for name in LONG)).order_by(J.number.desc()).limit(limit)
        if user_id is not None:
            newest = newest.where(J.user_id == user_id)
        with self._database.reading() as connection:
            return [with_position(connection, row) for row in connection.execute(newest).mappings().all()]

    def events_after(self, job_id: str, last_id: int, limit: int = 1000) -> tuple[list[Event], bool]:
        """Up to `limit` events behind `last_id`, and whether the job had ended and these are all there will be.

        Raises:
            NoSuchJob, StoreIsUnavailable
        """
        following = (
            select(events.c.id, events.c.data)
            .where(events.c.job_id == job_id, events.c.id > last_id)
            .order_by(events.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            row = connection.execute(select(J.status, J.last_event).where(J.id == job_id)).one_or_none()
            if row is None:
                raise NoSuchJob
            found = [Event(id, data) for id, data in connection.execute(following)]
            seen = found[-1].id if found else last_id
            return found, row.status in ENDED and seen >= row.last_event

    def counts(self, queue: str) -> dict[str, int]:
        """Jobs of `queue` that wait and that run, by status. Raises: StoreIsUnavailable."""
        mine = J.status.in_(("queued", "running")) & (J.queue == queue)
        alive = select(J.status, func.count()).where(mine).group_by(J.status)
        with self._database.reading() as connection:
            return {"queued": 0, "running": 0} | {status: count for status, count in connection.execute(alive)}

    def prune(self, older_than_sec: float, keep: int, at_most: int = 500) -> int:
        """Deletes jobs that ended longer ago, and the oldest beyond the newest `keep`, with their events.

        Returns how many it deleted, `at_most` in one call.

        Raises:
            StoreIsUnavailable
        """
        with self._database.writing() as connection:
            ended = J.status.in_(ENDED) & J.is_told
            newest = select(J.number).where(ended).order_by(J.number.desc()).offset(keep).limit(1)
            beyond = connection.execute(newest).scalar_one_or_none()
            old = J.finished_at < now(connection) - older_than_sec
            wanted = old if beyond is None else old | (J.number <= beyond)
            ids = list(connection.execute(select(J.id).where(ended, wanted).limit(at_most)).scalars())
            connection.execute(delete(events).where(events.c.job_id.in_(ids)))
            connection.execute(delete(jobs).where(J.id.in_(ids)))
            return len(ids)
