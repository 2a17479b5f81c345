"""The schemas that a model's choice is decoded under, so that it cannot write a call that is none. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from brain.door import Offer
from brain.tool_calls import BARE

NOT_THE_MODELS = frozenset({"user_id", "userId", "conversation_id", "conversationId", "allow_network"})
"""Who asks, and in which conversation, is for the service to say."""
KEPT = ("type", "enum", "const", "required")
DEEPEST = 8


def choice_schema(offers: Sequence[Offer], *, may_answer: bool) -> dict[str, Any]:
    """One of: `{"tool", "arguments"}` of one of `offers`, or `{"answer": true}`."""
    choices = [_object(tool={"const": offer.name}, arguments=for_decoding(offer.schema)) for offer in offers]
    if may_answer:
        choices.append(_object(answer={"const": True}))
    return {"anyOf": choices}


def route_schema(labels: Sequence[str]) -> dict[str, Any]:
    """`{"route": LABEL}`."""
    return _object(route={"enum": list(labels)})


def for_decoding(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """`schema` as a grammar can be made of it: its shape, without bounds on lengths and numbers.

    llama.cpp repeats a rule as often as a `maxLength` says, which it refuses for thousands. The gateway checks the
    arguments against the whole schema anyway.
    """
    if depth > DEEPEST:
        return {}
    if "properties" in schema and (each := variants(schema)):
        # A grammar is made of the alternatives alone: each carries what holds for all of them.
        return {"anyOf": [for_decoding(_merged(schema, one), depth + 1) for one in each]}
    kept = {key: schema[key] for key in KEPT if key in schema}
    if isinstance(members := schema.get("properties"), Mapping):
        inner = {
            name: for_decoding(member, depth + 1) for name, member in members.items() if isinstance(member, Mapping)
        }
        kept["properties"] = {name: member for name, member in inner.items() if name not in NOT_THE_MODELS}
        kept["additionalProperties"] = False
    elif isinstance(more := schema.get("additionalProperties"), Mapping):
        kept["additionalProperties"] = for_decoding(more, depth + 1)
    if isinstance(items := schema.get("items"), Mapping):
        kept["items"] = for_decoding(items, depth + 1)
    for key in ("anyOf", "oneOf"):
        if isinstance(several := schema.get(key), list):
            kept["anyOf"] = [for_decoding(one, depth + 1) for one in several if isinstance(one, Mapping)]
    return kept


def variants(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alternatives of an object: `broker.run` has one for each command."""
    several = schema.get("anyOf")
    return [one for one in several if isinstance(one, Mapping)] if isinstance(several, list) else []


def choices(schema: Mapping[str, Any], name: str) -> list[Any] | None:
    """The values that an argument may have; None: any of its type."""
    values = members_of(schema).get(name, {}).get("enum")
    return values if isinstance(values, list) else None


def members_of(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The schemas of an object's members."""
    members = schema.get("properties")
    return {name: one for name, one in members.items() if isinstance(one, Mapping)} if members else {}


def _merged(schema: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    members = members_of(schema) | members_of(one)
    required = dict.fromkeys([*(schema.get("required") or ()), *(one.get("required") or ())])
    return {**rest, "properties": members, "required": list(required)}


def fitted(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as a tool can take them: bare text goes to its only required text; identity is taken out, and so is
    what is empty and not required, in a command's `args` too: a small model fills in every name there is.
    """
    given = _without_blanks({name: value for name, value in arguments.items() if name not in NOT_THE_MODELS}, schema)
    only = only_text(schema)
    if only and only not in given and list(given) == [BARE]:
        return {only: given[BARE]}
    return given


def _without_blanks(given: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required") or ()
    kept = {
        name: _without_blanks(value, {}) if isinstance(value, Mapping) and name == "args" else value
        for name, value in given.items()
    }
    return {name: value for name, value in kept.items() if name in required or value not in ("", None, [])}


def only_text(schema: Mapping[str, Any]) -> str | None:
    """The name of the one required argument, where it is a text."""
    required = schema.get("required")
    if not isinstance(required, list) or len(required) != 1:
        return None
    member = (schema.get("properties") or {}).get(required[0])
    return required[0] if isinstance(member, Mapping) and member.get("type") == "string" else None


def _object(**members: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(members),
        "required": list(members),
        "additionalProperties": False,
    }
