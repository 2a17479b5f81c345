"""Files this command line keeps for itself: the XDG state directory, the record of what it left running."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kitty_core.state import state_dir


@dataclass(frozen=True)
class Wanted:
    """What a resident was started for."""

    fingerprint: str
    """Two of the same hash can stand in for each other; see `fingerprint`."""
    kind: str
    """`servers` or `embedded`: where its models are."""
    model: str = ""
    """Alias or path the embedded engine began with; empty for `servers`."""
    advised: bool = False
    """Nobody named that model: it was chosen for this machine."""


@dataclass(frozen=True)
class Resident:
    """A coder-agent that a command line started and left running."""

    pid: int
    created: float
    """When the process began, seconds since the epoch: with the pid it names one process."""
    base_url: str
    wanted: Wanted
    started: str
    """ISO 8601, UTC."""


def log_file() -> Path:
    return state_dir() / "coder-agent.log"


def record_file() -> Path:
    return state_dir() / "resident.json"


def read_residents() -> list[Resident]:
    """Those on record, alive or not. A file that cannot be understood counts as none."""
    try:
        document = json.loads(record_file().read_text(encoding="utf-8"))
        return [Resident(**entry | {"wanted": Wanted(**entry["wanted"])}) for entry in document["residents"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_residents(residents: Sequence[Resident]) -> None:
    text = json.dumps({"residents": [asdict(resident) for resident in residents]}, indent=2)
    write_atomically(record_file(), text + "\n", mode=0o600)


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """A reader sees the old file or the new one, never half of one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
