"""The audit trail on SQLite and on PostgreSQL: one row each, one chain, and whoever touches it is found."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from kitty_core.audit import AuditUnavailable
from kitty_core.audit.chain import Head, chained, head_mac, key_id
from kitty_core.audit.head_file import HeadFile
from kitty_core.audit.records import as_dict
from kitty_core.errors import ConfigurationError

WITHIN_SEC = 100
WRITES = """
import sys
from pathlib import Path
from kitty_core.audit import Invocation, SqlAuditLog
from kitty_core.database import database_url, open_database
address, head_file, count = sys.argv[1:]
engine = open_database(database_url({"DATABASE_URL": address}, "audit"), lock_within_sec=60)
log = SqlAuditLog(engine, b"k" * 32, Path(head_file))
for number in range(int(count)):
    log.append(Invocation(str(number), "coding.generate", "local", "allowed", "ok"))
engine.dispose()
"""
EVERY_COLUMN = {
    "id": "0123456789abcdef" * 2,
    "request_id": "r-1",
    "job_id": "j-1",
    "conversation_id": "Gespräch 会話 🐈",
    "user_id": "o'neill",
    "tool": "coding.generate",
    "args_sha256": "a" * 64,
    "hazard_class": "low",
    "decision": "confirmed",
    "status": "timeout",
    "verdict": "not_verified",
    "tests_passed": False,
    "refinements": 2,
    "latency_ms": 2**31 - 1,
    "model": "kitty-coder",
    "model_sha256": "b" * 64,
    "sandbox_tier": "full",
    "code_sha256": "c" * 64,
    "error": 'x" \\ \x00\x1b[31m\nred \ud800',
    "created_at": datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=timezone(timedelta(hours=9))),
}


def test_a_row_has_exactly_the_columns_of_the_contract_and_comes_back_as_it_was_written(trail, make_invocation):
    trail.log.append(make_invocation(**EVERY_COLUMN))
    [entry] = trail.log.entries()
    expected = EVERY_COLUMN | {"error": 'x" \\  [31m red  ', "created_at": "2026-03-03T20:06:07.000089Z"}
    assert entry.as_dict() == expected | {"prev_hash": "0" * 64, "row_hash": entry.row_hash}
    assert list(entry.as_dict()) == [*EVERY_COLUMN, "prev_hash", "row_hash"] == list(trail.rows()[0])
    assert trail.log.verify().whole


def test_entries_are_the_newest_that_match(trail, make_invocation):
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for hour, (tool, user) in enumerate([("a", "u"), ("a", "v"), ("b", "u"), ("a", "u")]):
        trail.log.append(make_invocation(tool=tool, user_id=user, created_at=noon + timedelta(hours=hour)))

    def hours(**wanted):
        return [int(entry.columns["created_at"][11:13]) - 12 for entry in trail.log.entries(**wanted)]

    assert hours() == [3, 2, 1, 0]
    assert hours(limit=2) == [3, 2]
    assert hours(tool="a", user_id="u") == [3, 0]
    assert hours(since=noon + timedelta(hours=2)) == [3, 2]
    assert trail.log.head() == Head(4, trail.column("row_hash")[-1])


def test_the_same_row_handed_in_again_is_not_written_again(trail, make_invocation):
    row = make_invocation()
    for _ in range(3):
        trail.log.append(row)
    assert trail.column("id") == [row.id]


def test_a_job_has_one_row_and_the_first_one_stays(trail, make_invocation):
    trail.log.append(make_invocation(job_id="j", status="ok"))
    trail.log.append(make_invocation(job_id="j", status="error"))
    trail.log.append(make_invocation(job_id=None))
    trail.log.append(make_invocation(job_id=None))
    assert trail.column("status") == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tool_invocations SET tool = 'x'",
        "DELETE FROM tool_invocations",
        "DELETE FROM audit_head",
        "INSERT INTO tool_invocations SELECT * FROM tool_invocations",
    ],
)
def test_the_tables_refuse_to_change_or_lose_a_row(trail, statement):
    trail.write(2)
    with pytest.raises(IntegrityError), trail.engine.begin() as connection:
        connection.execute(text(statement))
    assert trail.log.verify().whole


def test_no_other_way_to_empty_or_replace_is_open(trail):
    trail.write(2)
    postgres = trail.url.get_backend_name() == "postgresql"
    other = "TRUNCATE tool_invocations" if postgres else "REPLACE INTO tool_invocations SELECT * FROM tool_invocations"
    with pytest.raises(IntegrityError), trail.engine.begin() as connection:
        connection.execute(text(other))


def test_fifty_threads_keep_the_chain_whole(trail, make_invocation):
    rows = [make_invocation() for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(trail.log.append, rows))
    assert set(trail.column("id")) == {row.id for row in rows}
    found = trail.log.verify()
    assert (found.whole, found.rows, found.notes) == (True, 50, ())


def test_four_processes_keep_the_chain_whole(trail, processes):
    head_file = trail.folder / "head.json"
    running = [processes(WRITES, trail.address, head_file, 15) for _ in range(4)]
    assert [process.communicate(timeout=WITHIN_SEC)[1] for process in running] == [b""] * 4
    found = trail.log.verify()
    assert (found.whole, found.rows, found.notes) == (True, 60, ())
    assert json.loads(head_file.read_text())["count"] == 60
    assert head_file.stat().st_mode & 0o777 == 0o600


def test_two_machines_with_a_head_file_each_share_one_chain(trail, make_invocation):
    here, there = trail.opened(head_file="here.json"), trail.opened(head_file="there.json")
    for log in (here, there, here, there, there):
        log.append(make_invocation())
    assert there.verify().notes == ()
    assert here.verify().whole
    assert "2 rows behind" in here.verify().notes[0]


@pytest.mark.parametrize("change", ["tool = 'other'", "error = 'x'", "tests_passed = true", "latency_ms = 1"])
def test_a_changed_row_is_found(trail, change):
    ids = trail.write(5)
    trail.tamper(f"UPDATE tool_invocations SET {change} WHERE id = :id", id=ids[2])
    broken = trail.log.verify().broken
    assert (broken.kind, broken.id, broken.position) == ("changed", ids[2], 3)
    assert ids[2] in broken.text


def test_the_last_row_changed_is_found(trail):
    ids = trail.write(3)
    trail.tamper("UPDATE tool_invocations SET user_id = 'x' WHERE id = :id", id=ids[-1])
    assert trail.log.verify().broken.id == ids[-1]


def test_a_moved_time_is_found(trail):
    ids = trail.write(3)
    trail.tamper("UPDATE tool_invocations SET created_at = '2020-01-01T00:00:00.000000Z' WHERE id = :id", id=ids[0])
    assert trail.log.verify().broken.id == ids[0]


def test_a_removed_row_is_found_by_the_one_behind_it(trail):
    ids = trail.write(5)
    trail.tamper("DELETE FROM tool_invocations WHERE id = :id", id=ids[2])
    broken = trail.log.verify().broken
    assert (broken.kind, broken.id, broken.position) == ("removed", ids[3], 3)


def test_the_first_row_removed_is_found(trail):
    ids = trail.write(3)
    trail.tamper("DELETE FROM tool_invocations WHERE id = :id", id=ids[0])
    broken = trail.log.verify().broken
    assert (broken.kind, broken.id, broken.position) == ("removed", ids[1], 1)


def test_rows_cut_off_at_the_end_are_found_by_the_head_row(trail):
    ids = trail.write(5)
    (trail.folder / "head.json").unlink()
    trail.tamper("DELETE FROM tool_invocations WHERE id IN (:last, :before)", last=ids[4], before=ids[3])
    found = trail.log.verify()
    assert (found.broken.kind, found.broken.position, found.rows) == ("cut_off", 4, 3)


@pytest.fixture
def cut_with_an_older_head(trail):
    """Five rows, of which two were cut off, with the head row put back to what it was then."""
    ids = trail.write(3)
    with trail.engine.connect() as connection:
        older = dict(connection.execute(text("SELECT * FROM audit_head")).mappings().one())
    ids += trail.write(2)
    trail.tamper("DELETE FROM tool_invocations WHERE id IN (:last, :before)", last=ids[4], before=ids[3])
    trail.tamper("UPDATE audit_head SET count = :count, row_hash = :row_hash, mac = :mac", **older)
    return trail


def test_rows_cut_off_with_the_head_put_back_are_found_by_the_head_file(cut_with_an_older_head):
    broken = cut_with_an_older_head.log.verify().broken
    assert (broken.kind, broken.position) == ("cut_off", 4)
    assert "3 are there, the head file has seen 5" in broken.text


@pytest.mark.parametrize("since", [1, 2, 4])
def test_rows_written_after_the_cut_do_not_cover_it(cut_with_an_older_head, since):
    cut_with_an_older_head.write(since)
    found = cut_with_an_older_head.log.verify()
    assert (found.broken.kind, found.rows) == ("cut_off", 3 + since)


def test_all_rows_gone_are_found(trail):
    trail.write(2)
    trail.tamper(
        "DELETE FROM tool_invocations",
        f"UPDATE audit_head SET count = 0, row_hash = '{'0' * 64}', mac = '', key_id = ''",
    )
    assert trail.log.verify().broken.kind == "cut_off"


def test_two_rows_that_changed_places_are_found(trail):
    ids = trail.write(5)
    second, fourth = (next(row for row in trail.rows() if row["id"] == ids[place]) for place in (1, 3))
    put = "UPDATE tool_invocations SET prev_hash = :{0}p, row_hash = :{0}r WHERE id = :{0}i"
    trail.tamper(
        "UPDATE tool_invocations SET prev_hash = 'x', row_hash = 'x' WHERE id = :ai",
        put.format("b"),
        put.format("a"),
        **{"ai": ids[1], "ap": fourth["prev_hash"], "ar": fourth["row_hash"]},
        **{"bi": ids[3], "bp": second["prev_hash"], "br": second["row_hash"]},
    )
    broken = trail.log.verify().broken
    assert (broken.kind, broken.id, broken.position) == ("reordered", ids[3], 2)


def test_a_row_added_with_another_key_is_found(trail, make_invocation):
    trail.write(2)
    forged = chained(b"x" * 32, make_invocation(), trail.log.head().row_hash)
    columns = ", ".join(forged.as_dict())
    trail.tamper(
        f"INSERT INTO tool_invocations ({columns}) VALUES ({', '.join(f':{name}' for name in forged.as_dict())})",
        "UPDATE audit_head SET count = 3, row_hash = :row_hash",
        **forged.as_dict(),
    )
    broken = trail.log.verify().broken
    assert (broken.kind, broken.id, broken.position) == ("changed", forged.id, 3)


def test_a_second_row_in_the_place_of_another_is_refused_and_found(trail, make_invocation):
    ids = trail.write(3)
    copy = "INSERT INTO tool_invocations ({0}) SELECT {1} FROM tool_invocations WHERE id = :id"
    names = [*as_dict(make_invocation()), "prev_hash", "row_hash"]
    values = ["'f'" if name == "id" else "'h'" if name == "row_hash" else name for name in names]
    statement = copy.format(", ".join(names), ", ".join(values))
    with pytest.raises(IntegrityError):
        trail.tamper(statement, id=ids[1])
    without_index = ["CREATE TABLE t AS SELECT * FROM tool_invocations", "DROP TABLE tool_invocations"]
    trail.tamper(*without_index, "ALTER TABLE t RENAME TO tool_invocations", statement, id=ids[1])
    assert trail.log.verify().broken.kind == "doubled"


def test_a_changed_head_row_is_found_and_not_written_behind(trail, make_invocation):
    trail.write(2)
    trail.tamper("UPDATE audit_head SET mac = 'x'")
    assert trail.log.verify().broken.kind == "head"
    with pytest.raises(AuditUnavailable, match="audit verify"):
        trail.log.append(make_invocation())


def test_a_head_row_with_the_right_key_but_another_end_is_found(trail):
    trail.write(2)
    head = Head(1, trail.column("row_hash")[0])
    trail.tamper("UPDATE audit_head SET count = 1, row_hash = :hash, mac = :mac", hash=head.row_hash, mac="x")
    assert trail.log.verify().broken.kind == "head"
    trail.tamper("UPDATE audit_head SET mac = :mac", mac=head_mac(b"k" * 32, head))
    assert trail.log.verify().broken.kind == "head"


def test_a_changed_or_missing_head_file_is_found(trail):
    trail.write(2)
    file = trail.folder / "head.json"
    whole = file.read_text()
    older = Head(1, trail.column("row_hash")[0])
    file.write_text(json.dumps(older.as_dict() | {"mac": head_mac(b"o" * 32, older)}))
    assert "head file cannot be believed" in trail.log.verify().broken.text
    file.write_text("{")
    assert "head file cannot be believed" in trail.log.verify().broken.text
    file.unlink()
    assert trail.log.verify().broken.kind == "head_missing"
    file.write_text(whole)
    assert trail.log.verify().whole


def test_a_head_file_that_lags_after_a_crash_is_told_from_a_cut_and_catches_up(trail):
    trail.write(2)
    file = trail.folder / "head.json"
    lagging = file.read_text()
    trail.write(3)
    file.write_text(lagging)
    found = trail.log.verify()
    assert found.whole
    assert "3 rows behind" in found.notes[0]
    trail.write(1)
    assert trail.log.verify().notes == ()


def test_another_key_is_named_as_such(trail, make_invocation):
    trail.write(2)
    other = trail.opened(key=b"o" * 32)
    assert other.verify().broken.kind == "other_key"
    with pytest.raises(ConfigurationError, match="AUDIT_KEY"):
        other.prepare()
    with pytest.raises(AuditUnavailable, match="AUDIT_KEY"):
        other.append(make_invocation())
    assert key_id(b"o" * 32) != key_id(b"k" * 32)


def test_a_long_chain_is_read_in_batches(trail):
    from kitty_core.audit.verification import verify
    from kitty_core.database import reading

    ids = trail.write(7)
    for batch in (1, 2, 3, 7, 8):
        with reading(trail.engine) as connection:
            found = verify(connection, b"k" * 32, trail.log.head(), batch)
        assert (found.whole, found.rows) == (True, 7)
    trail.tamper("UPDATE tool_invocations SET tool = 'x' WHERE id = :id", id=ids[5])
    with reading(trail.engine) as connection:
        assert verify(connection, b"k" * 32, trail.log.head(), 2).broken.id == ids[5]


def test_a_prompt_is_kept_only_when_wanted_can_be_erased_and_not_changed(trail, make_invocation):
    asked, unasked = make_invocation(), make_invocation()
    trail.log.append(unasked, "write fib")
    trail.opened(store_prompts=True).append(asked, "write\nfib\x00\ud800")
    with trail.engine.connect() as connection:
        kept = connection.execute(text("SELECT id, prompt FROM invocation_prompts")).all()
    assert kept == [(asked.id, "write\nfib\ufffd\ufffd")]
    assert trail.log.verify().whole
    with pytest.raises(IntegrityError), trail.engine.begin() as connection:
        connection.execute(text("UPDATE invocation_prompts SET prompt = 'x'"))
    with trail.engine.begin() as connection:
        connection.execute(text("DELETE FROM invocation_prompts"))
    assert trail.log.verify().whole


def test_rows_of_a_tool_are_found_by_either_spelling(trail, make_invocation):
    for tool in ("research.web_search", "coding.generate", "research.web-search"):
        trail.log.append(make_invocation(tool=tool))
    for name in ("research.web_search", "research_web_search"):
        assert [entry.columns["tool"] for entry in trail.log.entries(tool=name)] == ["research.web_search"]


def test_rows_of_a_tool_that_runs_commands_are_found_by_the_tool_and_by_the_command(trail, make_invocation):
    for tool in ("broker.run", "broker.run:disk.usage", "broker.run:git.log", "broker.runs", "broker_run2:x"):
        trail.log.append(make_invocation(tool=tool))

    def found(name):
        return {entry.columns["tool"] for entry in trail.log.entries(tool=name)}

    assert found("broker_run") == {"broker.run", "broker.run:disk.usage", "broker.run:git.log"}
    assert found("broker.run:disk.usage") == {"broker.run:disk.usage"}
    assert found("broker") == found("disk.usage") == set()


def test_a_changed_prompt_is_found(trail, make_invocation):
    row = make_invocation()
    trail.opened(store_prompts=True).append(row, "write fib")
    trail.tamper("UPDATE invocation_prompts SET prompt = 'write fob'")
    broken = trail.log.verify().broken
    assert (broken.kind, broken.id) == ("changed", row.id)


def test_what_no_program_ever_wrote_is_found_and_listed_all_the_same(trail):
    ids = trail.write(3)
    impossible = "'infinity'" if trail.url.get_backend_name() == "postgresql" else "'yesterday'"
    trail.tamper("UPDATE tool_invocations SET decision = 'hacked' WHERE id = :id", id=ids[2])
    assert len(trail.log.entries()) == 3
    trail.tamper(f"UPDATE tool_invocations SET created_at = {impossible} WHERE id = :id", id=ids[1])
    found = trail.log.verify()
    assert (found.broken.kind, found.broken.position) == ("changed", 2)


def test_no_row_waits_for_the_head_file_and_it_follows_with_one_move_for_many(trail, make_invocation, monkeypatch):
    heads, gate = [], threading.Event()
    advance = HeadFile.advance
    trail.log.append(make_invocation())
    assert json.loads((trail.folder / "head.json").read_text())["count"] == 1  # the first row waits for it

    def slow(file, head):
        gate.wait(WITHIN_SEC)
        heads.append(head.count)
        advance(file, head)

    monkeypatch.setattr(HeadFile, "advance", slow)
    for _ in range(5):
        trail.log.append(make_invocation())
    assert trail.log.head().count == 6
    assert json.loads((trail.folder / "head.json").read_text())["count"] == 1
    gate.set()
    trail.log.settle()
    assert heads == [2, 6]
    assert json.loads((trail.folder / "head.json").read_text())["count"] == 6


def test_a_head_file_that_cannot_be_moved_is_told_and_holds_no_row_up(trail, make_invocation, monkeypatch, capsys):
    def full(file, head):
        raise OSError("no space left")

    trail.log.append(make_invocation())
    trail.log.settle()
    with monkeypatch.context() as patched:
        patched.setattr(HeadFile, "advance", full)
        trail.log.append(make_invocation())
        trail.log.settle()
    assert "audit_head_file_lags" in capsys.readouterr().out
    assert "1 rows behind" in trail.log.verify().notes[0]
    trail.log.append(make_invocation())
    assert trail.log.verify().notes == ()
