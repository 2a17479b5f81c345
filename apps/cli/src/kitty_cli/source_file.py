"""A file of the person's own that is changed: as it was but for the change, whole or not at all, and to be undone."""

import base64
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kitty_cli.errors import NotConfigured, UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.state import write_atomically
from kitty_core.state import FOR_ONE_USER, state_dir

KEPT = 20
"""Changes that can be undone, the newest first."""
MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class SourceFile:
    """A UTF-8 text file. `text` has no byte order mark and `\\n` for line ends."""

    path: Path
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "SourceFile":
        """Raises: UsageProblem: it cannot be read, or is no text."""
        try:
            content = path.read_bytes()
            content.decode()
        except OSError as error:
            raise UsageProblem(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise UsageProblem(f"{path} is not UTF-8 text: {error}.") from error
        return cls(path, content)

    @property
    def text(self) -> str:
        return self.content.removeprefix(MARK).decode().replace("\r\n", "\n")

    def replace(self, text: str) -> None:
        """Writes `text` in its place: with its line ends, its mark, its mode, where a link leads.

        Raises:
            UsageProblem: it was changed since it was read. NotConfigured: it cannot be written.
        """
        if SourceFile.read(self.path).content != self.content:
            raise UsageProblem(f"{self.path} was changed meanwhile; it was left as it is.")
        mark = MARK if self.content.startswith(MARK) else b""
        ends = text.replace("\n", "\r\n") if b"\r\n" in self.content else text
        content = mark + ends.encode()
        _remember(self.path.resolve(), self.content, content)
        _write(self.path, content)


def undo() -> ExitCode:
    """Takes the newest change back.

    Raises:
        UsageProblem: there is none, or the file was changed since.
    """
    records = _records()
    if not records:
        raise UsageProblem("There is nothing to undo.")
    record = json.loads(records[-1].read_text(encoding="utf-8"))
    path = Path(record["path"])
    if not path.exists() or _sha256(path.read_bytes()) != record["after_sha256"]:
        raise UsageProblem(f"{path} was changed since; it was left as it is. What it was before is in {records[-1]}.")
    _write(path, base64.b64decode(record["before"]))
    records[-1].unlink()
    print(f"{path} is as it was before.")
    return ExitCode.VERIFIED


def _write(path: Path, content: bytes) -> None:
    target = path.resolve()
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
        write_atomically(target, content.decode(), mode)
        target.chmod(mode)
    except OSError as error:
        raise NotConfigured(f"{path} cannot be written: {error.strerror}.") from error


def _remember(path: Path, before: bytes, after: bytes) -> None:
    folder = state_dir() / "undo"
    folder.mkdir(mode=0o700, exist_ok=True)
    record = {"path": str(path), "before": base64.b64encode(before).decode(), "after_sha256": _sha256(after)}
    numbers = [int(file.stem) for file in _records()]
    write_atomically(folder / f"{max(numbers, default=0) + 1:08d}.json", json.dumps(record), FOR_ONE_USER)
    for old in _records()[:-KEPT]:
        old.unlink(missing_ok=True)


def _records() -> list[Path]:
    folder = state_dir() / "undo"
    return sorted(folder.glob("[0-9]*.json")) if os.path.isdir(folder) else []


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
