"""How much one caller may ask for: requests a minute (a token bucket) and requests under way at once."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import TooManyRequests

MOST_REMEMBERED = 10_000
"""Callers whose buckets are kept; the one that was quiet longest is forgotten first."""


class RateLimit:
    """A bucket a caller: it holds a minute's worth and fills evenly."""

    def __init__(self, per_min: int, clock: Callable[[], float]) -> None:
        self._per_min = per_min
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens, and when they were counted."""

    def take(self, who: str) -> None:
        """Takes one token.

        Raises:
            TooManyRequests: there is none.
        """
        now = self._clock()
        tokens, counted_at = self._buckets.pop(who, (float(self._per_min), now))
        tokens = min(self._per_min, tokens + max(0.0, now - counted_at) * self._per_min / 60)
        is_left = tokens >= 1
        self._buckets[who] = (tokens - 1 if is_left else tokens, now)
        if len(self._buckets) > MOST_REMEMBERED:
            self._buckets.popitem(last=False)
        if not is_left:
            wait_sec = max(1, math.ceil((1 - tokens) * 60 / self._per_min))
            raise TooManyRequests(f"More than {self._per_min} a minute; try again in {wait_sec} s.", wait_sec)


class Concurrency:
    """Counts what is under way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: dict[str, int] = {}

    @contextmanager
    def place(self, who: str) -> Iterator[None]:
        """One of `who`'s places, for the time of the block.

        Raises:
            TooManyRequests: all are taken.
        """
        taken = self._under_way.get(who, 0)
        if taken >= self._most:
            raise TooManyRequests(f"{taken} requests of this key are under way, which is the most.", 1)
        self._under_way[who] = taken + 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]
