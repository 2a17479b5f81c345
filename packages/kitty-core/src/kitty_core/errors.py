"""The errors a KITTY service answers with.

KittyError
├─ BadRequest            422 bad_request
├─ BodyTooSlow           408 request_timeout
├─ PayloadTooLarge       413 payload_too_large
├─ Unauthorized          401 unauthorized
├─ Forbidden             403 forbidden
│  ├─ UnsupportedMedia   403 unsupported_media_type
│  ├─ ApprovalForged     403 approval_forged
│  └─ ApprovalExpired    403 approval_expired
├─ CallerIsGone          499 cancelled
└─ ConfigurationError    500 configuration
   └─ RegistryProblem    500 registry

The docstring is the default message; the class carries its HTTP status, a stable code and the headers that go with it.
`service.create_service` installs the one handler that turns any of them into RFC 9457 problem JSON.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import ClassVar


class KittyError(Exception):
    """Something went wrong inside KITTY."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str | None = None, **extra: object) -> None:
        """`extra` holds members that are added to the problem document."""
        self.message = message or inspect.getdoc(type(self)) or self.code
        self.extra: Mapping[str, object] = extra
        super().__init__(self.message)

    def to_problem(self, instance: str | None = None) -> dict[str, object]:
        """The RFC 9457 document: `type, title, status, detail, code`, `instance` where given, and the extra members."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.message,
            "code": self.code,
        }
        if instance is not None:
            problem["instance"] = instance
        return {**problem, **self.extra}


class BadRequest(KittyError):
    """The request is not valid."""

    status = 422
    code = "bad_request"


class BodyTooSlow(KittyError):
    """The request body did not arrive in time."""

    status = 408
    code = "request_timeout"
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class PayloadTooLarge(KittyError):
    """The request body is too large."""

    status = 413
    code = "payload_too_large"


class Unauthorized(KittyError):
    """A service token is needed (Authorization: Bearer ...)."""

    status = 401
    code = "unauthorized"


class Forbidden(KittyError):
    """This is not allowed."""

    status = 403
    code = "forbidden"


class UnsupportedMedia(Forbidden):
    """A POST needs the header Content-Type: application/json."""

    # Not 415: any site's page can have a browser post text/plain or a form without asking, so this marks a forgery.
    code = "unsupported_media_type"


class ApprovalForged(Forbidden):
    """The approval was changed, or signed with another key."""

    code = "approval_forged"


class ApprovalExpired(Forbidden):
    """The approval is too old."""

    code = "approval_expired"


class ConfigurationError(KittyError):
    """A setting is wrong."""

    code = "configuration"


class RegistryProblem(ConfigurationError):
    """The tool registry cannot be used."""

    code = "registry"

    def __init__(self, problems: Sequence[str]) -> None:
        """`problems`: all that is wrong with the file, each as `FILE:LINE: KEY: reason`."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
