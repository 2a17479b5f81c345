"""Prompts that are kept beside the trail (`AUDIT_STORE_PROMPTS`): counted and erased. Rows stay, the chain is whole.

Where they are: in the table `invocation_prompts`, and in rows that wait in the spool while the database is away.
SQLite overwrites what it erases; PostgreSQL keeps it on its disk until its next VACUUM. Backups are not reached.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import ColumnElement, Engine, delete, func, select

from kitty_core.audit.port import AuditUnavailable
from kitty_core.audit.records import Invocation, in_utc
from kitty_core.audit.spool import Spool
from kitty_core.audit.table import invocation_prompts, tool_invocations
from kitty_core.database import reading
from kitty_core.state import FOR_ONE_USER

ALONE_WITHIN_SEC = 10.0


@dataclass(frozen=True)
class Chosen:
    """Which prompts: those of rows before a moment, of one user, of both; all where neither is said."""

    before: datetime | None = None
    user_id: str | None = None

    def holds(self, row: Invocation) -> bool:
        """Whether `row` is one of them."""
        is_before = self.before is None or row.created_at < self.before
        return is_before and self.user_id in (None, row.user_id)

    @property
    def condition(self) -> ColumnElement[bool]:
        """The same for the table of prompts."""
        rows = tool_invocations.c
        wanted = [] if self.before is None else [rows.created_at < in_utc(self.before)]
        wanted += [] if self.user_id is None else [rows.user_id == self.user_id]
        # Without a wish also the prompt of a row that somebody has removed.
        ids = select(rows.id).where(*wanted) if wanted else select(invocation_prompts.c.id)
        return invocation_prompts.c.id.in_(ids)


def kept(engine: Engine, spool: Spool, chosen: Chosen) -> int:
    """How many there are."""
    with reading(engine) as connection:
        count = select(func.count()).select_from(invocation_prompts).where(chosen.condition)
        return int(connection.execute(count).scalar_one()) + len(list(_waiting(spool, chosen)))


def erase(engine: Engine, spool: Spool, chosen: Chosen) -> int:
    """Erases them; how many they were.

    Raises:
        AuditUnavailable: a program is writing waiting rows all the while.
    """
    try:
        with FileLock(spool.lock, timeout=ALONE_WITHIN_SEC, mode=FOR_ONE_USER):
            waiting = list(_waiting(spool, chosen))
            for file in waiting:
                spool.take_prompt_out(file)
            return len(waiting) + _erase_rows(engine, chosen)
    except Timeout:
        raise AuditUnavailable("Waiting rows are being written at this moment; nothing was erased.") from None


def _waiting(spool: Spool, chosen: Chosen) -> Iterator[Path]:
    """Files with such a prompt, those of refused rows included."""
    for file in sorted(spool.folder.rglob("*.json")):
        try:
            row = spool.read(file)
        except (ValueError, FileNotFoundError):  # written meanwhile, or no row
            continue
        if row.prompt is not None and chosen.holds(row.invocation):
            yield file


def _erase_rows(engine: Engine, chosen: Chosen) -> int:
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        count = connection.execute(delete(invocation_prompts).where(chosen.condition)).rowcount
    if is_sqlite:
        with closing(engine.raw_connection()) as plain, closing(plain.cursor()) as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count
