"""What keeps a command from running. A command that fails, hangs or is killed is a result, not an error.

KittyError (kitty_core)
├─ UnknownCommand         404 unknown_command
├─ BadArguments           422 bad_arguments         `errors` names each place
│  └─ RepositoryIsRefused  422 repository_refused
├─ TooManyCommands        429 too_many_commands
├─ CommandIsUnavailable   503 command_unavailable   the reason says what is missing
└─ GuardFailed            500 guard_failed
"""

from collections.abc import Mapping
from typing import ClassVar, Self

from kitty_core.errors import BadRequest, KittyError


class UnknownCommand(KittyError):
    """No such command is on the allow-list."""

    status = 404
    code = "unknown_command"


class BadArguments(BadRequest):
    """The arguments do not fit the command."""

    code = "bad_arguments"

    @classmethod
    def at(cls, *problems: tuple[str, str]) -> Self:
        """`problems` are pairs of place (`args.path`) and reason."""
        text = "; ".join(f"{place}: {reason}" for place, reason in problems)
        return cls(text, errors=[{"field": place, "message": reason} for place, reason in problems])


class RepositoryIsRefused(BadArguments):
    """The workspace holds no git repository of the kind that can be looked at safely."""

    code = "repository_refused"


class TooManyCommands(KittyError):
    """As many commands run as may at once; ask again."""

    status = 429
    code = "too_many_commands"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class CommandIsUnavailable(KittyError):
    """The command cannot run on this machine as it is set up."""

    status = 503
    code = "command_unavailable"


class GuardFailed(KittyError):
    """The process that watches over a command ended without a report; what it watched was ended."""

    code = "guard_failed"
