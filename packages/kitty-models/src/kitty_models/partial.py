"""A download in progress: `X.partial` and beside it `X.partial.json`, which says how much of it counts.

Bytes are appended in order. `commit()` makes what is there durable and says so in the state file by an atomic rename;
after a crash everything behind the last commit is cut off and fetched again.
"""

import json
import os
from pathlib import Path
from types import TracebackType

from kitty_models.errors import WrongContent
from kitty_models.store import write_atomically

COMMIT_EVERY_BYTES = 16 * 1024**2


class PartialFile:
    """The growing file. Use it as a context manager; leaving it, also by Ctrl-C, commits."""

    def __init__(self, target: Path, sha256: str | None, commit_every: int = COMMIT_EVERY_BYTES) -> None:
        self.path = target.with_name(target.name + ".partial")
        self._state_path = target.with_name(target.name + ".partial.json")
        self._sha256 = sha256
        self._commit_every = commit_every
        self.size = self._committed = 0
        self.origin = ""
        """What the bytes so far were last taken from."""
        self.etag = ""
        """The web server's name for this version of the file, needed to go on where no hash guards the content."""

    def __enter__(self) -> "PartialFile":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._read_state()
        self._file = self.path.open("r+b" if self.path.exists() else "w+b")
        self.cut(self._committed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file.closed:
            return
        if self.size:
            self.commit()
            self._file.close()
        else:
            self.discard()

    def append(self, block: bytes, limit: int | None = None) -> None:
        """Adds bytes at the end.

        Raises:
            WrongContent: that would be more than `limit`.
        """
        if limit is not None and self.size + len(block) > limit:
            raise WrongContent(f"more than the expected {limit:,} bytes arrived")
        self._file.write(block)
        self.size += len(block)
        if self.size - self._committed >= self._commit_every:
            self.commit()

    def cut(self, size: int) -> None:
        """Throws away everything behind `size` bytes."""
        self._file.truncate(size)
        self._file.seek(size)
        self.size = size
        self._committed = min(self._committed, size)

    def commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._committed = self.size
        state = {"sha256": self._sha256, "origin": self.origin, "etag": self.etag, "bytes": self.size}
        write_atomically(self._state_path, state)

    def finish(self, target: Path) -> None:
        """Moves the finished file to its place, the very last step."""
        self.commit()
        self._file.close()
        os.replace(self.path, target)
        sync_folder(target.parent)
        self._state_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Deletes what is there: it is not the model."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)

    def _read_state(self) -> None:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
            size, etag, origin = int(state["bytes"]), str(state["etag"]), str(state["origin"])
            usable = state["sha256"] == self._sha256 and self.path.stat().st_size >= size
        except (OSError, ValueError, KeyError, TypeError):
            return  # no state, or one that cannot be read: nothing of the file counts
        if usable:
            self._committed, self.etag, self.origin = size, etag, origin


def sync_folder(folder: Path) -> None:
    """Makes a rename durable, where the system can."""
    if os.name == "nt":  # Windows has no handle on a directory that could be flushed
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
