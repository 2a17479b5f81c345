"""One entry of the registry, in either spelling or a mixture, as a Tool.

{method, url, schema, safety: {hazard_class, confirmation_required}}
{server, description, hazard_class, requires_confirmation, confirmation_phrase, requires_override, budget_tier, enabled,
 note}

and, in both, what only this house has: read_only, egress, dual_confirm, hazard_from. What is not said is taken for the
more careful: hazard class medium; a tool that wants the override word reaches out of the machine.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from kitty_core.confirmation import CANCEL_WORDS
from kitty_core.registry.address import NoAddress, checked_url, expand, path_of, server_base
from kitty_core.registry.schema import schema_problems
from kitty_core.registry.source import NULL, Pairs, Source, did_you_mean, in_words, joined, place_of
from kitty_core.tools import HAZARD_CLASSES, Tool

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)*")
MOST_OF_A_NAME = 64
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Reader = Callable[[Source, yaml.Node, str], Any]


def _method(source: Source, node: yaml.Node, key: str) -> str | None:
    text = source.text(node, key)
    if text is None or text.upper() in METHODS:
        return text and text.upper()
    source.report(node, key, f"{text!r} is not one of {', '.join(METHODS)}")
    return None


def _hazard_class(source: Source, node: yaml.Node, key: str) -> str | None:
    text = source.text(node, key)
    if text is None or text in HAZARD_CLASSES:
        return text
    source.report(node, key, f"there is no hazard class {text!r}{did_you_mean(text, HAZARD_CLASSES)}")
    return None


def _phrase(source: Source, node: yaml.Node, key: str) -> str | None:
    text = None if node.tag == NULL else source.text(node, key)
    if text is not None and (not text.isprintable() or text.strip().lower() in CANCEL_WORDS):
        source.report(node, key, "must be one line, and none of the words that cancel")
        return None
    return text and text.strip()


def _schema(source: Source, node: yaml.Node, key: str) -> object:
    if not isinstance(node, yaml.MappingNode):
        source.report(node, key, f"must be a JSON schema (a mapping), not {in_words(node)}")
        return None
    schema = source.json(node, key)
    if not isinstance(schema, dict):
        return None
    problems = list(schema_problems(schema))
    for path, reason in problems:
        source.report(place_of(node, path), joined(key, path), reason)
    return None if problems else schema


KEYS: Mapping[str, Reader] = {
    "method": _method,
    "url": Source.text,
    "server": Source.text,
    "schema": _schema,
    "description": Source.remark,
    "hazard_class": _hazard_class,
    "hazard_from": Source.text,
    "requires_confirmation": Source.flag,
    "confirmation_phrase": _phrase,
    "requires_override": Source.flag,
    "dual_confirm": Source.flag,
    "egress": Source.flag,
    "read_only": Source.flag,
    "budget_tier": Source.remark,
    "enabled": Source.flag,
    "note": Source.remark,
}
SAFETY = {"hazard_class": "hazard_class", "confirmation_required": "requires_confirmation"}
"""The keys of `safety`, and the same in the other spelling."""


def read_entry(source: Source, name_node: yaml.Node, node: yaml.Node, env: Mapping[str, str]) -> Tool | None:
    """The tool of one entry; None when something was reported that leaves no tool."""
    name = str(name_node.value)
    if not NAME.fullmatch(name) or len(name) > MOST_OF_A_NAME:
        source.report(name_node, name, f"a tool's name is like coding.generate, at most {MOST_OF_A_NAME} characters")
        return None
    pairs = source.pairs(node, name)
    if not isinstance(node, yaml.MappingNode):
        return None
    said = _said(source, name, pairs)
    enabled = said.get("enabled", True)
    if enabled:
        _report_missing(source, name_node, pairs)
    url = _url(source, name, pairs, said, env) if enabled else None
    facts = {key: value for key, value in said.items() if key not in {"url", "server"}}
    facts.setdefault("egress", facts.get("requires_override", False))
    tool = Tool(name=name, url=url or "", **facts)
    is_schema_known = "schema" in said or "schema" not in pairs
    if tool.hazard_from is not None and is_schema_known and tool.hazard_from not in tool.schema.get("properties", {}):
        source.report(pairs["hazard_from"][1], f"{name}.hazard_from", "names no argument of the schema")
    return tool


def _said(source: Source, name: str, pairs: Pairs) -> dict[str, Any]:
    """What the entry says, by the keys of the second spelling; values that cannot be used are reported and left out."""
    said: dict[str, Any] = {}
    for key, (key_node, value) in pairs.items():
        place = f"{name}.{key}"
        if key == "safety":
            _add_safety(source, place, value, pairs, said)
        elif key not in KEYS:
            source.report(key_node, place, f"unknown key{did_you_mean(key, [*KEYS, 'safety'])}")
        elif (read := KEYS[key](source, value, place)) is not None:
            said[key] = read
    return said


def _add_safety(source: Source, place: str, node: yaml.Node, pairs: Pairs, said: dict[str, Any]) -> None:
    for key, (key_node, value) in source.pairs(node, place).items():
        if key not in SAFETY:
            source.report(key_node, f"{place}.{key}", f"unknown key{did_you_mean(key, SAFETY)}")
        elif SAFETY[key] in pairs:
            source.report(key_node, f"{place}.{key}", f"is there twice: also as {SAFETY[key]}")
        elif (read := KEYS[SAFETY[key]](source, value, f"{place}.{key}")) is not None:
            said[SAFETY[key]] = read


def _report_missing(source: Source, name_node: yaml.Node, pairs: Pairs) -> None:
    """A `server` gives an address and means POST; without one both have to be said."""
    if "server" in pairs:
        return
    for key in ("url", "method"):
        if key not in pairs:
            source.report(name_node, f"{name_node.value}.{key}", "is missing (or say which server)")


def _url(source: Source, name: str, pairs: Pairs, said: dict[str, Any], env: Mapping[str, str]) -> str | None:
    url, server = said.get("url"), said.get("server")
    key = "server" if server is not None else "url"
    if key not in said:
        return None
    node = pairs["url" if url is not None else key][1]
    try:
        if server is None:
            return checked_url(expand(str(url), env))
        if url is not None and not str(url).startswith("/"):
            raise NoAddress("beside a server it must be a path, such as /exec")
        base = checked_url(server_base(str(server), env)).rstrip("/")
        if "?" in base:
            raise NoAddress("a server's address has no ?")
        return checked_url(base + (expand(str(url), env) if url is not None else path_of(name)))
    except NoAddress as error:
        source.report(node, f"{name}.{'url' if url is not None else key}", str(error))
        return None
