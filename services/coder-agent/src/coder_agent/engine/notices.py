"""Who waits for news of a job in this process; other processes look into the database."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Notices:
    """For one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def of(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something happens to the job; the reader clears it before it looks."""
        news = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(news)
        try:
            yield news
        finally:
            waiting = self._waiting[job_id]
            waiting.discard(news)
            if not waiting:
                del self._waiting[job_id]

    def tell(self, job_id: str) -> None:
        """Something happened to the job."""
        for news in self._waiting.get(job_id, ()):
            news.set()


async def heard(news: asyncio.Event, within_sec: float) -> bool:
    """Whether `news` was set within that time."""
    try:
        await asyncio.wait_for(news.wait(), within_sec)
    except TimeoutError:
        return False
    return True
