"""The trail as a file that someone with the key can verify elsewhere: one row a line in the order of the chain, then
the head.

    {"row": {…all columns…}}
    {"head": {"count": n, "row_hash": "…", "mac": "…"}}
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Engine, func, select

from kitty_core.audit.chain import EMPTY, Break, Chain, Head, Verification, head_mac, is_own
from kitty_core.audit.records import COLUMNS, Entry
from kitty_core.audit.table import audit_head, tool_invocations
from kitty_core.audit.verification import reachable, unreached_by
from kitty_core.database import reading


def export(engine: Engine) -> Iterator[str]:
    """The lines, without their ends. A chain that is broken is exported as it is: the rows that it leads to, then the
    others by their time.
    """
    with reading(engine) as connection:
        total = connection.execute(select(func.count()).select_from(tool_invocations)).scalar_one()
        count = 0
        for count, entry in enumerate(reachable(connection, total), 1):  # noqa: B007
            yield json.dumps({"row": entry.as_dict()})
        if count < total:
            reached = {entry.row_hash for entry in reachable(connection, total)}
            for entry in unreached_by(connection, reached):
                yield json.dumps({"row": entry.as_dict()})
        head = connection.execute(select(audit_head)).mappings().one_or_none()
        if head is not None:
            yield json.dumps({"head": {name: head[name] for name in ("count", "row_hash", "mac")}})


def verify_export(lines: Iterable[str], key: bytes) -> Verification:
    """What an exported trail shows. It says nothing about rows that were written after the export."""
    rows: list[Entry] = []
    head: dict[str, Any] | None = None
    for number, line in enumerate(lines, 1):
        document = _read(line)
        if head is not None or document is None:
            broken = Break("changed", f"line {number} is no row of an audit trail, or stands behind its head")
            return Verification(0, EMPTY, broken)
        if "head" in document:
            head = document["head"]
        else:
            rows.append(_entry(document["row"]))
    return _follow(rows, head, key)


def _follow(rows: list[Entry], head: dict[str, Any] | None, key: bytes) -> Verification:
    chain = Chain(key)
    for index, entry in enumerate(rows):
        broken = chain.follow(entry)
        if broken:
            return Verification(chain.head.count, _head(head), _named(broken, chain.head, rows[index:]))
    return Verification(chain.head.count, _head(head), _against_head(chain.head, head, key))


def _named(broken: Break, reached: Head, rest: list[Entry]) -> Break:
    """A row in the wrong place: moved, where the one that belongs there comes later; else that one was removed."""
    if broken.kind != "reordered" or any(entry.prev_hash == reached.row_hash for entry in rest):
        return broken
    text = f"behind row {reached.count} at least one row was removed: the next that is there is {broken.id}"
    return Break("removed", text, broken.id, broken.position)


def _against_head(found: Head, head: dict[str, Any] | None, key: bytes) -> Break | None:
    if head is None:
        return Break("cut_off", "the line with the head is missing: the file was cut off", None, found.count + 1)
    named = _head(head)
    if named.count and not is_own(str(head.get("mac")), head_mac(key, named)):
        return Break("head", "the head is not as it was written, or the key is another")
    if found.count < named.count:
        text = f"{named.count - found.count} rows were cut off at the end: {found.count} of {named.count} are there"
        return Break("cut_off", text, None, found.count + 1)
    return None if found == named else Break("head", f"the head names row {named.count}, {found.count} are there")


def _head(head: dict[str, Any] | None) -> Head:
    return Head(head["count"], head["row_hash"]) if head else EMPTY


def _read(line: str) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
        if "head" in document:
            Head(document["head"]["count"] + 0, document["head"]["row_hash"] + "")
        else:
            _entry(document["row"])
    except (ValueError, TypeError, KeyError):
        return None
    return dict(document)


def _entry(row: dict[str, Any]) -> Entry:
    return Entry({name: row[name] for name in COLUMNS}, str(row["prev_hash"]), str(row["row_hash"]))
