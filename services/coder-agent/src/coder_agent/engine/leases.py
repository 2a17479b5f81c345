"""What workers do with jobs. Each claim counts `attempt` up; what is written under an older one is refused.

The row of the job is locked while something is written for it, so that no other worker takes it up in between. Claims
are made one at a time: on SQLite by the file's lock, on PostgreSQL by an advisory one that nothing else waits for.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select, text, update

from coder_agent.engine.clock import now
from coder_agent.engine.database import J, JobDatabase, append, end, job_of, locked, row_of
from coder_agent.engine.errors import LeaseLost
from coder_agent.engine.records import ENDED, Claim, Ending, Event
from coder_agent.engine.tables import jobs

CLAIMING = 7_315_201
"""The advisory lock's number: any, as long as it is this program's alone."""
MOST_CRASHES = 5
"""Workers that may die while they run a job, before it is given up: it may be what kills them."""


class Leases:
    """The claims of one worker. Blocking; meant for threads."""

    def __init__(self, database: JobDatabase, worker: str, lease_sec: float, queue: str = "default") -> None:
        """`worker`: a name that no other worker has, ever; `queue`: where it takes jobs from."""
        self._database = database
        self.worker = worker
        self.lease_sec = lease_sec
        self._queue = queue

    def claim(self) -> Claim | None:
        """The job that is next, now this worker's; None when none waits.

        The next one is the oldest of the user who has fewest running, of those the one who was served longest ago.

        Raises:
            StoreIsUnavailable
        """
        if not self.has_waiting():
            return None
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": CLAIMING})
            id = _next_id(connection, self._queue)
            if id is None:
                return None
            at = now(connection)
            taken = (
                update(jobs)
                .where(J.id == id, J.status == "queued")
                .values(
                    status="running",
                    worker=self.worker,
                    attempt=J.attempt + 1,
                    lease_until=at + self.lease_sec,
                    started_at=func.coalesce(J.started_at, at),
                )
            )
            if connection.execute(taken).rowcount == 0:
                return None  # cancelled just now
            row = row_of(connection, id)
            return Claim(job_of(row), self.worker, at, row["state"])

    def has_waiting(self) -> bool:
        """Whether any job waits. Takes no lock. Raises: StoreIsUnavailable."""
        with self._database.reading() as connection:
            wait = (J.status == "queued") & (J.queue == self._queue)
            return connection.execute(select(J.id).where(wait).limit(1)).first() is not None

    def renew(self, job_ids: Sequence[str]) -> dict[str, tuple[int, bool]]:
        """Prolongs the leases on `job_ids`; by job still held: the attempt, and whether it is to be cancelled.

        A job that is this worker's by the database alone is not among them, and goes back into the queue in time.

        Raises:
            StoreIsUnavailable
        """
        with self._database.writing() as connection:
            own = (J.worker == self.worker) & (J.status == "running") & J.id.in_(job_ids)
            connection.execute(update(jobs).where(own).values(lease_until=now(connection) + self.lease_sec))
            rows = connection.execute(select(J.id, J.attempt, J.cancel_requested).where(own))
            return {id: (attempt, cancel) for id, attempt, cancel in rows}

    def to_cancel(self) -> list[str]:
        """Jobs of this worker that somebody wants cancelled. Raises: StoreIsUnavailable."""
        wanted = (J.worker == self.worker) & (J.status == "running") & J.cancel_requested
        with self._database.reading() as connection:
            return list(connection.execute(select(J.id).where(wanted)).scalars())

    def save(
        self, claim: Claim, new_events: Sequence[Event], state: str | None = None, step: str | None = None
    ) -> None:
        """Writes events, and what a finished step left where that is given. What was written before stays as it is.

        Raises:
            LeaseLost: the job is not this claim's any more; nothing was written.
            StoreIsUnavailable
        """
        with self._database.writing() as connection:
            _held(locked(connection, claim.job.id), claim)
            append(connection, claim.job.id, new_events)
            changed: dict[str, Any] = {}
            if new_events:
                changed["last_event"] = new_events[-1].id
            if state is not None:
                changed |= {"state": state, "step": step}
            if changed:
                connection.execute(update(jobs).where(J.id == claim.job.id).values(changed))

    def finish(self, claim: Claim, ending: Ending, new_events: Sequence[Event] = ()) -> None:
        """Ends the job: its answer, its last events. Does nothing where this claim has ended it before.

        Raises:
            LeaseLost, StoreIsUnavailable: as `save`.
        """
        with self._database.writing() as connection:
            row = locked(connection, claim.job.id)
            if row is not None and row["attempt"] == claim.attempt and row["status"] in ENDED:
                return  # the database took it, and the word of that was lost
            row = _held(row, claim)
            append(connection, claim.job.id, new_events)
            end(connection, claim.job.id, ending, new_events[-1].id if new_events else row["last_event"])

    def release(self, claim: Claim) -> None:
        """Gives the job back to the queue, in its old place, with what its finished steps left.

        Raises:
            LeaseLost, StoreIsUnavailable: as `save`.
        """
        with self._database.writing() as connection:
            _held(locked(connection, claim.job.id), claim)
            connection.execute(
                update(jobs).where(J.id == claim.job.id).values(status="queued", worker=None, lease_until=None)
            )

    def sweep(self, crashed: Ending, late: Ending, cancelled: Ending) -> list[str]:
        """Sees to the jobs that nobody sees to; returns the ids of those it changed.

        Args:
            crashed: how a job ends that workers died of again and again.
            late: how one ends whose deadline passed before it began.
            cancelled: how one ends that nobody waits for any more, or that was to be cancelled when its worker died.

        Raises:
            StoreIsUnavailable
        """
        with self._database.reading() as connection:
            if connection.execute(select(J.id).where(_neglected(now(connection))).limit(1)).first() is None:
                return []
        with self._database.writing() as connection:
            at = now(connection)
            rows = connection.execute(select(jobs).where(_neglected(at)).with_for_update()).mappings().all()
            for row in rows:
                this = update(jobs).where(J.id == row["id"])
                if row["status"] == "running" and row["lease_until"] >= at:
                    connection.execute(this.values(cancel_requested=True))
                elif ending := _ending_of(row, at, crashed, late, cancelled):
                    end(connection, row["id"], ending, row["last_event"])
                else:
                    again = {"status": "queued", "worker": None, "lease_until": None, "crashes": row["crashes"] + 1}
                    connection.execute(this.values(again))
            return [row["id"] for row in rows]


def _neglected(at: float) -> ColumnElement[bool]:
    """Jobs whose worker gives no sign of life, whose deadline passed in the queue, or for whom nobody waits."""
    has_no_worker = (J.status == "running") & (J.lease_until < at)
    is_late = (J.status == "queued") & (J.deadline_at < at)
    is_left = J.status.in_(("queued", "running")) & (J.attached_until < at) & ~J.cancel_requested
    return has_no_worker | is_late | is_left


def _held(row: RowMapping | None, claim: Claim) -> RowMapping:
    """`row` of the claim's job. Raises: LeaseLost: it is not `claim`'s any more."""
    if row is None or row["status"] != "running" or (row["worker"], row["attempt"]) != (claim.worker, claim.attempt):
        raise LeaseLost(claim.job.id)
    return row


def _ending_of(row: RowMapping, at: float, crashed: Ending, late: Ending, cancelled: Ending) -> Ending | None:
    """None: it goes into the queue again."""
    if row["cancel_requested"] or (row["attached_until"] is not None and row["attached_until"] < at):
        return cancelled
    if row["deadline_at"] is not None and row["deadline_at"] < at:
        return late
    return crashed if row["crashes"] + 1 >= MOST_CRASHES else None


def _next_id(connection: Connection, queue: str) -> str | None:
    wait = (J.status == "queued") & (J.queue == queue)
    oldest = select(J.user_id, func.min(J.number).label("number")).where(wait).group_by(J.user_id)
    waiting = {user: number for user, number in connection.execute(oldest)}
    if not waiting:
        return None
    run = (J.status == "running") & (J.queue == queue)
    running = select(J.user_id, func.count()).where(run).group_by(J.user_id)
    busy = {user: count for user, count in connection.execute(running)}
    served: dict[str, float] = {}
    if len(waiting) > 1:
        last = select(J.user_id, func.max(J.started_at)).where(J.user_id.in_(waiting)).group_by(J.user_id)
        served = {user: at or 0.0 for user, at in connection.execute(last)}
    user = min(waiting, key=lambda one: (busy.get(one, 0), served.get(one, 0.0), waiting[one]))
    id: str = connection.execute(select(J.id).where(J.number == waiting[user])).scalar_one()
    return id
