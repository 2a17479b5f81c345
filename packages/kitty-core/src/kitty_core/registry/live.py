"""The registry of a running service: reloaded on SIGHUP, in one step, and never to a worse one.

A call that has begun keeps the registry it took; the next one takes the new. A file that is not right, by itself or by
what the service wants besides (`require`), leaves the old one in place and says where the fault is.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

import structlog

from kitty_core.errors import RegistryProblem
from kitty_core.registry.reading import load_registry
from kitty_core.tools import Registry

log = structlog.get_logger()
Check = Callable[[Registry], None]
"""Raises RegistryProblem where a registry cannot be used, though its file is right."""


class LiveRegistry:
    """Holds the current registry of one file."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        """Raises: RegistryProblem: the file is not right; a service must not start with it."""
        self.path = path
        self._env = dict(env)
        self._reading = Lock()
        self._checks: list[Check] = []
        self._current = load_registry(path, self._env)

    @property
    def current(self) -> Registry:
        """The registry of now. Take it once for each call."""
        return self._current

    def require(self, check: Check) -> None:
        """From now on a registry has to pass `check`, the current one too.

        Raises:
            RegistryProblem: the current one does not; a service must not start with it.
        """
        with self._reading:
            check(self._current)
            self._checks.append(check)

    def reload(self) -> bool:
        """Read the file again; True when its registry is now the current one. May be called from any thread.

        A file that is not right is logged as `registry_reload_failed` with every place, and changes nothing.
        """
        with self._reading:
            try:
                fresh = load_registry(self.path, self._env)
                for check in self._checks:
                    check(fresh)
            except RegistryProblem as error:
                log.error("registry_reload_failed", problems=list(error.problems), digest=self._current.digest)
                return False
            self._current = fresh
        log.info("registry_reloaded", tools=len(fresh.tools), digest=fresh.digest)
        return True


def install_reload_signal(loop: asyncio.AbstractEventLoop, live: LiveRegistry) -> Callable[[], None]:
    """Reload `live` on SIGHUP, in a thread of its own so that no request waits. Returns what takes it off again.

    Before this is called, and after it is taken off, SIGHUP ends the process.
    """
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, live.reload))
    return lambda: _take_off(loop)


def _take_off(loop: asyncio.AbstractEventLoop) -> None:
    loop.remove_signal_handler(signal.SIGHUP)
