"""A caller that leaves takes its work along, and a stream of events that ends with its reader.

unless_gone ─> the work's result, or CallerIsGone once the work has ended
events_of ───> frames of the work's events, a comment while nothing comes, one last event
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from kitty_core.errors import KittyError
from kitty_core.wire import to_json

T = TypeVar("T")
Gone = Callable[[], Awaitable[None]]
"""Returns when the caller has gone."""
Event = dict[str, Any]
PING_SEC = 10.0
LAST_EVENTS = frozenset({"complete", "error"})
"""The types of the event that ends a stream."""


class CallerIsGone(KittyError):
    """The caller left, so what was being done for it was stopped."""

    status = 499
    code = "cancelled"


def gone_from(receive: Receive) -> Gone:
    """What returns when the caller of a request whose body was read has left."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return gone


async def unless_gone(work: Coroutine[Any, Any, T], gone: Gone) -> T:
    """The result of `work`, which is cancelled, and waited for, when the caller goes first.

    Raises:
        CallerIsGone
    """
    task, watcher = asyncio.create_task(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerIsGone
        return task.result()
    finally:
        await _end(task, watcher)


async def events_of(
    work: Callable[[Callable[[Event], None]], Coroutine[Any, Any, T]], last: Callable[["asyncio.Task[T]"], Event]
) -> AsyncIterator[str]:
    """Frames of server-sent events, each `data: {json}`. Closing it cancels the work and waits for its end.

    Args:
        work: is given a listener for its events.
        last: the one event more, of the work that is done.
    """
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.create_task(work(queue.put_nowait))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while True:
            try:
                event = await asyncio.wait_for(queue.get(), PING_SEC)
            except TimeoutError:
                yield ": ping\n\n"
                continue
            if event is None:
                break
            yield frame_of(event)
        yield frame_of(last(task))
    finally:
        await _end(task)


def error_event(error: Exception) -> Event:
    """The `error` event of a stream that had begun: the failure can only be told in it."""
    if isinstance(error, KittyError):
        return {"type": "error", "error": error.message, **error.extra, "code": error.code}
    return {"type": "error", "error": f"{type(error).__name__}: {error}", "code": "internal"}


def frame_of(event: Event) -> str:
    """One server-sent event."""
    return f"data: {to_json(event)}\n\n"


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel each once. Being cancelled meanwhile, again and again as a left stream is, is not passed on to them."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
