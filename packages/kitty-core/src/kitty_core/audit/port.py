"""What a program needs of an audit trail, and what can go wrong with it.

KittyError
├─ AuditUnavailable     503 audit_unavailable     the database is away: the row can be written later
│  └─ AuditHeadRefused  503 audit_unavailable     its end was touched, or the key is another
├─ AuditRowRefused      500 audit_row_refused     the database takes no such row: it cannot be written later either
└─ AuditSpoolFailed     500 audit_spool_failed    neither the database nor the disk took the row: it is lost
"""

from datetime import datetime
from typing import Protocol

from kitty_core.audit.chain import Head, Verification
from kitty_core.audit.records import Entry, Invocation
from kitty_core.errors import KittyError


class AuditSink(Protocol):
    """Where rows are handed in. It blocks: call it with `asyncio.to_thread`."""

    def append(self, invocation: Invocation, prompt: str | None = None) -> None:
        """Writes one row, or does nothing where one with its `id` or `job_id` is there already.

        `prompt` is kept only where the log was told to (`AUDIT_STORE_PROMPTS`).

        Raises:
            AuditUnavailable: not now (a spooled log never raises this one).
            AuditRowRefused: never.
            AuditSpoolFailed: the row is lost.
        """


class AuditLog(AuditSink, Protocol):
    """Append-only, and can be read. Everything blocks."""

    def entries(
        self, tool: str | None = None, user_id: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[Entry]:
        """The newest `limit` rows that match, newest first.

        `tool` is a name in either spelling, `since` the oldest moment.

        Raises:
            AuditUnavailable
        """

    def head(self) -> Head:
        """How many rows there are, and the hash of the last. Raises: AuditUnavailable."""

    def verify(self) -> Verification:
        """Reads the whole chain. Raises: AuditUnavailable."""

    def close(self) -> None:
        """Lets the database go."""


class AuditUnavailable(KittyError):
    """The audit trail cannot be reached."""

    status = 503
    code = "audit_unavailable"


class AuditHeadRefused(AuditUnavailable):
    """The end of the audit chain is not as it was left: run `kitty-cli audit verify`."""


class AuditRowRefused(KittyError):
    """The audit trail does not take this row."""

    code = "audit_row_refused"


class AuditSpoolFailed(KittyError):
    """An audit row is lost: neither the database nor the spool on disk took it."""

    code = "audit_spool_failed"
