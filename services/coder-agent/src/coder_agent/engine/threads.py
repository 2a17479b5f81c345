"""The threads in which the database is asked: few, and apart from all others, so that neither waits for the other.

Many who want to write wait for each other; whoever only looks does not wait for them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
WRITERS, READERS = 2, 1


class Threads:
    """For one event loop."""

    def __init__(self) -> None:
        self._writers = ThreadPoolExecutor(WRITERS, "jobs-write")
        self._readers = ThreadPoolExecutor(READERS, "jobs-read")

    async def write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` gives; it goes on when the caller is cancelled."""
        return await _in(self._writers, call, *args, **kwargs)

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Likewise, of a call that changes nothing."""
        return await _in(self._readers, call, *args, **kwargs)

    def close(self) -> None:
        """Takes no more calls; those that run are not waited for."""
        self._writers.shutdown(wait=False)
        self._readers.shutdown(wait=False)


async def _in(pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, lambda: call(*args, **kwargs))
