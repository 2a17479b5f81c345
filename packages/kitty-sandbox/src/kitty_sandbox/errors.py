"""What the sandbox raises. What a guest program does is never an error: it is a result.

SandboxError
├─ SandboxUnavailable    503 sandbox_unavailable     nothing was run; carries what is missing and how to mend it
└─ InvalidSandboxRun     422 invalid_sandbox_run     also a ValueError
"""

import inspect
from typing import ClassVar


class SandboxError(Exception):
    """Something went wrong around the sandbox."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "sandbox_error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or inspect.getdoc(type(self)) or self.code
        super().__init__(self.message)


class SandboxUnavailable(SandboxError):
    """This machine cannot isolate a program, so nothing is run."""

    status = 503
    code = "sandbox_unavailable"

    def __init__(self, reason: str | None = None, fix: str = "") -> None:
        """`reason` names the missing piece, `fix` is the exact command or setting that supplies it."""
        super().__init__(reason)
        self.reason = self.message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.reason} Fix: {self.fix}" if self.fix else self.reason


class InvalidSandboxRun(SandboxError, ValueError):
    """The run that was asked for is not valid."""

    status = 422
    code = "invalid_sandbox_run"
