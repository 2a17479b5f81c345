"""The broker's commands and their hazard classes: `broker.run` is as dangerous as the command it names.

Asked of the broker itself (`GET /commands`) and kept for a few seconds. While the broker is away no class is known, and
a call counts as the tool's own class, which is high.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import structlog

from gateway.auth import Caller
from gateway.errors import ServiceIsDown, ServiceIsTooSlow, UnknownCommand
from gateway.proxy import Upstreams
from kitty_core.tools import HAZARD_CLASSES, HazardClass

log = structlog.get_logger()
KEPT_SEC = 5.0
TOLD_WITHIN_SEC = 3.0
"""A broker that takes longer to name its commands counts as away."""
ASKER = Caller("service", "user", "model")


class BrokerCommands:
    """The classes by command."""

    def __init__(self, upstreams: Upstreams, clock: Callable[[], float]) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._classes: Mapping[str, HazardClass] = {}
        self._asked_at = float("-inf")

    async def class_of(self, command: str, request_id: str) -> HazardClass | None:
        """The class of `command`; None while the broker does not say.

        Raises:
            UnknownCommand: it says, and there is no such command.
        """
        if command not in self._classes or self._clock() - self._asked_at > KEPT_SEC:
            classes = await self._ask(request_id)
            if classes is None:
                return None
            self._classes, self._asked_at = classes, self._clock()
        if command not in self._classes:
            raise UnknownCommand(f"The broker's list has no command {command[:100]!r}; GET /api/tools names the tools.")
        return self._classes[command]

    async def _ask(self, request_id: str) -> Mapping[str, HazardClass] | None:
        url = f"{self._upstreams.bases['broker']}/commands"
        try:
            headers = self._upstreams.headers_for(ASKER, request_id, {})
            async with (
                asyncio.timeout(TOLD_WITHIN_SEC),
                self._upstreams.open("GET", url, headers) as response,
            ):
                await response.aread()
                if response.status_code != httpx.codes.OK:
                    raise ServiceIsDown(f"The broker answered {response.status_code} to GET /commands.")
                return _classes(response.json())
        except (ServiceIsDown, ServiceIsTooSlow, httpx.HTTPError, TimeoutError, ValueError) as error:
            log.warning("broker_commands_unknown", reason=f"{type(error).__name__}: {error}")
            return None


def _classes(document: object) -> dict[str, HazardClass]:
    """Of `{commands: [{name, hazard_class, …}]}`. A class that is none counts as high."""
    commands = document.get("commands") if isinstance(document, dict) else None
    if not isinstance(commands, list):
        raise ValueError("GET /commands lists no commands")
    return {str(entry["name"]): _class(entry) for entry in commands if isinstance(entry, dict) and "name" in entry}


def _class(entry: Mapping[str, Any]) -> HazardClass:
    return next((known for known in HAZARD_CLASSES if known == entry.get("hazard_class")), "high")
