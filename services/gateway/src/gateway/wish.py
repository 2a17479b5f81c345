"""A call that somebody asks for, and whether it is well-formed. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.auth import Caller
from gateway.errors import ArgumentsAreWrong, NotThisUser
from kitty_core.tools import Tool

GRACE_SEC = 5.0
"""What a call may take beyond its own `deadline_seconds`, so that the service's own word for it arrives."""
MOST_OF_A_CONVERSATION = 200
DEEPEST = 100
"""Lists and objects within each other; what is judged by recursion then has room to spare."""
USER_FIELDS = ("user_id", "userId")
CONVERSATION_FIELDS = ("conversation_id", "conversationId")
PLAIN_COMMAND = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)*", re.ASCII)
MOST_OF_A_COMMAND = 64


Way = Literal["whole", "stream", "jobs"]


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
    way: Way = "whole"
    """How the answer is wanted: whole; as a `stream` of events, or as one of the `jobs` that go on without the caller,
    each at that name beside the tool's own path."""
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
    _check_address(wish, tool)
    if problems := tool.problems(dict(wish.arguments)):
        raise ArgumentsAreWrong(f"{tool.name}: {'; '.join(problems)}", errors=places(problems))


def row_name(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """What the audit row calls it: of a tool that runs commands with the command, `broker.run:disk.usage`.

    Nothing but the name, and only where it looks like one: a row holds no arguments.
    """
    command = arguments.get(tool.hazard_from) if tool.hazard_from is not None else None
    if not isinstance(command, str) or len(command) > MOST_OF_A_COMMAND or not PLAIN_COMMAND.fullmatch(command):
        return tool.name
    return f"{tool.name}:{command}"


def completed(wish: Wish, *, is_ours: bool) -> dict[str, Any]:
    """The arguments as they are sent: a service of the house is also told for whom, in one spelling."""
    arguments = dict(wish.arguments)
    if is_ours:
        for fields, told in ((USER_FIELDS, wish.caller.user_id), (CONVERSATION_FIELDS, wish.conversation_id)):
            if value := named_in(arguments, fields) or told:
                arguments = {key: said for key, said in arguments.items() if key not in fields} | {fields[0]: value}
    return arguments


def seconds_of(wish: Wish, most: float) -> float:
    """How long the call may take: what it asks for itself, at most `most`. A job's own time is not a call's."""
    if wish.way == "jobs":
        return most
    asked = wish.arguments.get("deadline_seconds")
    if not isinstance(asked, int | float) or isinstance(asked, bool) or asked >= most:
        return most
    return min(most, float(max(asked, 0)) + GRACE_SEC)


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
    except ValueError:
        raise ArgumentsAreWrong("arguments: NaN and Infinity are no numbers of JSON") from None


def _check_address(wish: Wish, tool: Tool) -> None:
    if tool.method not in ("GET", "DELETE"):
        return
    try:
        json.dumps(dict(wish.arguments), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ArgumentsAreWrong("arguments: half of a surrogate pair cannot stand in an address") from None


def places(problems: list[str]) -> list[dict[str, str]]:
    """Each `path: reason` as an object with both."""
    parted = [problem.partition(": ") for problem in problems]
    return [{"field": place, "message": reason} for place, _, reason in parted]
