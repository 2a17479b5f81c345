"""The gateway's tools in words; under one that runs commands the commands, each with its own hazard class. Pure."""

from collections.abc import Mapping
from typing import Any

Told = Mapping[str, Any]


def tool_lines(tool: Told) -> list[str]:
    """What it is called, how dangerous it is, what it does."""
    if not tool["enabled"]:
        state = "switched off"
    elif tool.get("hazard_from"):
        state = f"unless its {tool['hazard_from']} has another"
    else:
        state = "needs your word" if tool["requires_confirmation"] else "runs when called"
    return [
        f"{tool['name']:<22} hazard {tool['hazard_class']:<7} {state}",
        f"    {tool['description']}",
        *(f"    {line}" for line in command_lines(tool)),
    ]


def command_lines(tool: Told) -> list[str]:
    """A line for each command of a tool that runs commands; one where it does not tell them; none for other tools."""
    if not tool.get("hazard_from") or not tool.get("enabled", True):
        return []
    commands = [command for command in tool.get("commands") or () if isinstance(command, Mapping)]
    return [_command_line(command) for command in commands] or [
        "Its commands are not known: the broker does not answer."
    ]


def _command_line(command: Told) -> str:
    description = " ".join(str(command.get("description") or "").split())
    cannot = (
        "" if command.get("available", True) else f" Not available here: {command.get('reason') or 'no reason told'}"
    )
    return f"{command.get('name'):<16} hazard {command.get('hazard_class'):<7} {description}{cannot}"
