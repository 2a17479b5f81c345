"""Tools, as the registry describes them: plain data, and what can be said of a call without making it.

`kitty_core.registry` reads them out of a file. This module reads nothing, so that `hazard` can stay pure.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry as NothingElsewhere
from referencing.exceptions import Unresolvable

HazardClass = Literal["none", "low", "medium", "high"]
HAZARD_CLASSES: tuple[HazardClass, ...] = get_args(HazardClass)
MOST_PROBLEMS = 20
MOST_OF_A_PROBLEM = 200


@dataclass(frozen=True)
class Tool:
    """One entry of the registry."""

    name: str
    """Dotted, such as `coding.generate`."""
    method: str = "POST"
    url: str = ""
    """Absolute, expanded. Only that of a disabled tool may be empty."""
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"}, hash=False)
    """JSON Schema (draft 2020-12) of the arguments; its type is object."""
    hazard_class: HazardClass = "medium"
    hazard_from: str | None = None
    """The argument whose value may have a hazard class of its own (a command of the broker), which then counts."""
    requires_confirmation: bool = False
    confirmation_phrase: str | None = None
    """None: the house's own (HAZARD_CONFIRMATION_PHRASE)."""
    requires_override: bool = False
    dual_confirm: bool = False
    """A second person has to confirm, not the one who called."""
    egress: bool = False
    """Reaches out of this machine's own network."""
    read_only: bool = False
    """Changes nothing, although its method is not GET."""
    budget_tier: str | None = None
    enabled: bool = True
    note: str = ""

    @property
    def model_name(self) -> str:
        """The name a model sees: `coding_generate`."""
        return self.name.replace(".", "_")

    def problems(self, arguments: object) -> list[str]:
        """What `arguments` violate of the schema, as `problems_of` says it."""
        return problems_of(self._validator, arguments)

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return validator_of(self.schema)


@dataclass(frozen=True)
class Registry:
    """The tools of one file, by their dotted names. Never changes: a reload makes another one."""

    tools: Mapping[str, Tool] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", MappingProxyType(dict(self.tools)))

    def find(self, name: str) -> Tool | None:
        """The tool of that name in its dotted or its underscore spelling, enabled or not."""
        return self._by_any_name.get(name)

    @cached_property
    def _by_any_name(self) -> dict[str, Tool]:
        return {tool.model_name: tool for tool in self.tools.values()} | dict(self.tools)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over what models see of the tools and what decides about a call.

        Not over addresses and notes: two services that reach a tool by different addresses have the same digest.
        """
        facts = [_facts(self.tools[name]) for name in sorted(self.tools)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """A validator that fetches nothing: a reference out of the schema is an error instead of a request."""
    return Draft202012Validator(dict(schema), registry=NothingElsewhere())


def _facts(tool: Tool) -> dict[str, Any]:
    names = set(Tool.__dataclass_fields__) - {"url", "note"}
    return {name: getattr(tool, name) for name in names} | {"schema": dict(tool.schema)}


def problems_of(validator: Draft202012Validator, arguments: object) -> list[str]:
    """What `arguments` violate of a schema, each as `path: reason`; empty: nothing. At most MOST_PROBLEMS."""
    try:
        found = sorted(validator.iter_errors(arguments), key=lambda error: [str(part) for part in error.path])
    # A schema that refers to itself, or to something outside; a number past all floats.
    except (RecursionError, Unresolvable, ArithmeticError) as error:
        return [f"arguments: cannot be checked: {error}"]
    return [_in_words(error) for error in found[:MOST_PROBLEMS]]


def _in_words(error: ValidationError) -> str:
    """`place: reason`, shortened: the reason quotes the value, which can be a whole program."""
    place = error.json_path.removeprefix("$").removeprefix(".") or "arguments"
    reason = error.message
    if len(reason) > MOST_OF_A_PROBLEM:
        half = MOST_OF_A_PROBLEM // 2
        reason = f"{reason[:half]} … {reason[-half:]}"
    return f"{place}: {reason}"
