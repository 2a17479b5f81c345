"""`python -m kitty_core.audit`: what a person reads of the trail, and what another verifies of an exported one."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from sqlalchemy import text

from kitty_core.audit.__main__ import main
from kitty_core.audit.export import export, verify_export
from kitty_core.audit.opening import open_audit, spool_folder
from kitty_core.audit.spool import Spool, SpooledAuditLog

KEY = b"k" * 32
WITHIN_SEC = 100


@pytest.fixture
def program(trail, tmp_path, monkeypatch, capsys, make_invocation):
    """The program over a trail of five rows, on both databases."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    env = {"DATABASE_URL": trail.address, "AUDIT_KEY": KEY.hex()}
    writer = open_audit(env)
    for number, tool in enumerate(["a", "b", "a", "b", "a"]):
        writer.append(make_invocation(request_id=str(number), tool=tool, user_id=f"u{number % 2}", error="\x1b[2J"))
    writer.close()
    capsys.readouterr()

    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*words, **changed):
        with monkeypatch.context() as context:
            for name, value in changed.items():
                context.setenv(name, value)
            try:
                status = main(words)
            except SystemExit as left:
                status = left.code
        return Done(status, *capsys.readouterr())

    return run


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def test_the_program_is_a_module_and_a_reader_that_leaves_early_is_no_error(program):
    command = f"{sys.executable} -m kitty_core.audit export | head -c 1"
    shell = ["bash", "-c", f"set -o pipefail; {command}"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=WITHIN_SEC, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_list_shows_the_newest_rows_that_match_and_no_control_characters(program):
    shown = program("list", "--tool", "a", "--limit", "2")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split()[1:5] for line in shown.stdout.splitlines()] == [["a", "u0", "allowed", "ok"]] * 2
    assert "\x1b" not in shown.stdout
    document = json.loads(program("list", "--user", "u1", "--since", "2020-01-01", "--json").stdout)
    assert [entry["request_id"] for entry in document["entries"]] == ["3", "1"]
    assert document["head"]["count"] == 5
    assert program("list", "--since", "2999-01-01T00:00:00+01:00").stdout == ""
    for no_moment in ("yesterday", "0001-01-01T00:00:00+14:00"):
        refused = program("list", "--since", no_moment)
        assert (refused.returncode, "ISO 8601" in refused.stderr) == (2, True)


def test_verify_says_whole_or_the_first_row_that_is_not(program, trail):
    whole = program("verify")
    assert (whole.returncode, whole.stderr, whole.stdout.split()[:3]) == (0, "", ["whole:", "5", "rows,"])
    [_, second, *_] = trail.column("id")
    trail.tamper("UPDATE tool_invocations SET tool = 'x' WHERE id = :id", id=second)
    broken = program("verify")
    assert (broken.returncode, broken.stdout.splitlines()[0]) == (
        1,
        f"BROKEN: row 2 ({second}) is not as it was written: it was changed, or added without the key",
    )
    document = json.loads(program("verify", "--json").stdout)
    assert (document["whole"], document["broken"]["id"], document["rows"]) == (False, second, 1)


@pytest.mark.parametrize(
    ("damage", "row", "kind", "position"),
    [
        ("UPDATE tool_invocations SET status = 'failed' WHERE id = :id", 5, "changed", 5),
        ("DELETE FROM tool_invocations WHERE id = :id", 3, "removed", 3),
        ("DELETE FROM tool_invocations WHERE id = :id", 5, "cut_off", 5),
    ],
    ids=["the last row changed", "a row removed", "the last row cut off"],
)
def test_verify_finds_what_was_done_to_the_trail(program, trail, damage, row, kind, position):
    trail.tamper(damage, id=trail.column("id")[row - 1])
    done = program("verify", "--json")
    broken = json.loads(done.stdout)["broken"]
    assert (done.returncode, broken["kind"], broken["position"]) == (1, kind, position)


def test_an_exported_trail_is_verified_without_the_database(program, trail, tmp_path):
    file = tmp_path / "trail.jsonl"
    assert program("export", str(file)).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == program("export").stdout
    elsewhere = {"DATABASE_URL": "", "XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    assert program("verify", "--file", str(file), **elsewhere).returncode == 0
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2] + lines[3:]))
    broken = program("verify", "--file", str(file), **elsewhere)
    assert (broken.returncode, "removed" in broken.stdout) == (1, True)
    assert program("verify", "--file", str(tmp_path / "none"), **elsewhere).returncode == 3


@pytest.mark.parametrize(
    ("words", "changed", "said"),
    [
        (["verify"], {"AUDIT_KEY": "short"}, "AUDIT_KEY"),
        (["verify"], {"AUDIT_KEY": ""}, "audit.key"),
        (["list"], {"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        (["list"], {"DATABASE_URL": "sqlite:////nowhere/x.sqlite3"}, "no audit trail yet"),
        (["export"], {"DATABASE_URL": "postgresql://postgres@/postgres?host=/nowhere"}, "cannot be read"),
        (["export", "/nowhere/file"], {}, "cannot be written"),
    ],
)
def test_what_is_not_set_up_is_said_in_one_line_with_exit_status_3(program, words, changed, said):
    done = program(*words, **changed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert said in done.stderr


def test_rows_that_wait_are_named_by_verify(program, trail, make_invocation, monkeypatch):
    Spool(spool_folder(trail.url)).put(make_invocation(), None)
    assert "1 rows wait in the spool" in program("verify").stdout


@pytest.fixture
def keeping(program, trail, make_invocation, capsys):
    """The program over four prompts more, the last two of them in the spool; and what lies on disk."""
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)]
    rows = [make_invocation(user_id=f"u{day % 2}", created_at=time) for day, time in enumerate(times)]
    writer = open_audit({"DATABASE_URL": trail.address, "AUDIT_KEY": KEY.hex(), "AUDIT_STORE_PROMPTS": "true"})
    for number, row in enumerate(rows[:2]):
        writer.append(row, f"secret{number} " * 2000)
    spool = Spool(spool_folder(trail.url))
    for number, row in enumerate(rows[2:], 2):
        spool.put(row, f"secret{number}")
    spool.refuse(next(spool.files()))
    folders = [spool.folder] + ([] if trail.url.get_backend_name() == "postgresql" else [trail.folder])

    def found():
        with trail.engine.connect() as connection:
            rows = str(connection.execute(text("SELECT prompt FROM invocation_prompts")).all())
        files = {file for folder in folders for file in folder.rglob("*") if file.is_file()}
        held = rows.encode() + b"".join(file.read_bytes() for file in files)
        return {number for number in range(4) if b"secret%d" % number in held}

    capsys.readouterr()
    yield program, found, trail
    writer.close()


def test_prompts_are_counted_and_erased_for_good_and_the_chain_stays_whole(keeping):
    program, found, trail = keeping
    assert found() == {0, 1, 2, 3}
    assert program("prompts").stdout == "4 prompts are kept\n"
    assert found() == {0, 1, 2, 3}
    erased = program("prompts", "--erase")
    assert (erased.returncode, erased.stdout) == (0, "4 prompts were erased\n")
    assert found() == set()
    assert program("prompts").stdout == "0 prompts are kept\n"
    assert program("verify").stdout.split()[:3] == ["whole:", "7", "rows,"]
    assert SpooledAuditLog(trail.log, spool_folder(trail.url)).drain() == 1


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--user", "u0"], {1, 3}),
        (["--before", "2026-01-03"], {2, 3}),
        (["--user=u1", "--before=2026-01-02T01:00:00+01:00"], {1, 0, 2, 3}),
        (["--user=u1", "--before=2026-01-02T00:00:01"], {0, 2, 3}),
    ],
)
def test_prompts_of_one_user_or_time_are_erased_alone(keeping, words, left):
    program, found, _ = keeping
    program("prompts", "--erase", *words)
    assert found() == left
    assert program("prompts", *words).stdout == "0 prompts are kept\n"


def test_another_key_is_named_as_such(program):
    broken = program("verify", AUDIT_KEY="ab" * 32)
    assert (broken.returncode, "another key" in broken.stdout) == (1, True)


def lines_of(trail, count=4):
    trail.write(count)
    return list(export(trail.engine))


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda rows, head: [*rows, head], None),
        (lambda rows, head: [rows[0], rows[2], rows[3], head], "removed"),
        (lambda rows, head: [*rows[1:], head], "removed"),
        (lambda rows, head: [rows[0], rows[2], rows[1], rows[3], head], "reordered"),
        (lambda rows, head: [rows[0], rows[0], *rows[1:], head], "reordered"),
        (lambda rows, head: [*rows[:3], head], "cut_off"),
        (lambda rows, head: rows, "cut_off"),
        (lambda rows, head: [*rows[:3], head.replace('"count": 4', '"count": 3')], "head"),
        (lambda rows, head: [*rows[:3], rows[3].replace("allowed", "blocked"), head], "changed"),
        (lambda rows, head: [*rows, head, rows[0]], "changed"),
        (lambda rows, head: [*rows, "[]", head], "changed"),
        (lambda rows, head: [*rows, head[:40]], "changed"),
    ],
)
def test_an_exported_trail_shows_what_was_done_to_it(trail, damage, kind):
    *rows, head = lines_of(trail)
    broken = verify_export(damage(rows, head), KEY).broken
    assert (broken and broken.kind) == kind
    assert not verify_export([*rows, head], b"o" * 32).whole


def test_a_broken_trail_is_exported_with_all_its_rows(trail):
    ids = trail.write(5)
    trail.tamper("DELETE FROM tool_invocations WHERE id = :id", id=ids[2])
    lines = list(export(trail.engine))
    assert [json.loads(line)["row"]["id"] for line in lines[:-1]] == [*ids[:2], *ids[3:]]
    assert verify_export(lines, KEY).broken.id == ids[3]


def test_an_empty_trail_is_whole(trail):
    trail.log.prepare()
    assert verify_export(export(trail.engine), KEY).whole
    assert trail.log.verify().whole
