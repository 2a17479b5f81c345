"""What this process knows of its model servers: which are well, what each can do at once, and what it has to do now.

A server is known by its address, whatever role it is asked in. It is looked at again after a few seconds; one that
failed is well again when it answers its health, after a pause that grows while it does not.
"""

import asyncio
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from kitty_llm.endpoint import Endpoint
from kitty_llm.health import Health, ask_slots, probe

LOOK_SEC = 5.0
"""How long a look at a server that is well holds."""
FIRST_PAUSE_SEC = 1.0
LONGEST_PAUSE_SEC = 10.0


@dataclass
class _Server:
    calls: int = 0
    slots: int = 1
    state: Health = "not_started"
    look_at: float = 0.0
    """When what is known is no longer good enough, on the monotonic clock."""
    pause_sec: float = FIRST_PAUSE_SEC
    """Until the next look, should it fail."""
    jobs: "weakref.WeakSet[Any]" = field(default_factory=weakref.WeakSet)
    """Those that have asked it and are not over."""


class Servers:
    """Shared by all jobs of one process."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._known: dict[str, _Server] = {}
        self._looking = asyncio.Lock()

    async def look(self, endpoints: Iterable[Endpoint], *, anew: bool = False) -> None:
        """Finds out how they are, all at once, within half a second; asks only those it does not know. Never raises.

        Args:
            anew: ask all of them.
        """
        async with self._looking:
            now = time.monotonic()
            unknown = {end.root: end for end in endpoints if anew or self._of(end).look_at <= now}
            await asyncio.gather(*map(self._look_at, unknown.values()))

    def state(self, endpoint: Endpoint) -> Health:
        """As it was when it was last looked at or asked."""
        return self._of(endpoint).state

    def well(self, endpoints: Iterable[Endpoint]) -> list[Endpoint]:
        """Those that can be asked now, as far as is known."""
        return [endpoint for endpoint in endpoints if self.state(endpoint) == "ok"]

    def slots(self, endpoints: Iterable[Endpoint]) -> int:
        """How many calls those of them that are well can work on at once."""
        return sum(self._of(endpoint).slots for endpoint in self.well(endpoints))

    def least_loaded(self, endpoints: Sequence[Endpoint], last_used: Mapping[str, int]) -> Endpoint:
        """Whom a job asks, of one or more: the server with the fewest calls of ours for its slots.

        The job stays where it was before, where its prompt is cached, while there is a free slot. Of equals it takes
        the one that it used last, then the one with the fewest calls, with the fewest other jobs, the first.

        Args:
            last_used: what the job has used, by `Endpoint.root`; higher numbers came later.
        """

        def rank(endpoint: Endpoint) -> tuple[float, int, int, float]:
            server, used = self._of(endpoint), last_used.get(endpoint.root, 0)
            is_free = server.calls < server.slots
            load = 0.0 if used and is_free else server.calls / server.slots
            return load, -used, server.calls, len(server.jobs) / server.slots

        return min(endpoints, key=rank)

    @contextmanager
    def at_work(self, endpoint: Endpoint, job: object) -> Iterator[None]:
        """A call of `job` is under way there."""
        server = self._of(endpoint)
        server.jobs.add(job)
        server.calls += 1
        try:
            yield
        finally:
            server.calls -= 1

    def answered(self, endpoint: Endpoint) -> None:
        """It gave a whole answer, which says more than a look."""
        server = self._of(endpoint)
        server.state, server.pause_sec = "ok", FIRST_PAUSE_SEC

    def failed(self, endpoint: Endpoint) -> None:
        """It could not be reached, was lost, or fell silent."""
        server = self._of(endpoint)
        if server.state == "down" and time.monotonic() < server.look_at:
            return
        server.state = "down"
        _pause(server)

    async def _look_at(self, endpoint: Endpoint) -> None:
        server = self._of(endpoint)
        state, slots = await asyncio.gather(probe(self._http, endpoint), ask_slots(self._http, endpoint))
        server.state, server.slots = state, slots or server.slots
        if state == "ok":
            server.look_at = time.monotonic() + LOOK_SEC
        else:
            _pause(server)

    def _of(self, endpoint: Endpoint) -> _Server:
        return self._known.setdefault(endpoint.root, _Server())


def _pause(server: _Server) -> None:
    server.look_at = time.monotonic() + server.pause_sec
    server.pause_sec = min(LONGEST_PAUSE_SEC, 2 * server.pause_sec)
