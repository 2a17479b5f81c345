"""The keyed hash chain. Pure: rows and keys come in, hashes and findings go out.

row_hash = HMAC-SHA256(key, canonical(all other columns, prev_hash included))

    64 zeros <─ row 1 <─ row 2 <─ … <─ row n <─ head (n, its hash, its own HMAC)

What it shows: whoever changes, removes, adds or moves a row without the key is found. Rows cut off at the end are found
by a head that is kept elsewhere. What it does not show: who holds the key can write another history, and nothing says
that a row was ever handed in.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kitty_core.audit.records import Entry, Invocation, as_dict

GENESIS = "0" * 64
"""The hash before the first row."""
Kind = Literal["changed", "removed", "cut_off", "reordered", "doubled", "head", "head_missing", "other_key"]


@dataclass(frozen=True)
class Head:
    """The end of the chain."""

    count: int
    row_hash: str
    """Of the last row; 64 zeros where there is none."""

    def as_dict(self) -> dict[str, Any]:
        return {"count": self.count, "row_hash": self.row_hash}


@dataclass(frozen=True)
class Break:
    """The first place where the chain does not hold."""

    kind: Kind
    text: str
    """What was found, in plain words."""
    id: str | None = None
    """Of the first row that is wrong, or that a removed one is missing before."""
    position: int | None = None
    """Of that row, counted from 1."""

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": self.text, "id": self.id, "position": self.position}


@dataclass(frozen=True)
class Verification:
    """What reading the whole chain has shown."""

    rows: int
    """Rows that were found whole, from the first on."""
    head: Head
    """As the database, or the file, has it."""
    broken: Break | None = None
    notes: tuple[str, ...] = ()
    """What is no break but worth a look, such as a head file that lags behind."""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken is None

    def as_dict(self) -> dict[str, Any]:
        broken = self.broken.as_dict() if self.broken else None
        return {"whole": self.whole, "rows": self.rows, "head": self.head.as_dict(), "broken": broken} | {
            "notes": list(self.notes)
        }


EMPTY = Head(0, GENESIS)


def canonical(values: Mapping[str, Any]) -> bytes:
    """One encoding for one set of values: JSON in ASCII with sorted keys and nothing between."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def row_hash(key: bytes, columns: Mapping[str, Any], prev_hash: str) -> str:
    """The hash of a row with `columns` (as `records.as_dict` gives them) that follows `prev_hash`: 64 hex digits."""
    return _mac(key, "row", {**columns, "prev_hash": prev_hash})


def chained(key: bytes, invocation: Invocation, prev_hash: str) -> Entry:
    """`invocation` as the row that follows `prev_hash`."""
    columns = as_dict(invocation)
    return Entry(columns, prev_hash, row_hash(key, columns, prev_hash))


def head_mac(key: bytes, head: Head) -> str:
    """What shows that a head was written by someone with the key."""
    return _mac(key, "head", head.as_dict())


def prompt_mac(key: bytes, id: str, prompt: str) -> str:
    """What shows that a stored prompt is the one of row `id`."""
    return _mac(key, "prompt", {"id": id, "prompt": prompt})


def key_id(key: bytes) -> str:
    """Names a key without telling it."""
    return _mac(key, "key", {})[:16]


def is_own(mac: str, other: str) -> bool:
    """Whether two are equal, in constant time."""
    return hmac.compare_digest(mac.encode(), other.encode())


def _mac(key: bytes, what: str, values: Mapping[str, Any]) -> str:
    # What it is for is part of it: none can be passed off as another.
    return hmac.new(key, f"kitty audit {what} 1\n".encode() + canonical(values), hashlib.sha256).hexdigest()


class Chain:
    """Follows the chain row by row."""

    def __init__(self, key: bytes, head: Head = EMPTY) -> None:
        self._key = key
        self.head = head
        """The last row that was whole."""

    def follow(self, entry: Entry) -> Break | None:
        """Takes the next row, or says what is wrong with it."""
        position = self.head.count + 1
        place = f"row {position} ({entry.id})"
        if entry.prev_hash != self.head.row_hash:
            return Break("reordered", f"{place} does not follow the row before it", entry.id, position)
        if not is_own(entry.row_hash, row_hash(self._key, entry.columns, entry.prev_hash)):
            text = f"{place} is not as it was written: it was changed, or added without the key"
            return Break("changed", text, entry.id, position)
        self.head = Head(position, entry.row_hash)
        return None
