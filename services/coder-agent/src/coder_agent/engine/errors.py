"""What can keep a job from being handed in, or a worker from going on with it.

KittyError (kitty_core)
├─ QueueIsFull          429 queue_full            with Retry-After
├─ KeyIsTaken           409 idempotency_key_used  the key came with another body before
├─ NoSuchJob            404 no_such_job
├─ JobDoesNotWait       409 job_not_resumable     only a cancelled or failed job can be resumed
└─ StoreIsUnavailable   503 job_store_unavailable the database cannot be reached now
Exception
└─ LeaseLost            somebody else holds the job now: stop, and write nothing more
"""

from collections.abc import Mapping
from typing import ClassVar

from kitty_core.errors import KittyError

RETRY_AFTER_SEC = 10


class QueueIsFull(KittyError):
    """As many jobs wait as may wait (JOBS_QUEUE_LIMIT). Try again later."""

    status = 429
    code = "queue_full"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": str(RETRY_AFTER_SEC)}


class KeyIsTaken(KittyError):
    """This Idempotency-Key came with another body before."""

    status = 409
    code = "idempotency_key_used"


class NoSuchJob(KittyError):
    """There is no such job, or it is another user's."""

    status = 404
    code = "no_such_job"


class JobDoesNotWait(KittyError):
    """Only a job that was cancelled or has failed can be resumed."""

    status = 409
    code = "job_not_resumable"


class StoreIsUnavailable(KittyError):
    """The database of the jobs cannot be reached now."""

    status = 503
    code = "job_store_unavailable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class LeaseLost(Exception):
    """The job is not this worker's any more."""
