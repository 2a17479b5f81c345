"""What keeps the gateway from an answer of a service.

KittyError (kitty_core)
├─ KeyIsNeeded              401 unauthorized            (Unauthorized)
├─ TooManyRequests          429 too_many_requests       with Retry-After
├─ TooManyWait              429 too_many_requests       with Retry-After
├─ IsReadOnly               403 read_only               (Forbidden)
├─ NotThisUser              403 other_user              (Forbidden)
├─ NotFromAModel            403 human_needed            (Forbidden)
├─ ToolIsBlocked            403 tool_blocked            (Forbidden)
├─ UnknownTool              404 unknown_tool
├─ UnknownCommand           404 unknown_command
├─ NoSuchJob                404 no_such_job             in the coder-agent's words
├─ BodyIsNoJson             422 bad_request             (BadRequest)
├─ ArgumentsAreWrong        422 bad_request             (BadRequest)
├─ ConfirmationIsRefused    403 confirmation_refused    (Forbidden)
├─ UnknownConfirmation      404 unknown_confirmation
├─ ConfirmationIsUsed       409 confirmation_used
├─ ConfirmationIsOver       410 confirmation_expired
├─ ServiceIsDown            502 bad_gateway
│  └─ ServiceAnsweredBadly  502 bad_gateway
├─ DatabaseIsAway           503 database_unavailable
└─ ServiceIsTooSlow         504 deadline
"""

from collections.abc import Mapping
from typing import ClassVar

from kitty_core.errors import BadRequest, Forbidden, KittyError, Unauthorized


class KeyIsNeeded(Unauthorized):
    """An API key is needed (Authorization: Bearer KEY, or X-API-Key). `./kitty keys` (`kitty-cli keys`) makes one."""

    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class TooManyRequests(KittyError):
    """Too many requests."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, retry_after_sec: int) -> None:
        super().__init__(message, retry_after_sec=retry_after_sec)
        self.retry_after_sec = retry_after_sec


class TooManyWait(KittyError):
    """Too many calls of this user wait for a confirmation; confirm or cancel some."""

    status = 429
    code = "too_many_requests"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "60"}


class IsReadOnly(Forbidden):
    """This key, or this client by X-Remote-Mode, may only read."""

    code = "read_only"


class NotThisUser(Forbidden):
    """The body names another user than the key's."""

    code = "other_user"


class NotFromAModel(Forbidden):
    """A confirmation is taken from a person only."""

    code = "human_needed"


class ToolIsBlocked(Forbidden):
    """This tool may not be run."""

    code = "tool_blocked"


class UnknownTool(KittyError):
    """There is no such tool; nothing was run."""

    status = 404
    code = "unknown_tool"


class UnknownCommand(KittyError):
    """The broker's list has no such command; nothing was run."""

    status = 404
    code = "unknown_command"


class NoSuchJob(KittyError):
    """There is no such job, or it is another user's."""

    status = 404
    code = "no_such_job"


class BodyIsNoJson(BadRequest):
    """The body is no JSON."""


class ArgumentsAreWrong(BadRequest):
    """The arguments do not fit the tool's schema; nothing was run."""


class ConfirmationIsRefused(Forbidden):
    """This does not confirm the call; nothing was run."""

    code = "confirmation_refused"


class UnknownConfirmation(KittyError):
    """No call of yours waits under this id."""

    status = 404
    code = "unknown_confirmation"


class ConfirmationIsUsed(KittyError):
    """This call was decided before; it runs once at most."""

    status = 409
    code = "confirmation_used"


class ConfirmationIsOver(KittyError):
    """The time to confirm this call is over; ask for it again."""

    status = 410
    code = "confirmation_expired"


class ServiceIsDown(KittyError):
    """A service does not answer."""

    status = 502
    code = "bad_gateway"


class ServiceAnsweredBadly(ServiceIsDown):
    """A service answered something that is no answer."""


class DatabaseIsAway(KittyError):
    """The gateway's database does not answer."""

    status = 503
    code = "database_unavailable"


class ServiceIsTooSlow(KittyError):
    """The service did not finish in time."""

    status = 504
    code = "deadline"
