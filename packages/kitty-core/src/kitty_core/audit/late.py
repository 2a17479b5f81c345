"""An audit trail that is opened while the program is at work already.

begin ─> a thread opens it ─> append: written, after the opening where that still goes on
                       └────> opened: raises what is wrong with the settings
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from kitty_core.audit.port import AuditSpoolFailed
from kitty_core.audit.records import Invocation
from kitty_core.audit.spool import SpooledAuditLog
from kitty_core.errors import KittyError

WITHIN_SEC = 90.0
"""Longer than the database may take to answer, or another process to give it its tables."""


class LateAuditLog:
    """An `AuditSink`. `open_trail` blocks; it is called once, by `begin`."""

    def __init__(self, open_trail: Callable[[], SpooledAuditLog]) -> None:
        self._open_trail = open_trail
        self._opening: Future[SpooledAuditLog] = Future()

    @property
    def waiting(self) -> int:
        """Rows that are not in the database yet; 0 as long as that is not known."""
        return self._opening.result().waiting if self._is_open else 0

    def begin(self) -> None:
        """Starts to open it, and returns at once."""
        threading.Thread(target=self._open, name="audit-opening", daemon=True).start()

    async def opened(self) -> None:
        """Returns when it is open.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        await asyncio.shield(asyncio.wrap_future(self._opening))

    def append(self, invocation: Invocation, prompt: str | None = None) -> None:
        """As the log itself. Raises: AuditRowRefused, AuditSpoolFailed, ConfigurationError."""
        try:
            trail = self._opening.result(WITHIN_SEC)
        except KittyError:
            raise
        except Exception as error:
            raise AuditSpoolFailed(f"The audit trail could not be opened: {type(error).__name__}.") from error
        trail.append(invocation, prompt)

    def drain(self) -> None:
        """Writes what waits, where it is open."""
        if self._is_open and self.waiting:
            self._opening.result().drain()

    def close(self) -> None:
        """Lets the database go. Rows that are handed in have to be written before."""
        if self._is_open:
            self._opening.result().close()

    @property
    def _is_open(self) -> bool:
        return self._opening.done() and self._opening.exception() is None

    def _open(self) -> None:
        try:
            self._opening.set_result(self._open_trail())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
            self._opening.set_exception(error)
