"""Work that ends with its caller, and streams that end with their reader."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kitty_core import leaving
from kitty_core.leaving import CallerIsGone, Event, error_event, events_of, gone_from, unless_gone


def never_gone() -> Awaitable[None]:
    return asyncio.Event().wait()  # type: ignore[return-value]


def last_event(task: "asyncio.Task[str]") -> Event:
    return {"type": "error", "error": str(task.exception())} if task.exception() else {"result": task.result()}


class Slow:
    """Work that goes on until it is cancelled, and takes a moment to end."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.was_ended = False

    async def work(self, listener: Callable[[Event], None] = lambda event: None) -> str:
        listener({"n": 1})
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            self.was_ended = True
        return "never"


async def test_work_that_ends_first_gives_its_result_and_its_error() -> None:
    async def fails() -> str:
        raise ValueError("broken")

    assert await unless_gone(asyncio.sleep(0, "done"), never_gone) == "done"
    with pytest.raises(ValueError, match="broken"):
        await unless_gone(fails(), never_gone)


async def test_a_caller_that_leaves_ends_the_work_before_that_is_told() -> None:
    slow = Slow()
    messages: list[dict[str, Any]] = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        await slow.has_begun.wait()
        return messages.pop(0)

    with pytest.raises(CallerIsGone):
        await unless_gone(slow.work(), gone_from(receive))
    assert slow.was_ended
    assert messages == []


async def test_events_come_as_frames_and_one_last_after_them() -> None:
    async def work(listener: Callable[[Event], None]) -> str:
        listener({"n": 1})
        listener({"n": 2, "text": "a\u2028b"})
        return "done"

    frames = [frame async for frame in events_of(work, last_event)]
    assert [json.loads(frame.removeprefix("data: ")) for frame in frames] == [
        {"n": 1},
        {"n": 2, "text": "a\u2028b"},
        {"result": "done"},
    ]
    assert all(frame.endswith("\n\n") and len(frame.splitlines()) == 2 for frame in frames)


async def test_a_failure_is_the_last_event_too() -> None:
    async def work(listener: Callable[[Event], None]) -> str:
        raise ValueError("broken")

    assert [frame async for frame in events_of(work, last_event)] == ['data: {"type":"error","error":"broken"}\n\n']


async def test_while_nothing_comes_there_is_a_comment_and_a_reader_that_goes_ends_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving, "PING_SEC", 0.01)
    slow = Slow()
    frames = events_of(slow.work, last_event)
    assert await anext(frames) == 'data: {"n":1}\n\n'
    assert await anext(frames) == ": ping\n\n"
    assert not slow.was_ended
    await frames.aclose()  # type: ignore[attr-defined]  # an async generator, typed as an iterator
    assert slow.was_ended


def test_what_is_known_of_a_failure_is_told_and_anything_else_is_internal():
    known = CallerIsGone("It left.", service="brain")
    assert error_event(known) == {"type": "error", "error": "It left.", "service": "brain", "code": "cancelled"}
    assert error_event(ValueError("x")) == {"type": "error", "error": "ValueError: x", "code": "internal"}
