"""The events of a job, over as many connections as it takes.

GET …/events ─> events with numbers ─> cut off ─> the same again behind the last number ─> … ─> 204: it has ended

A job that was resumed has ended before: an end is the last one only where nothing follows it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

from kitty_cli.client import LAST, NothingFollows, Service, events
from kitty_cli.errors import CliError, ServiceFailed, ServiceIsGone, ServiceRefused
from kitty_cli.sse import Event

LOST_FOR_SEC = 60.0
"""So long a service that does not answer is tried again."""
FOUND_ANEW_AFTER_SEC = 3.0
"""So long the same address is tried: a program that was killed is started again there by its supervisor."""
FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC = 0.3, 3.0
PASSING = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses that say nothing about the job."""


class Place(Protocol):
    """Where the events are read."""

    @property
    def service(self) -> Service:
        """It, as it was found last."""

    def find_anew(self) -> None:
        """Looks for one again; starts it where that is this command line's to do."""


class Following:
    """What was read so far."""

    def __init__(self, job_id: str, on_event: Callable[[Event], None], last_id: int = 0) -> None:
        """`last_id`: the last event that is of no interest."""
        self._path = f"/api/coding/jobs/{quote(job_id, safe='')}/events"
        self._on_event = on_event
        self._last_id = last_id
        self._end: Event | None = None
        """The last event, where that is an end."""
        self._is_over = False
        self._heard_at = time.monotonic()
        self._pause_sec = FIRST_PAUSE_SEC
        self._has_told = False

    def follow(self, place: Place, say: Callable[[str], None]) -> Event | None:
        """The event that the job ended with; None where there is nothing behind the first `last_id`.

        Raises:
            ServiceRefused: there is no such job, or it is not for this caller.
            ServiceFailed: the service was away for too long.
        """
        while (failure := self._read(place.service)) is not None:
            away_sec = time.monotonic() - self._heard_at
            if away_sec > LOST_FOR_SEC and self._end is None:
                raise failure
            if away_sec > LOST_FOR_SEC:
                break
            self._wait(say)
            if isinstance(failure, ServiceIsGone) and away_sec > FOUND_ANEW_AFTER_SEC:
                place.find_anew()
        return self._end

    def _read(self, service: Service) -> CliError | None:
        """Reads until the connection ends: None where the job has ended too, else what ended it."""
        before = self._last_id
        try:
            asyncio.run(self._take_all(service))
            failure: CliError = ServiceFailed(f"{service.base_url} ended the stream. {service.hint}")
        except NothingFollows:
            return None
        except ServiceFailed as error:
            failure = error
        except ServiceRefused as error:
            if error.http_status not in PASSING:
                raise
            failure = error
        if self._last_id > before:
            self._pause_sec, self._has_told = FIRST_PAUSE_SEC, False
        return None if self._is_over else failure

    async def _take_all(self, service: Service) -> None:
        async for number, event in events(service, self._path, None, self._last_id, self._note_sign_of_life):
            self._take(number, event)
            if self._is_over:
                return

    def _take(self, number: int | None, event: Event) -> None:
        if number is not None:
            if number <= self._last_id:
                return
            self._last_id = number
        self._on_event(event)
        is_end = event.get("type") in LAST
        self._end = event if is_end else None
        self._is_over = is_end and "result" in event  # only the very last one has it

    def _note_sign_of_life(self) -> None:
        self._heard_at = time.monotonic()

    def _wait(self, say: Callable[[str], None]) -> None:
        if self._end is None and not self._has_told:
            say("The connection was lost; trying again.")
            self._has_told = True
        time.sleep(self._pause_sec)
        self._pause_sec = min(2 * self._pause_sec, LONGEST_PAUSE_SEC)
