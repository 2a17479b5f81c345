"""Why a command ends early. The message is what the person reads, so it says what to do.

CliError
├─ UsageProblem      2   bad_request          the command was not understood
├─ NotConfigured     3   configuration        a setting, a file or a service is not as it must be
├─ NoModel           4   model_unavailable    no model answers and none can be had
├─ CallWaits         1   needs_confirmation   nothing was run: a person has to confirm it
├─ OutOfTime         5   deadline             `--timeout` passed
├─ ServiceFailed     6   internal             the service broke, or broke off
│  └─ ServiceIsGone                           it did not take the connection: nothing was sent
└─ ServiceRefused        as the service says
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from kitty_cli import exit_codes
from kitty_cli.exit_codes import ExitCode


class Terminated(KeyboardInterrupt):
    """SIGTERM: the command ends, also where Ctrl-C means less."""


class CliError(Exception):
    """Something keeps the command from its result."""

    status: ClassVar[ExitCode] = ExitCode.INTERNAL
    name: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = self.status
        self.code = self.name
        self.facts: Mapping[str, Any] = {}
        """What `--json` says besides."""


class UsageProblem(CliError):
    status = ExitCode.USAGE
    name = "bad_request"


class NotConfigured(CliError):
    status = ExitCode.CONFIGURATION
    name = "configuration"


class NoModel(CliError):
    status = ExitCode.NO_MODEL
    name = "model_unavailable"


class OutOfTime(CliError):
    status = ExitCode.OUT_OF_TIME
    name = "deadline"


class ServiceFailed(CliError):
    pass


class ServiceIsGone(ServiceFailed):
    pass


class CallWaits(CliError):
    """`waiting` is the gateway's answer: which call, and how to confirm it."""

    status = ExitCode.NOT_VERIFIED
    name = "needs_confirmation"

    def __init__(self, message: str, waiting: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.facts = waiting


class ServiceRefused(CliError):
    """The service answered with a problem document; `service` is the one behind it that does not answer."""

    def __init__(self, message: str, code: str, http_status: int, service: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.exit_code = exit_codes.for_error(code, http_status, service)
