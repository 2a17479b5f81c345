"""The audit trail in a database.

append: lock the head ─> is the row there? ─> chain the new row to the head ─> insert it, move the head ─> commit
                                                                 ─> soon after: move the head file

The lock makes one writer of many threads, processes and machines; on SQLite it is the file's, on PostgreSQL the head
row's. Should it fail, the database refuses a second row with the same `prev_hash`. The head file moves only where it
agrees with the chain: what it knows of a tail that was cut off is never written over. It moves in a thread of its own,
for many rows at once where they come fast: it has to be on disk, and nobody has to wait for that.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, exists, func, or_, select, update
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from kitty_core.audit.chain import EMPTY, Head, Verification, chained, head_mac, is_own, key_id, prompt_mac
from kitty_core.audit.head_file import Follower, HeadFile
from kitty_core.audit.port import AuditHeadRefused, AuditRowRefused, AuditUnavailable
from kitty_core.audit.records import Entry, Invocation, in_utc, storable
from kitty_core.audit.table import MIGRATIONS, OWNER, as_entry, audit_head, invocation_prompts, tool_invocations
from kitty_core.audit.verification import verify
from kitty_core.database import migrate, reading
from kitty_core.errors import ConfigurationError

log = structlog.get_logger()


class SqlAuditLog:
    """An `AuditLog` in SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, key: bytes, head_file: Path, *, store_prompts: bool = False) -> None:
        """`key` is from `audit_key`; `head_file` belongs to this database and lies outside it."""
        self._engine = engine
        self._key = key
        self._file = HeadFile(head_file, key)
        self._follower = Follower(self._file)
        self._store_prompts = store_prompts
        self._ready = False
        self._first = threading.Lock()

    def prepare(self) -> None:
        """Makes the tables where they are missing. A program calls it when it starts; else the first row does.

        Raises:
            ConfigurationError: the trail was begun with another key, or by a newer program.
            AuditUnavailable
        """
        with _translated(), self._first:
            if self._ready:
                return
            migrate(self._engine, MIGRATIONS, OWNER)
            with reading(self._engine) as connection:
                owner = connection.execute(select(audit_head.c.key_id)).scalar_one_or_none()
            if owner not in (None, "", key_id(self._key)):
                raise ConfigurationError("AUDIT_KEY is not the key this audit trail was begun with.")
            self._ready = True

    def append(self, invocation: Invocation, prompt: str | None = None) -> None:
        """Writes one row, or does nothing where one with its `id` or `job_id` is there already.

        Raises:
            AuditUnavailable, AuditRowRefused: see `AuditLog`.
        """
        try:
            self.prepare()
        except ConfigurationError as error:
            raise AuditHeadRefused(error.message) from error
        with _translated(), self._engine.begin() as connection:
            before = self._locked_head(connection)
            if _is_there(connection, invocation):
                log.info("audit_row_is_there", id=invocation.id, job_id=invocation.job_id)
                return
            agrees = self._file_agrees(connection, before)
            after = self._write(connection, before, invocation)
            if prompt is not None and self._store_prompts:
                self._keep(connection, invocation.id, storable(prompt))
        if agrees:
            self._follower.follow(after)
        if before == EMPTY:  # a chain without a file would look as if somebody had removed it
            self.settle()

    def entries(
        self, tool: str | None = None, user_id: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[Entry]:
        """The newest `limit` rows that match, newest first; `tool` also finds what it ran (`broker.run:disk.usage`).

        Raises:
            AuditUnavailable
        """
        rows = tool_invocations.c
        query = select(tool_invocations).order_by(rows.created_at.desc(), rows.id.desc()).limit(limit)
        if tool is not None:
            name, wanted = func.replace(rows.tool, ".", "_"), tool.replace(".", "_")
            query = query.where((name == wanted) | (func.substr(name, 1, len(wanted) + 1) == f"{wanted}:"))
        if user_id is not None:
            query = query.where(rows.user_id == user_id)
        if since is not None:
            query = query.where(rows.created_at >= in_utc(since))
        with _translated(), reading(self._engine) as connection:
            return [as_entry(row) for row in connection.execute(query).mappings()]

    def head(self) -> Head:
        """How many rows there are, and the hash of the last. Raises: AuditUnavailable."""
        with _translated(), reading(self._engine) as connection:
            row = connection.execute(select(audit_head)).mappings().one_or_none()
        return Head(row["count"], row["row_hash"]) if row else EMPTY

    def verify(self) -> Verification:
        """Reads the whole chain, its head and its head file. Raises: AuditUnavailable."""
        self.settle()
        # The file first: whatever it names was committed before, so the view of the database has to show it.
        seen: Head | Exception | None
        try:
            seen = self._file.read()
        except (OSError, ValueError) as error:
            seen = error
        with _translated(), reading(self._engine) as connection:
            return verify(connection, self._key, seen)

    def settle(self) -> None:
        """Returns when the head file has followed the rows of this log."""
        self._follower.settle()

    def close(self) -> None:
        """Closes the connections of the engine, once the head file has been moved."""
        self.settle()
        self._engine.dispose()

    def _locked_head(self, connection: Connection) -> Head:
        row = connection.execute(select(audit_head).with_for_update()).mappings().one_or_none()
        if row is None:
            raise AuditHeadRefused("The head of the audit chain is gone: run `kitty-cli audit verify`.")
        head = Head(row["count"], row["row_hash"])
        if head != EMPTY and not is_own(row["mac"], head_mac(self._key, head)):
            raise AuditHeadRefused
        return head

    def _write(self, connection: Connection, before: Head, invocation: Invocation) -> Head:
        entry = chained(self._key, invocation, before.row_hash)
        after = Head(before.count + 1, entry.row_hash)
        connection.execute(tool_invocations.insert(), entry.as_dict())
        moved = after.as_dict() | {"mac": head_mac(self._key, after), "key_id": key_id(self._key)}
        connection.execute(update(audit_head).values(moved))
        return after

    def _keep(self, connection: Connection, id: str, prompt: str) -> None:
        kept = {"id": id, "prompt": prompt, "mac": prompt_mac(self._key, id, prompt)}
        connection.execute(invocation_prompts.insert(), kept)

    def _file_agrees(self, connection: Connection, before: Head) -> bool:
        """Whether what the file names is in the chain. While the head is locked no honest file can be ahead of it."""
        try:
            seen = self._file.read()
        except (OSError, ValueError) as error:
            log.error("audit_head_file_refused", file=str(self._file.path), reason=str(error))
            return False
        if seen in (None, before, EMPTY):
            if seen is None and before != EMPTY:
                log.warning("audit_head_file_made", file=str(self._file.path), rows=before.count)
            return True
        assert seen is not None
        there = connection.execute(select(exists().where(tool_invocations.c.row_hash == seen.row_hash))).scalar_one()
        if not there or seen.count > before.count:
            log.error("audit_rows_are_missing", seen=seen.count, found=before.count)
            return False
        return True


def _is_there(connection: Connection, invocation: Invocation) -> bool:
    rows = tool_invocations.c
    same = rows.id == invocation.id
    if invocation.job_id is not None:
        same = or_(same, rows.job_id == invocation.job_id)
    return bool(connection.execute(select(exists().where(same))).scalar_one())


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what the database says into errors of the audit trail; they repeat no value of the row."""
    try:
        yield
    except DataError as error:
        raise AuditRowRefused(f"The audit trail does not take this row: {_reason(error)}") from error
    except (SQLAlchemyError, OSError) as error:
        raise AuditUnavailable(f"The audit trail cannot be reached: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    first, *_ = str(cause).splitlines() or [""]
    return f"{type(cause).__name__}: {first}"
