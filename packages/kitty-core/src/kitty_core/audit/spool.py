"""Where audit rows wait while the database is away.

append ─┬─> nothing waits, and the database takes it: done
        └─> else a file in the spool folder ─> drain, in order ─┬─> written: the file goes
                                                                ├─> still away: all stay
                                                                └─> no row at all: into `refused`, for a person

A file is complete or not there, and on disk before `append` returns. A row that was written and whose file is still
there, after a crash in between, is not written again: the log knows its id. Several processes may share a folder; the
order is that in which a process handed its rows in. A waiting row is not in the chain yet: who can write to the folder
can change it.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from kitty_core.audit.chain import Head, Verification
from kitty_core.audit.port import AuditLog, AuditRowRefused, AuditSpoolFailed, AuditUnavailable
from kitty_core.audit.records import Entry, Invocation, as_dict, from_dict
from kitty_core.state import FOR_ONE_USER, sync_folder, write_durably, write_synced

log = structlog.get_logger()
AT_ONCE = 100
"""Rows that an append writes for others before its own."""


class SpooledAuditLog:
    """An `AuditLog` that never fails because its database is away."""

    def __init__(
        self, log: AuditLog, folder: Path, *, store_prompts: bool = False, retry_after_sec: float = 1.0
    ) -> None:
        """After a failure, `append` leaves the database alone for `retry_after_sec`; `drain` does not."""
        self._log = log
        self._spool = Spool(folder)
        self._store_prompts = store_prompts
        self._retry_after_sec = retry_after_sec
        self._away_until = 0.0

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._spool.waiting

    def append(self, invocation: Invocation, prompt: str | None = None) -> None:
        """Writes one row, or puts it on disk.

        Raises:
            AuditRowRefused: see `AuditLog`.
            AuditSpoolFailed: neither took it.
        """
        prompt = prompt if self._store_prompts else None
        if time.monotonic() < self._away_until or not self._drained():
            self._spool.put(invocation, prompt)
            return
        try:
            self._log.append(invocation, prompt)
        except AuditUnavailable as error:
            self._note_away(error)
            self._spool.put(invocation, prompt)

    def drain(self, at_most: int | None = None) -> int:
        """Writes waiting rows in their order. Returns how many it took out of the spool.

        Does nothing where another process is at it, and ends where the database is away.
        """
        taken = 0
        try:
            with FileLock(self._spool.lock, timeout=0, mode=FOR_ONE_USER):
                for file in self._spool.files():
                    if taken == at_most:
                        break
                    self._move(file)
                    taken += 1
            self._away_until = 0.0
        except Timeout:
            return 0
        except (AuditUnavailable, OSError) as error:
            self._note_away(error)
        return taken

    def entries(
        self, tool: str | None = None, user_id: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[Entry]:
        """Those that are written. Raises: AuditUnavailable."""
        return self._log.entries(tool, user_id, since, limit)

    def head(self) -> Head:
        """Of what is written. Raises: AuditUnavailable."""
        return self._log.head()

    def verify(self) -> Verification:
        """Reads the whole chain. Raises: AuditUnavailable."""
        return self._log.verify()

    def close(self) -> None:
        """Lets the database go; what waits stays on disk."""
        self._log.close()

    def _drained(self) -> bool:
        """Whether nothing waits (any more)."""
        try:
            if self.waiting:
                self.drain(AT_ONCE)
            return self.waiting == 0
        except OSError as error:  # the order of rows is worth less than this one
            log.error("audit_spool_unreadable", reason=str(error))
            return True

    def _move(self, file: Path) -> None:
        try:
            waiting = self._spool.read(file)
            self._log.append(waiting.invocation, waiting.prompt)
        except (ValueError, AuditRowRefused) as error:
            log.error("audit_row_refused", file=file.name, reason=str(error))
            self._spool.refuse(file)
        else:
            self._spool.remove(file)

    def _note_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + self._retry_after_sec
        log.warning("audit_database_away", reason=str(error))


@dataclass(frozen=True)
class Waiting:
    """What a file in the spool says."""

    invocation: Invocation
    prompt: str | None


@dataclass(frozen=True)
class Spool:
    """The folder: one file a row, whose names sort in the order they came."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by who drains."""
        self._make()
        return self.folder / "draining.lock"

    @property
    def waiting(self) -> int:
        """Rows in the folder."""
        return len(self._names())

    def put(self, invocation: Invocation, prompt: str | None) -> None:
        """Puts a row behind all others, down to the disk.

        Raises:
            AuditSpoolFailed
        """
        draft = self.folder / f".{invocation.id}.new"
        text = _text(invocation, prompt)
        try:
            self._make()
            try:
                write_synced(draft, text)
                last = max(self._names(), default="0-")
                os.replace(draft, self.folder / f"{int(last.partition('-')[0]) + 1:015d}-{invocation.id}.json")
                sync_folder(self.folder)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise AuditSpoolFailed(f"{AuditSpoolFailed.__doc__} ({error.strerror})") from error

    def files(self) -> Iterator[Path]:
        """The rows in their order, those that come meanwhile included; each has to be gone before the next."""
        while names := sorted(self._names()):
            for name in names:
                yield self.folder / name

    def read(self, file: Path) -> Waiting:
        """Raises: ValueError: it is no row. OSError."""
        try:
            document = json.loads(file.read_bytes())
            return Waiting(from_dict(document["row"]), document["prompt"])
        except (KeyError, TypeError) as error:
            raise ValueError("it is no row") from error

    def take_prompt_out(self, file: Path) -> None:
        """The row waits on, without its prompt. For who holds `lock`. Raises: ValueError: it is no row. OSError."""
        write_durably(file, _text(self.read(file).invocation, None))

    def remove(self, file: Path) -> None:
        """The row is written. Should the removal be lost in a crash, it is tried again and found to be there."""
        file.unlink()

    def refuse(self, file: Path) -> None:
        """Keeps a row that can never be written out of the others' way."""
        refused = self.folder / "refused"
        refused.mkdir(mode=0o700, exist_ok=True)
        os.replace(file, refused / file.name)

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _names(self) -> list[str]:
        with suppress(FileNotFoundError):  # nothing was ever put here
            return [name for name in os.listdir(self.folder) if name.endswith(".json") and not name.startswith(".")]
        return []


def _text(invocation: Invocation, prompt: str | None) -> str:
    return json.dumps({"row": as_dict(invocation), "prompt": prompt})
