"""The chain without a database: what is hashed, and that no part of it can be touched."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitty_core.audit import Invocation, arguments_sha256
from kitty_core.audit.chain import GENESIS, Chain, Head, canonical, chained, head_mac, prompt_mac, row_hash
from kitty_core.audit.records import COLUMNS, as_dict, clean, from_dict, in_utc

KEY = b"k" * 32
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
VALUES = st.dictionaries(st.text(max_size=5), SCALARS, max_size=5)
MOMENTS = st.datetimes(timezones=st.timezones(), min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1))
INVOCATIONS = st.builds(
    Invocation,
    request_id=st.text(max_size=20),
    tool=st.text(max_size=20),
    user_id=st.text(max_size=20),
    decision=st.sampled_from(["allowed", "confirmed", "denied", "blocked", "expired", "cancelled"]),
    status=st.sampled_from(["ok", "failed", "error", "timeout", None]),
    job_id=st.none() | st.text(max_size=20),
    tests_passed=st.none() | st.booleans(),
    latency_ms=st.none() | st.integers(0, 2**31 - 1),
    error=st.none() | st.text(max_size=600),
    created_at=MOMENTS,
    id=st.from_regex("[0-9a-f]{32}", fullmatch=True),
)


def typed(values):
    """Told apart as JSON tells them: True is not 1."""
    return {name: (type(value), value) for name, value in values.items()}


@given(VALUES, VALUES)
def test_two_sets_of_values_have_one_encoding_only_where_they_are_the_same(one, other):
    assert (canonical(one) == canonical(other)) == (typed(one) == typed(other))


@given(VALUES)
def test_the_encoding_does_not_depend_on_the_order_and_is_ascii(values):
    encoded = canonical(values)
    assert encoded == canonical(dict(reversed(values.items())))
    assert encoded.isascii()
    assert typed(json.loads(encoded)) == typed(values)


@given(INVOCATIONS)
def test_a_row_survives_the_way_to_disk_and_back(invocation):
    columns = json.loads(json.dumps(as_dict(invocation)))
    assert from_dict(columns) == invocation
    assert tuple(columns) == COLUMNS
    assert as_dict(invocation) | {"prev_hash": "x"} != as_dict(invocation)


@given(MOMENTS)
def test_a_moment_has_one_text_whatever_its_zone(moment):
    text = in_utc(moment)
    assert in_utc(moment.astimezone(timezone(timedelta(hours=9)))) == text
    assert datetime.fromisoformat(text) == moment.astimezone(UTC)
    assert len(text) == 27


@given(st.lists(INVOCATIONS, min_size=1, max_size=4), st.data())
def test_no_column_of_any_row_can_be_changed(invocations, data):
    rows = linked(invocations)
    assert [Chain(KEY).follow(rows[0]), follow(rows).count] == [None, len(rows)]
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(COLUMNS))
    other = data.draw(SCALARS.filter(lambda value: typed({"x": value}) != typed({"x": rows[place].columns[column]})))
    changed = type(rows[0])({**rows[place].columns, column: other}, rows[place].prev_hash, rows[place].row_hash)
    assert follow([*rows[:place], changed, *rows[place + 1 :]]).count == place


@given(st.lists(INVOCATIONS, min_size=3, max_size=4))
def test_no_row_but_the_last_can_be_left_out_or_moved(invocations):
    rows = linked(invocations)
    assert follow([rows[0], *rows[2:]]).count == 1
    assert follow([rows[1], rows[0], *rows[2:]]).count == 0
    assert follow([rows[0], rows[0], *rows[1:]]).count == 1


def linked(invocations):
    rows, last = [], GENESIS
    for invocation in invocations:
        rows.append(chained(KEY, invocation, last))
        last = rows[-1].row_hash
    return rows


def follow(rows):
    chain = Chain(KEY)
    for row in rows:
        if chain.follow(row):
            break
    return chain.head


def test_hashes_for_one_purpose_cannot_stand_in_for_another_and_need_the_key(make_invocation):
    columns = {"count": 1, "row_hash": "x"}
    assert head_mac(KEY, Head(1, "x")) not in {row_hash(KEY, {"count": 1}, "x"), prompt_mac(KEY, "1", "x")}
    assert head_mac(KEY, Head(1, "x")) != head_mac(b"o" * 32, Head(1, "x"))
    assert row_hash(KEY, columns, GENESIS) != row_hash(b"o" * 32, columns, GENESIS)


def test_texts_are_kept_on_one_line_short_and_such_that_any_database_takes_them(make_invocation):
    row = make_invocation(error="a\x00\x1b[2J\r\nb\u2028\ud800c" + "x" * 600, conversation_id="\t")
    assert row.error.startswith("a [2J b c")
    assert (len(row.error), row.error[-1], row.conversation_id) == (500, "…", " ")
    assert clean(clean(row.error)) == row.error


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision": "maybe"},
        {"status": "fine"},
        {"created_at": datetime(2026, 1, 1)},
        {"id": "../../etc"},
        {"latency_ms": 2**31},
        {"refinements": -(2**31) - 1},
    ],
)
def test_what_is_no_row_is_refused_when_it_is_made(make_invocation, wrong):
    with pytest.raises(ValueError, match=r"no such|want"):
        make_invocation(**wrong)


def test_equal_arguments_have_one_hash_and_others_another():
    assert arguments_sha256({"a": 1, "b": [None, "ü\ud800"]}) == arguments_sha256({"b": [None, "ü\ud800"], "a": 1})
    assert arguments_sha256({"a": 1}) != arguments_sha256({"a": "1"})
