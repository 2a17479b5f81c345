"""Fork servers, at most one a core: started when needed, lent to one run at a time, replaced when worn or unsound."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from kitty_sandbox.place import Start
from kitty_sandbox.zygote import Zygote, ZygoteFailed

RUNS_OF_ONE = 500
"""A server is replaced after so many runs, so that nothing it may lose grows without end."""


class Pool:
    """Callers queue in the order they came; none is lost. Usable from one event loop at a time."""

    def __init__(self, furnish: Callable[[], Start], size: int) -> None:
        self._furnish = furnish
        self._size = size
        self._idle: list[Zygote] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._permits = asyncio.Semaphore(size)

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Zygote]:
        """A server for one run. Raises `ZygoteFailed` where none can be started."""
        async with self._own_permits():
            zygote = self._idle.pop() if self._idle else await self._start()
            try:
                yield zygote
            except BaseException:
                zygote.is_sound = False
                raise
            finally:
                if zygote.is_sound and zygote.runs < RUNS_OF_ONE:
                    self._idle.append(zygote)
                else:
                    zygote.close()

    def pids(self) -> list[int]:
        """The first process of each server that is not lent."""
        return [zygote.pid for zygote in self._idle]

    async def _start(self) -> Zygote:
        try:
            start = self._furnish()
        except OSError as error:
            raise ZygoteFailed(str(error)) from error
        return await Zygote.start(start)

    def close(self) -> None:
        """End the servers that are not lent; those that are end with their run."""
        while self._idle:
            self._idle.pop().close()

    def _own_permits(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._permits = loop, asyncio.Semaphore(self._size)
        return self._permits
