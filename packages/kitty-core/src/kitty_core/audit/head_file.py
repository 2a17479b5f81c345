"""The head of the chain outside the database: what finds a cut tail when even the head row was put back.

It is written after the row is committed, so it is never ahead of an honest database. It lags behind for some
milliseconds, when a process died in between, or when other machines write to the same database: then the row it names
is still there, at its place.
"""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog
from filelock import FileLock

from kitty_core.audit.chain import Head, head_mac, is_own
from kitty_core.state import FOR_ONE_USER, write_durably

log = structlog.get_logger()
LOCK_WITHIN_SEC = 5.0


@dataclass(frozen=True)
class HeadFile:
    """A file that is for this user alone and replaced as a whole."""

    path: Path
    key: bytes

    def read(self) -> Head | None:
        """What is in it; None where there is no file.

        Raises:
            ValueError: it was changed, or written with another key.
            OSError
        """
        try:
            document = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        try:
            head = Head(int(document["count"]), str(document["row_hash"]))
            mac = str(document["mac"])
        except (KeyError, TypeError) as error:
            raise ValueError("it is no head") from error
        if not is_own(mac, head_mac(self.key, head)):
            raise ValueError("its HMAC is wrong")
        return head

    def advance(self, head: Head) -> None:
        """Writes `head` unless another process has written a later one. Raises: OSError, ValueError as `read`."""
        with FileLock(f"{self.path}.lock", timeout=LOCK_WITHIN_SEC, mode=FOR_ONE_USER):
            now = self.read()
            if now is None or now.count < head.count:
                text = json.dumps(head.as_dict() | {"mac": head_mac(self.key, head)})
                write_durably(self.path, text + "\n")


class Follower:
    """Moves a head file after the chain, in a thread; what came meanwhile is one move. Ends with the program."""

    def __init__(self, file: HeadFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._wanted: Head | None = None
        self._moving: Future[None] | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit-head")

    def follow(self, head: Head) -> None:
        """The file is to come to `head`, or a later one. Returns at once."""
        with self._lock:
            if self._wanted is None or self._wanted.count < head.count:
                is_idle = self._wanted is None
                self._wanted = head
                if is_idle:
                    self._moving = self._pool.submit(self._move)

    def settle(self) -> None:
        """Returns when the file is where it was wanted, or could not be moved there."""
        while (moving := self._moving) is not None:
            moving.result()
            if moving is self._moving:
                return

    def _move(self) -> None:
        with self._lock:
            head = self._wanted
            self._wanted = None
        assert head is not None
        try:
            self._file.advance(head)
        except Exception as error:  # noqa: BLE001 - the row is written; `verify` tells a file that lags
            log.error("audit_head_file_lags", file=str(self._file.path), reason=str(error))
