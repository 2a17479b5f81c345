"""What the audit trail is made of: an invocation as it is reported, and the entry that it becomes."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from uuid import uuid4

Decision = Literal["allowed", "confirmed", "denied", "blocked", "expired", "cancelled"]
Status = Literal["ok", "failed", "error", "timeout"]
MOST_CHARACTERS = 500
MOST = 2**31 - 1
ID = re.compile("[0-9a-f]{32}")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
"""Control characters, ends of lines, and halves of surrogate pairs."""
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Invocation:
    """One call of a tool, however it ended. Holds no prompt and no arguments, only the hash of them.

    Texts are cleaned when it is made: control characters become a space, and what is longer than 500 is cut.

    Raises:
        ValueError: `decision` or `status` is none there is, `created_at` has no time zone, `id` is not 32 hex digits,
            or a number has no place in 32 bits.
    """

    request_id: str
    tool: str
    user_id: str
    decision: Decision
    status: Status | None = None
    """None where nothing was run, as after a refusal."""
    job_id: str | None = None
    """At most one row has a given job: the first one stays."""
    conversation_id: str | None = None
    args_sha256: str | None = None
    """Of `arguments_sha256`."""
    hazard_class: str | None = None
    verdict: str | None = None
    tests_passed: bool | None = None
    refinements: int | None = None
    latency_ms: int | None = None
    model: str | None = None
    model_sha256: str | None = None
    sandbox_tier: str | None = None
    code_sha256: str | None = None
    error: str | None = None
    """The kind of failure in a few words; never a prompt, an argument or a secret."""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = field(default_factory=lambda: uuid4().hex)
    """A row is written once for each id, however often it is handed in."""

    def __post_init__(self) -> None:
        if self.decision not in get_args(Decision) or self.status not in (*get_args(Status), None):
            raise ValueError(f"no such decision or status: {self.decision}, {self.status}")
        if self.created_at.tzinfo is None:
            raise ValueError("created_at wants a time zone")
        if not ID.fullmatch(self.id):
            raise ValueError("id wants 32 hexadecimal digits")
        if max(abs(self.refinements or 0), abs(self.latency_ms or 0)) > MOST:
            raise ValueError("refinements and latency_ms want to be below 2**31")
        object.__setattr__(self, "created_at", self.created_at.astimezone(UTC))
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, str):
                object.__setattr__(self, part.name, clean(value))


@dataclass(frozen=True)
class Entry:
    """A row of the trail with its place in the chain: what is stored, even where someone has changed it."""

    columns: Mapping[str, Any]
    """As `as_dict` of the invocation gives them."""
    prev_hash: str
    """`row_hash` of the row before it; 64 zeros for the first."""
    row_hash: str

    @property
    def id(self) -> str:
        """The row's own id."""
        return str(self.columns["id"])

    def as_dict(self) -> dict[str, Any]:
        """All columns in the order of the contract; `created_at` as text, UTC with microseconds."""
        return {**self.columns, "prev_hash": self.prev_hash, "row_hash": self.row_hash}


def as_dict(invocation: Invocation) -> dict[str, Any]:
    """The columns by name, in the order of the contract; `created_at` as text, UTC with microseconds."""
    return {name: getattr(invocation, name) for name in COLUMNS} | {"created_at": in_utc(invocation.created_at)}


def from_dict(columns: Mapping[str, Any]) -> Invocation:
    """The inverse of `as_dict`; other keys are ignored.

    Raises:
        KeyError, TypeError, ValueError: it is no such dict.
    """
    values = {name: columns[name] for name in COLUMNS}
    return Invocation(**values | {"created_at": datetime.fromisoformat(values["created_at"])})


def read_moment(text: str) -> datetime:
    """ISO 8601, such as 2026-01-31 or 2026-01-31T08:00:00+01:00; without a zone: UTC.

    Raises:
        ValueError: it is no moment.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("wants a moment in ISO 8601, such as 2026-01-31T08:00:00Z") from None


def in_utc(moment: datetime) -> str:
    """The same text for the same moment, whatever database it went through."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clean(text: str, most: int = MOST_CHARACTERS) -> str:
    """`text` on one line, without what a terminal would obey, at most `most` characters."""
    plain = UNPRINTABLE.sub(" ", text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def storable(text: str) -> str:
    """`text` with U+FFFD for what no database takes: NUL, and halves of surrogate pairs."""
    return UNSTORABLE.sub("\ufffd", text)


def arguments_sha256(arguments: object) -> str:
    """The hash of JSON-like `arguments`: equal for equal values, whatever the order of their keys."""
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


COLUMNS = (
    "id",
    "request_id",
    "job_id",
    "conversation_id",
    "user_id",
    "tool",
    "args_sha256",
    "hazard_class",
    "decision",
    "status",
    "verdict",
    "tests_passed",
    "refinements",
    "latency_ms",
    "model",
    "model_sha256",
    "sandbox_tier",
    "code_sha256",
    "error",
    "created_at",
)
"""Those of an invocation, in the order of the contract."""
