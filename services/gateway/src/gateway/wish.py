"""A call that somebody asks for, and whether it is well-formed. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.auth import Caller
from gateway.errors import ArgumentsAreWrong, NotThisUser
from kitty_core.tools import Tool

GRACE_SEC = 5.0
"""What a call may take beyond its own `deadline_seconds`, so that the service's own word for it arrives."""
MOST_OF_A_CONVERSATION = 200
USER_FIELDS = ("user_id", "userId")
CONVERSATION_FIELDS = ("conversation_id", "conversationId")


@dataclass(frozen=True)
class Wish:
    """A call that somebody asks for."""

    tool: str
    """Dotted, or with underscores."""
    arguments: Mapping[str, Any]
    caller: Caller
    request_id: str
    conversation_id: str | None = None
    override_given: bool = False
    """The person's own message held the override word."""
    confirmed: bool = False
    """A person has said the phrase to exactly these arguments."""
    streams: bool = False
    """The answer is wanted as events: at `/stream` beside the tool's own path."""
    headers: Mapping[str, str] = field(default_factory=dict)


def check(wish: Wish, tool: Tool) -> None:
    """Returns where `wish` can be judged at all.

    Raises:
        NotThisUser: its arguments name another user.
        ArgumentsAreWrong: they do not fit the tool's schema.
    """
    _check_user(wish)
    _check_conversation(wish)
    _check_numbers(wish)
    if problems := tool.problems(dict(wish.arguments)):
        raise ArgumentsAreWrong(f"{tool.name}: {'; '.join(problems)}", errors=_places(problems))


def completed(wish: Wish, *, is_ours: bool) -> dict[str, Any]:
    """The arguments as they are sent: a service of the house is also told for whom, in one spelling."""
    arguments = dict(wish.arguments)
    if is_ours:
        for fields, told in ((USER_FIELDS, wish.caller.user_id), (CONVERSATION_FIELDS, wish.conversation_id)):
            if value := named_in(arguments, fields) or told:
                arguments = {key: said for key, said in arguments.items() if key not in fields} | {fields[0]: value}
    return arguments


def seconds_of(wish: Wish, most: float) -> float:
    """How long the call may take: what it asks for itself, and at most `most`."""
    asked = wish.arguments.get("deadline_seconds")
    is_number = isinstance(asked, int | float) and not isinstance(asked, bool)
    return min(most, float(asked) + GRACE_SEC) if is_number and asked is not None else most


def named_in(arguments: Mapping[str, Any], fields: tuple[str, ...]) -> str | None:
    """The text of the first of `fields` that has one."""
    return next((value for name in fields if isinstance(value := arguments.get(name), str) and value), None)


def conversation_of(wish: Wish) -> str | None:
    """The conversation a call belongs to: the one it came by, or that its arguments name."""
    return wish.conversation_id or named_in(wish.arguments, CONVERSATION_FIELDS)


def _check_conversation(wish: Wish) -> None:
    conversation = conversation_of(wish) or ""
    if len(conversation) > MOST_OF_A_CONVERSATION or not conversation.isprintable():
        raise ArgumentsAreWrong(f"conversation_id: at most {MOST_OF_A_CONVERSATION} printable characters")


def _check_user(wish: Wish) -> None:
    for name in USER_FIELDS:
        said = wish.arguments.get(name)
        if said is not None and said != wish.caller.user_id:
            raise NotThisUser(f"{name} has to be {wish.caller.user_id!r}, or to be left out.")


def _check_numbers(wish: Wish) -> None:
    try:
        json.dumps(wish.arguments, allow_nan=False)
    except (ValueError, RecursionError):
        raise ArgumentsAreWrong(
            "arguments: NaN and Infinity are no numbers of JSON, or they are nested too deep"
        ) from None


def _places(problems: list[str]) -> list[dict[str, str]]:
    parted = [problem.partition(": ") for problem in problems]
    return [{"field": place, "message": reason} for place, _, reason in parted]
