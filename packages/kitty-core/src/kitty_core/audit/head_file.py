"""The head of the chain outside the database: what finds a cut tail when even the head row was put back.

It is written after the row is committed, so it is never ahead of an honest database. It lags behind when a process died
in between, or when other machines write to the same database: then the row it names is still there, at its place.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from kitty_core.audit.chain import Head, head_mac, is_own
from kitty_core.state import FOR_ONE_USER, write_durably

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
