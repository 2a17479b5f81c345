"""What happened, one JSON line for each task and arm, on disk before the next task begins.

A line is written whole or, when the machine stops in that moment, torn; a torn last line is dropped by the next reader.
Where a task was done again, its last line counts.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kitty_evals.errors import UsageProblem

ArmName = Literal["raw", "tier"]
Key = tuple[str, ArmName, str | None, str]
FILE_NAME = "records.jsonl"
UNAVAILABLE = frozenset({"model_unavailable", "sandbox_unavailable", "connection_lost"})
"""Error codes of a machine that failed, not of an answer: `--resume` does such a task again."""


@dataclass(frozen=True)
class Spent:
    """Tokens and time of one answer. `prefill_tokens` were computed, `cached_tokens` found in the server's cache."""

    prefill_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    total_seconds: float = 0.0
    """Of the whole job, as the service counts it."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of the model alone, by step."""

    @property
    def paid_tokens(self) -> int:
        """What the machine had to compute."""
        return self.prefill_tokens + self.completion_tokens

    @property
    def model_seconds(self) -> float:
        """Of the model alone; of the whole job where the answer does not tell them apart."""
        return sum(self.seconds.values()) if self.seconds else self.total_seconds

    @classmethod
    def read(cls, usage: object) -> "Spent | None":
        """The `usage` of a response, in so far as it is there."""
        if not isinstance(usage, Mapping):
            return None
        steps = usage.get("seconds")
        numbers = {name: usage[name] for name in cls.__annotations__ if isinstance(usage.get(name), int | float)}
        return cls(**numbers, seconds=dict(steps) if isinstance(steps, Mapping) else {})


@dataclass(frozen=True)
class Record:
    """One task solved by one arm."""

    task: str
    arm: ArmName
    tier: str | None
    model: str
    right: bool | None
    """Whether the hidden tests pass; None where the sandbox could not tell."""
    grade: str
    """The sandbox's outcome with the hidden tests; `not_run` where there was nothing to run."""
    wall_seconds: float
    """From the question to the answer, without the grading."""
    job_id: str | None = None
    verdict: str | None = None
    confidence: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    usage: Spent | None = None
    code: str = ""
    error: str | None = None
    error_code: str | None = None
    answered_by: str | None = None
    """The model's name in the answer."""
    model_sha256: str | None = None
    file: str | None = None
    """Name of the task file; None, as `task_sha256`, in records of before there was this field."""
    task_sha256: str | None = None

    @property
    def key(self) -> Key:
        return (self.task, self.arm, self.tier, self.model)

    @property
    def is_settled(self) -> bool:
        """False where only the machine failed."""
        return self.right is not None and self.error_code not in UNAVAILABLE


class RecordFile:
    """Appends to `records.jsonl` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it, or no file."""
        return not self.path.exists() or not self.path.stat().st_size

    def read(self) -> list[Record]:
        """What is recorded already; nothing is changed.

        Raises:
            UsageProblem: the file cannot be read, or a line before the last is not a record.
        """
        return [] if self.is_empty else read_records(self.path)

    def open(self) -> None:
        """Makes the folder, and cuts a torn last line off, so that the next one is whole.

        Raises:
            UsageProblem: there can be no such folder.
        """
        make_folder(self.path.parent)
        if not self.is_empty:
            whole = self.path.read_bytes().rfind(b"\n") + 1
            with self.path.open("rb+") as file:
                file.truncate(whole)

    def append(self, record: Record) -> None:
        """Returns when the line is on the disk."""
        with self.path.open("ab") as file:
            file.write(json.dumps(asdict(record)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def make_folder(folder: Path) -> None:
    """Raises `UsageProblem` where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageProblem(f"{folder} cannot be the folder of records and report: {error.strerror}.") from error


def read_records(path: Path) -> list[Record]:
    """The last record of each task and arm, in order of their first.

    Raises:
        UsageProblem: the file cannot be read, or a line before the last is not a record.
    """
    try:
        *lines, _torn = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path} cannot be read: {error}.") from error
    return latest(_record(line, f"{path}:{number}") for number, line in enumerate(lines, start=1))


def latest(records: Iterable[Record]) -> list[Record]:
    return list({record.key: record for record in records}.values())


def _record(line: str, place: str) -> Record:
    try:
        row = json.loads(line)
        return Record(**row | {"usage": Spent(**row["usage"]) if row["usage"] else None})
    except (ValueError, TypeError, KeyError) as error:
        raise UsageProblem(f"{place}: the line is not a record ({error}).") from error
