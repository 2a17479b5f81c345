"""A tool as people and as models see it; one that runs commands is shown with the commands. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.commands import Command
from kitty_core.tools import Registry, Tool

ARGS = "args"
"""Where `broker.run` takes a command's own arguments."""


def for_person(tool: Tool, commands: Sequence[Command]) -> dict[str, Any]:
    """All there is to know of a tool."""
    told = {
        "name": tool.name,
        "description": tool.description,
        "schema": dict(tool.schema),
        "method": tool.method,
        "hazard_class": tool.hazard_class,
        "requires_confirmation": tool.requires_confirmation or tool.dual_confirm or tool.hazard_class == "high",
        "requires_override": tool.requires_override,
        "dual_confirm": tool.dual_confirm,
        "egress": tool.egress,
        "read_only": tool.read_only,
        "budget_tier": tool.budget_tier,
        "enabled": tool.enabled,
        "note": tool.note,
    }
    if tool.hazard_from is None:
        return told
    return told | {"hazard_from": tool.hazard_from, "commands": [_listed(command) for command in commands]}


def for_model(tool: Tool, commands: Sequence[Command]) -> dict[str, Any]:
    """Name, description and schema: of a tool that runs commands, those that can run here and what each takes."""
    usable = [command for command in commands if command.is_available]
    schema = dict(tool.schema) if tool.hazard_from is None or not usable else _of_commands(tool, usable)
    return {"name": tool.model_name, "description": tool.description, "schema": schema}


def digest_of(registry: Registry, commands: Sequence[Command]) -> str:
    """Changes with the registry and, where there are any, with the commands."""
    if not commands:
        return registry.digest
    told = json.dumps([registry.digest, [_listed(command) for command in commands]], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _listed(command: Command) -> dict[str, Any]:
    return {
        "name": command.name,
        "description": command.description,
        "hazard_class": command.hazard_class,
        "schema": dict(command.schema),
        "available": command.is_available,
        "reason": command.reason,
    }


def _of_commands(tool: Tool, commands: Sequence[Command]) -> dict[str, Any]:
    """The tool's schema with its commands as an enum, in words beside it, and each with its arguments in `anyOf`."""
    by = str(tool.hazard_from)
    members: dict[str, Any] = dict(tool.schema.get("properties") or {})
    names = [command.name for command in commands]
    told = " ".join(f"{command.name}: {command.description}" for command in commands)
    members[by] = {**members.get(by, {}), "enum": names, "description": told}
    if ARGS in members:
        taken = " ".join(f"{command.name}: {_in_words(command.schema)}." for command in commands)
        members[ARGS] = {**members[ARGS], "description": f"What the command takes. {taken}"}
    return {**tool.schema, "properties": members, "anyOf": [_variant(command, by) for command in commands]}


def _variant(command: Command, by: str) -> dict[str, Any]:
    return {
        "description": command.description,
        "properties": {by: {"const": command.name}, ARGS: dict(command.schema)},
        "required": [by, ARGS] if command.schema.get("required") else [by],
    }


def _in_words(schema: Mapping[str, Any]) -> str:
    required = schema.get("required") or ()
    names = [name if name in required else f"{name}?" for name in schema.get("properties") or ()]
    return ", ".join(names) or "nothing"
