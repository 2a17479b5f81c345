"""One attempt to run a command: found, checked, counted, run; told in one log line, whatever comes of it.

name ─> find ─> fill (args) ─> available? ─> a free place? ─> runner ─> Result
         404     422            503           429

The audit row is the gateway's: it is the door that people and models come through. The log line and the counter here
say what reached the broker itself.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from broker.allowlist import Command, fill
from broker.errors import BadArguments, CommandIsUnavailable, TooManyCommands, UnknownCommand
from broker.metrics import Metrics
from broker.runner import Ending, Runner
from kitty_core.errors import KittyError

log = structlog.get_logger()
OUTCOME_OF: Mapping[type[KittyError], str] = {
    UnknownCommand: "unknown",
    BadArguments: "refused",
    CommandIsUnavailable: "unavailable",
    TooManyCommands: "busy",
}
UNLISTED = "unknown"
"""Stands for every name that is not listed: a caller must not make series without end."""


@dataclass(frozen=True)
class Result:
    """A command that was run."""

    command: Command
    ending: Ending
    timeout_sec: float
    runs_as: str

    @property
    def outcome(self) -> str:
        """ok, failed or timeout."""
        return "timeout" if self.ending.timed_out else "ok" if self.ending.exit_code == 0 else "failed"

    @property
    def error(self) -> str | None:
        """Why there is no plain exit code, in words."""
        if self.ending.problem:
            return f"The command could not be started as {self.runs_as}: {self.ending.problem}"
        if self.ending.timed_out:
            return f"The command was ended after {self.timeout_sec:g} s, with every process it had started."
        if self.ending.exit_code is not None and self.ending.exit_code < 0:
            return f"The command was ended by signal {-self.ending.exit_code}."
        return None


class Attempts:
    """The allow-list at work."""

    def __init__(
        self,
        commands: Mapping[str, Command],
        runner: Runner,
        metrics: Metrics,
        *,
        has_workspaces: bool,
        most_at_once: int,
        runs_as: str,
    ) -> None:
        self.commands = commands
        self.running = 0
        self.runs_as = runs_as
        self._runner = runner
        self._metrics = metrics
        self._has_workspaces = has_workspaces
        self._most_at_once = most_at_once

    @property
    def landlock_abi(self) -> int:
        """As the runner's."""
        return self._runner.landlock_abi

    def find(self, name: str) -> Command:
        """The command. Raises UnknownCommand."""
        if name not in self.commands:
            raise UnknownCommand("No such command is on the allow-list.", known=sorted(self.commands))
        return self.commands[name]

    def why_not(self, command: Command) -> str | None:
        """Why `command` cannot run here; None: it can."""
        return command.unavailable_because(has_workspaces=self._has_workspaces)

    async def run(
        self,
        name: str,
        args: Mapping[str, object],
        user_id: str,
        conversation_id: str | None,
        timeout_sec: float | None,
    ) -> Result:
        """Run it; the time is never more than the command's own.

        Raises:
            UnknownCommand, BadArguments, CommandIsUnavailable, TooManyCommands: nothing was run.
            GuardFailed: what was run has no result.
        """
        started = time.perf_counter()
        outcome = "error"
        facts: dict[str, object] = {}
        try:
            result = await self._run(name, args, timeout_sec)
            outcome, facts = result.outcome, {"exit_code": result.ending.exit_code}
            return result
        except KittyError as error:
            outcome, facts = _outcome(error), {"code": error.code, "error": error.message}
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            listed = name if name in self.commands else UNLISTED
            self._metrics.commands.labels(command=listed, outcome=outcome).inc()
            log.info(
                "broker_command",
                command=name[:200],
                outcome=outcome,
                hazard_class=self.commands[name].hazard_class if name in self.commands else None,
                user_id=user_id,
                conversation_id=conversation_id,
                args_sha256=_sha256(args),
                seconds=round(time.perf_counter() - started, 3),
                **facts,
            )

    async def _run(self, name: str, args: Mapping[str, object], timeout_sec: float | None) -> Result:
        command = self.find(name)
        filled = fill(command, args)
        if reason := self.why_not(command):
            raise CommandIsUnavailable(reason)
        if self.running >= self._most_at_once:
            raise TooManyCommands
        limit = float(command.timeout_sec if timeout_sec is None else min(timeout_sec, command.timeout_sec))
        self.running += 1
        self._metrics.running.inc()
        try:
            ending = await self._runner.run(command, filled, limit)
        finally:
            self.running -= 1
            self._metrics.running.dec()
        self._metrics.seconds.labels(command=name).observe(ending.seconds)
        return Result(command, ending, limit, self.runs_as)


def _outcome(error: KittyError) -> str:
    return next((outcome for kind, outcome in OUTCOME_OF.items() if isinstance(error, kind)), "error")


def _sha256(args: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(args, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
