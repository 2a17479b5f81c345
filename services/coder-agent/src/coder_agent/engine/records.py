"""What the job engine speaks of: plain data. Times are seconds since the epoch, of the database's clock."""

from dataclasses import dataclass, field
from typing import Literal

JobStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
ENDED = frozenset({"succeeded", "failed", "cancelled"})
Outcome = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class NewJob:
    """A job as it is handed in. `body` is JSON that the one who runs it understands, and nobody else."""

    id: str
    user_id: str
    body: str
    queue: str = "default"
    """Taken from by the workers of that name."""
    label: str = ""
    """JSON: what of it is shown in lists."""
    request_id: str | None = None
    conversation_id: str | None = None
    idempotency_key: str | None = None
    body_sha256: str = ""
    deadline_sec: float | None = None
    """Seconds from now in which it has to end."""
    is_attached: bool = False
    """Whether somebody waits for it, without whom it is cancelled."""
    note: str = ""
    """For whoever is told of the end."""


@dataclass(frozen=True)
class Job:
    """A job as it stands."""

    id: str
    user_id: str
    status: JobStatus
    body: str | None
    """None in lists, as `answer`."""
    created_at: float
    queue: str = "default"
    label: str = ""
    request_id: str | None = None
    conversation_id: str | None = None
    verdict: str | None = None
    step: str | None = None
    attempt: int = 0
    """How often a worker took it up."""
    worker: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    deadline_at: float | None = None
    answer: str | None = None
    """JSON: what came of it, as the one who ran it wrote it down."""
    last_event: int = 0
    cancel_requested: bool = False
    is_attached: bool = False
    resumes: int = 0
    """How often it was resumed: it has ended so many times before."""
    note: str = ""
    is_told: bool = False
    """Whether its end was told to whoever wants to know."""
    queue_position: int | None = None
    """1 for the job that is next among those that wait; None for any that does not wait."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it, unless somebody resumes it."""
        return self.status in ENDED


@dataclass(frozen=True)
class Claim:
    """A job that a worker holds: good for writing as long as nobody else has taken the job up since (`attempt`)."""

    job: Job
    worker: str
    taken_at: float = 0.0
    state: str | None = None
    """What the last finished step left; None: the job begins."""

    @property
    def attempt(self) -> int:
        """The fencing token of everything that is written under this claim."""
        return self.job.attempt


@dataclass(frozen=True)
class Ending:
    """How a job ended."""

    status: Outcome
    verdict: str | None
    answer: str
    last_events: tuple[str, ...] = field(default=())
    """JSON of the events that are written with it."""


@dataclass(frozen=True)
class Event:
    """One event of a job: ids count from 1 without a gap."""

    id: int
    data: str
    """JSON."""
