"""Reading the whole chain in a database, in batches, and naming the first place where it does not hold.

the key ─> no two rows claim one place ─> row after row from the first ─> rows that were not reached
        ─> the head row ─> the head file ─> the prompts
"""

from collections.abc import Container, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, exists, func, literal, select
from sqlalchemy.exc import DataError

from kitty_core.audit.chain import (
    EMPTY,
    Break,
    Chain,
    Head,
    Verification,
    head_mac,
    is_own,
    key_id,
    prompt_mac,
    row_hash,
)
from kitty_core.audit.records import Entry
from kitty_core.audit.table import as_entry, audit_head, invocation_prompts, tool_invocations

BATCH = 500
ROWS = tool_invocations.c


def verify(connection: Connection, key: bytes, seen: Head | Exception | None, batch: int = BATCH) -> Verification:
    """What the chain shows, read through `connection` (of `reading`).

    `seen` is what the head file says: a head, why it cannot be believed, or None where there is none.
    """
    row = connection.execute(select(audit_head)).mappings().one_or_none()
    head = Head(row["count"], row["row_hash"]) if row else EMPTY
    broken = _other_key(row, key) or _doubled(connection)
    if broken:
        return Verification(0, head, broken)
    way = _Walk(connection, key, seen.count if isinstance(seen, Head) else 0, batch)
    broken = way.to_the_end() or way.unreached()
    if broken is None and way.head != EMPTY and (row is None or not is_own(row["mac"], head_mac(key, head))):
        broken = Break("head", "the head in the database is not as it was written")
    broken = broken or _against_head(way.head, head) or _against_file(way, seen) or _prompts(connection, key)
    return Verification(way.head.count, head, broken, _notes(way.head, seen))


class _Walk:
    """From the first row along the chain."""

    def __init__(self, connection: Connection, key: bytes, marked: int, batch: int) -> None:
        self._connection = connection
        self._key = key
        self._chain = Chain(key)
        self._marked = marked
        self._batch = batch
        self.at_mark: Entry | None = None
        """The row whose position is `marked`, once it was passed."""

    @property
    def head(self) -> Head:
        return self._chain.head

    def to_the_end(self) -> Break | None:
        """Until no row follows, or the first that is wrong."""
        try:
            return self._along(self._batch)
        except (DataError, ValueError):  # a value that Python has not, such as a time without end, in this batch
            pass
        try:
            return self._along(1)
        except (DataError, ValueError):
            next_one = select(ROWS.id).where(ROWS.prev_hash == self.head.row_hash)
            id = self._connection.execute(next_one).scalar_one()
            position = self.head.count + 1
            return Break("changed", f"row {position} ({id}) holds what no program has written", id, position)

    def _along(self, batch: int) -> Break | None:
        for entry in in_order(self._connection, self.head.row_hash, batch):
            broken = self._chain.follow(entry)
            if broken:
                return self._moved(broken, entry) or broken
            if self.head.count == self._marked:
                self.at_mark = entry
        return None

    def unreached(self) -> Break | None:
        """What the rows show that the chain does not lead to."""
        missing = self._connection.execute(select(func.count()).select_from(tool_invocations)).scalar_one()
        missing -= self.head.count
        if missing == 0:
            return None
        position = self.head.count + 1
        orphan = self._connection.execute(_orphans()).mappings().first()
        if orphan is None:
            return Break("changed", f"{missing} rows follow one another in a ring, behind row {position - 1}")
        entry = as_entry(orphan)
        broken = Chain(self._key, Head(self.head.count, entry.prev_hash)).follow(entry)
        if broken:
            return broken
        text = f"behind row {position - 1} at least one row was removed: the next that is there is {entry.id}"
        return Break("removed", text, entry.id, position)

    def _moved(self, broken: Break, entry: Entry) -> Break | None:
        """Whether what stands in this place was written, but for another one."""
        places = select(ROWS.prev_hash, ROWS.row_hash).execution_options(yield_per=self._batch)
        with self._connection.execute(places) as rows:
            if any(is_own(there, row_hash(self._key, entry.columns, prev_hash)) for prev_hash, there in rows):
                text = f"row {broken.position} ({entry.id}) was written for another place: rows were reordered"
                return replace(broken, kind="reordered", text=text)
        return None


def in_order(connection: Connection, after: str = EMPTY.row_hash, batch: int = BATCH) -> Iterator[Entry]:
    """The rows in the order of the chain, from the one behind the hash `after` to where none follows."""
    while True:
        rows = connection.execute(_following(after, batch)).mappings().all()
        yield from map(as_entry, rows)
        if len(rows) < batch:
            return
        after = rows[-1]["row_hash"]


def reachable(connection: Connection, total: int) -> Iterator[Entry]:
    """The rows in the order of the chain, however it was broken: never more than `total`; none where it forks."""
    return iter(()) if _doubled(connection) else islice(in_order(connection), total)


def unreached_by(connection: Connection, reached: Container[str]) -> Iterator[Entry]:
    """The rows whose hash is not among `reached`, the oldest first."""
    rows = select(tool_invocations).order_by(ROWS.created_at, ROWS.id).execution_options(yield_per=BATCH)
    with connection.execute(rows) as found:
        yield from (entry for entry in map(as_entry, found.mappings()) if entry.row_hash not in reached)


def _following(after: str, batch: int) -> Select[Any]:
    """Up to `batch` rows behind the one with the hash `after`."""
    place = select(literal(0).label("depth"), literal(after).label("row_hash")).cte("place", recursive=True)
    step = select(place.c.depth + 1, ROWS.row_hash).where(ROWS.prev_hash == place.c.row_hash, place.c.depth < batch)
    place = place.union_all(step)
    rows = select(tool_invocations).join(place, place.c.row_hash == ROWS.row_hash)
    return rows.where(place.c.depth > 0).order_by(place.c.depth)


def _orphans() -> Select[Any]:
    """Rows that follow one that is not there; the oldest first."""
    before = tool_invocations.alias()
    alone = ~exists().where(before.c.row_hash == ROWS.prev_hash)
    rows = select(tool_invocations).where(alone, ROWS.prev_hash != EMPTY.row_hash)
    return rows.order_by(ROWS.created_at, ROWS.id).limit(1)


def _other_key(row: RowMapping | None, key: bytes) -> Break | None:
    if row is None or row["key_id"] in ("", key_id(key)):
        return None
    return Break("other_key", "the chain was written with another key than this AUDIT_KEY")


def _doubled(connection: Connection) -> Break | None:
    """Two rows that claim the same place. The tables refuse it, so their indexes are gone."""
    for column in (ROWS.prev_hash, ROWS.row_hash, ROWS.id):
        twice = select(func.min(ROWS.id)).group_by(column).having(func.count() > 1).limit(1)
        id = connection.execute(twice).scalar_one_or_none()
        if id is not None:
            return Break("doubled", f"another row claims the place of row {id}", id)
    return None


def _against_head(found: Head, head: Head) -> Break | None:
    if found.count < head.count:
        text = f"{head.count - found.count} rows were cut off at the end: {found.count} of {head.count} are there"
        return Break("cut_off", text, None, found.count + 1)
    if found != head:
        return Break("head", f"the head in the database names row {head.count}, but {found.count} rows are there")
    return None


def _against_file(walk: _Walk, seen: Head | Exception | None) -> Break | None:
    if isinstance(seen, Exception):
        return Break("head", f"the head file cannot be believed: {seen}")
    if seen is None:
        lost = "the head file is missing: rows cut off at the end could not be noticed"
        return Break("head_missing", lost) if walk.head != EMPTY else None
    if seen.count > walk.head.count:
        text = f"rows were cut off at the end: {walk.head.count} are there, the head file has seen {seen.count}"
        return Break("cut_off", text, None, walk.head.count + 1)
    if walk.at_mark is not None and walk.at_mark.row_hash != seen.row_hash:
        text = (
            f"row {seen.count} is not the one that the head file has seen: rows were cut off and others written since"
        )
        return Break("cut_off", text, walk.at_mark.id, seen.count)
    return None


def _prompts(connection: Connection, key: bytes) -> Break | None:
    kept = select(invocation_prompts).execution_options(yield_per=BATCH)
    with connection.execute(kept) as prompts:
        for id, prompt, mac in prompts:
            if not is_own(mac, prompt_mac(key, id, prompt)):
                return Break("changed", f"the prompt of row {id} is not as it was written", id)
    return None


def _notes(found: Head, seen: Head | Exception | None) -> tuple[str, ...]:
    if isinstance(seen, Head) and seen.count < found.count:
        behind = found.count - seen.count
        return (f"the head file is {behind} rows behind: of those, only the database's own head tells a cut tail",)
    return ()
