"""The broker's commands: `broker.run` is as dangerous as the command it names, and takes what that one takes.

Asked of the broker itself (`GET /commands`, within two seconds) and kept for a few seconds. While the broker is away no
class is known, and a call counts as the tool's own class, which is high; no commands are listed then.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
from jsonschema import Draft202012Validator

from gateway.auth import Caller
from gateway.errors import ServiceIsDown, ServiceIsTooSlow, UnknownCommand
from gateway.proxy import Upstreams
from kitty_core.tools import HAZARD_CLASSES, HazardClass, problems_of

log = structlog.get_logger()
KEPT_SEC = 5.0
TOLD_WITHIN_SEC = 3.0
"""A broker that takes longer to name its commands counts as away."""
ASKER = Caller("service", "user", "model")


@dataclass(frozen=True)
class Command:
    """One entry of the broker's allow-list."""

    name: str
    hazard_class: HazardClass = "high"
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"}, hash=False)
    """JSON Schema of its `args`."""
    is_available: bool = True
    reason: str | None = None
    """Why it is not."""

    def problems(self, args: object) -> list[str]:
        """What `args` violate of the command's schema, each as `path: reason`."""
        return problems_of(Draft202012Validator(dict(self.schema)), {} if args is None else args)


class BrokerCommands:
    """The commands by name."""

    def __init__(self, upstreams: Upstreams, clock: Callable[[], float]) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._known: Mapping[str, Command] = {}
        self._asked_at = float("-inf")
        self._failed_at = float("-inf")

    async def find(self, command: str, request_id: str) -> Command | None:
        """The command of that name; None while the broker does not say.

        Raises:
            UnknownCommand: it says, and there is no such command.
        """
        if (command not in self._known or self._is_past(self._asked_at)) and not await self._asked(request_id):
            return None
        if command not in self._known:
            raise UnknownCommand(
                f"The broker's list has no command {command[:100]!r}; nothing was run. "
                f"There are: {', '.join(self._known) or 'none'}."
            )
        return self._known[command]

    async def listed(self, request_id: str) -> tuple[Command, ...]:
        """All commands; none while the broker does not say, for which it is not asked again within seconds."""
        if self._is_past(self._asked_at) and (not self._is_past(self._failed_at) or not await self._asked(request_id)):
            return ()
        return tuple(self._known.values())

    def _is_past(self, moment: float) -> bool:
        return self._clock() - moment > KEPT_SEC

    async def _asked(self, request_id: str) -> bool:
        """Whether the broker said what there is."""
        url = f"{self._upstreams.bases['broker']}/commands"
        try:
            headers = self._upstreams.headers_for(ASKER, request_id, {})
            async with asyncio.timeout(TOLD_WITHIN_SEC), self._upstreams.open("GET", url, headers) as response:
                await response.aread()
                if response.status_code != httpx.codes.OK:
                    raise ServiceIsDown(f"The broker answered {response.status_code} to GET /commands.")
                self._known, self._asked_at = _commands(response.json()), self._clock()
        except (ServiceIsDown, ServiceIsTooSlow, httpx.HTTPError, TimeoutError, ValueError) as error:
            log.warning("broker_commands_unknown", reason=f"{type(error).__name__}: {error}")
            self._failed_at = self._clock()
            return False
        return True


def _commands(document: object) -> dict[str, Command]:
    """Of `{commands: [{name, hazard_class, …}]}`. A class that is none counts as high."""
    commands = document.get("commands") if isinstance(document, dict) else None
    if not isinstance(commands, list):
        raise ValueError("GET /commands lists no commands")
    return {str(entry["name"]): _command(entry) for entry in commands if isinstance(entry, dict) and "name" in entry}


def _command(entry: Mapping[str, Any]) -> Command:
    schema, reason = entry.get("args_schema"), entry.get("reason")
    return Command(
        name=str(entry["name"]),
        hazard_class=next((known for known in HAZARD_CLASSES if known == entry.get("hazard_class")), "high"),
        description=str(entry.get("description") or ""),
        schema=schema if isinstance(schema, dict) else {"type": "object"},
        is_available=entry.get("available") is not False,
        reason=str(reason) if reason else None,
    )
