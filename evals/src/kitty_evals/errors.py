"""Why an evaluation ends early. What a task does (it fails, hangs, is refused) is a record, never one of these.

EvalError
├─ UsageProblem      2   the command or the task file was not understood
├─ NotConfigured     3   a setting, the sandbox or a service is not as it must be
│  └─ ServiceLost    3   the coder-agent answered before and does not any more
└─ NoModel           4   no model answers and none can be had
   └─ ModelLost      4   the model answered before and does not any more
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """As `kitty_cli.exit_codes`, which a program beside it cannot import."""

    DONE = 0
    USAGE = 2
    CONFIGURATION = 3
    NO_MODEL = 4
    INTERNAL = 6
    INTERRUPTED = 130


class EvalError(Exception):
    """Something keeps the evaluation from its end; the message says what to do."""

    status: ClassVar[ExitCode]


class UsageProblem(EvalError):
    status = ExitCode.USAGE


class NotConfigured(EvalError):
    status = ExitCode.CONFIGURATION


class ServiceLost(NotConfigured):
    pass


class NoModel(EvalError):
    status = ExitCode.NO_MODEL


class ModelLost(NoModel):
    pass
