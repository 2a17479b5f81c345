"""What decides without asking anybody: frames, facts, limits."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import TooManyRequests
from gateway.frames import FrameWatch
from gateway.limits import Concurrency, RateLimit
from gateway.proxy import passed_on
from gateway.testing import Clock
from kitty_core.audit.facts import facts_of

RESULT = {"verdict": "verified", "job_id": "job2", "success": True}
STREAM = "".join(
    f"data: {json.dumps(event)}\n\n"
    for event in (
        {"type": "started", "jobId": "job1"},
        {"type": "code_chunk", "delta": '"complete" \n\n data: {"type":"error"}'},
        {"type": "complete", "result": RESULT},
    )
).encode()


@given(st.lists(st.integers(1, len(STREAM)), max_size=20), st.sampled_from([b"\n", b"\r\n"]))
@settings(deadline=None, max_examples=60)
def test_frames_tell_the_same_however_the_bytes_are_cut(cuts, line_end):
    stream = STREAM.replace(b"\n", line_end)
    watch, places = FrameWatch(), sorted({0, *cuts, len(stream)})
    for start, end in pairwise(places):
        watch.feed(stream[start:end])
    facts = watch.facts("unused")
    assert (facts.status, facts.verdict, facts.job_id) == ("ok", "verified", "job2")
    assert watch.has_ended
    assert not watch.is_amid_frame


@given(st.binary(max_size=300))
def test_no_bytes_disturb_the_watch(noise):
    watch = FrameWatch()
    watch.feed(noise)
    watch.feed(b"\n\n" + STREAM)
    assert watch.facts("unused").status in ("ok", "error", "failed")


def test_a_frame_that_is_too_long_is_not_kept_and_the_next_one_is_read():
    watch = FrameWatch(longest=1000)
    for _ in range(100):
        watch.feed(b"x" * 100)
        assert len(watch._rest) <= 1000
    watch.feed(b"\n\n" + STREAM)
    assert watch.facts("unused").status == "ok"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_facts_are_read_from_anything(value):
    for body in (value, {"verdict": value, "success": value, "job_id": value, "refinement_count": value}):
        assert facts_of(200, body).status in ("ok", "failed")
        assert facts_of(500, body).status == "error"
        assert facts_of(504, body).status == "timeout"


@given(st.integers(1, 100), st.lists(st.floats(0, 30), max_size=60))
def test_never_more_than_a_minutes_worth_at_once_and_the_rate_after_that(per_min, waits):
    clock = Clock()
    limit, taken, begun = RateLimit(per_min, clock), 0, clock.now
    for wait in waits:
        clock.now += wait
        try:
            limit.take("ann")
        except TooManyRequests as error:
            clock.now += error.retry_after_sec
            limit.take("ann")  # as it was told
        taken += 1
    assert taken <= per_min + (clock.now - begun) * per_min / 60 + 1


def test_a_place_is_given_back_also_after_a_failure():
    places = Concurrency(1)
    with pytest.raises(ValueError, match="x"), places.place("ann"):
        raise ValueError("x")
    with places.place("ann"), places.place("bob"), pytest.raises(TooManyRequests), places.place("ann"):
        pass


def test_headers_between_two_neighbours_stay_there():
    given_headers = [
        ("Connection", "close, X-Own"),
        ("X-Own", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Set-Cookie", "a=b"),
        ("X-Request-Id", "r"),
        ("Content-Type", "text/event-stream"),
        ("Retry-After", "3"),
    ]
    assert passed_on(given_headers) == [(b"content-type", b"text/event-stream"), (b"retry-after", b"3")]
