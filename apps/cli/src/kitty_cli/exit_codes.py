"""What the exit status says. 0 is earned: it means that the code that was printed is verified.

0 verified · 1 ran, not verified · 2 usage · 3 configuration or no sandbox · 4 no model · 5 budget or deadline
6 internal · 130 interrupted
"""

from collections.abc import Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    VERIFIED = 0
    NOT_VERIFIED = 1
    USAGE = 2
    CONFIGURATION = 3
    NO_MODEL = 4
    OUT_OF_TIME = 5
    INTERNAL = 6
    INTERRUPTED = 130


BY_VERDICT: Mapping[str, ExitCode] = {
    "verified": ExitCode.VERIFIED,
    "tests_failed": ExitCode.NOT_VERIFIED,
    "not_verified": ExitCode.NOT_VERIFIED,
    "budget_exhausted": ExitCode.OUT_OF_TIME,
    "deadline": ExitCode.OUT_OF_TIME,
    "model_unavailable": ExitCode.NO_MODEL,
    "sandbox_unavailable": ExitCode.CONFIGURATION,
    "cancelled": ExitCode.INTERRUPTED,
}

BY_ERROR_CODE: Mapping[str, ExitCode] = {
    "bad_request": ExitCode.USAGE,
    "unknown_model": ExitCode.USAGE,
    "network_refused": ExitCode.USAGE,
    "prompt_too_long": ExitCode.USAGE,
    "payload_too_large": ExitCode.USAGE,
    "unsupported_media_type": ExitCode.USAGE,
    "no_such_job": ExitCode.USAGE,
    "job_not_resumable": ExitCode.USAGE,
    "configuration": ExitCode.CONFIGURATION,
    "sandbox_unavailable": ExitCode.CONFIGURATION,
    "unauthorized": ExitCode.CONFIGURATION,
    "forbidden": ExitCode.CONFIGURATION,
    "not_found": ExitCode.CONFIGURATION,
    "gateway_unavailable": ExitCode.CONFIGURATION,
    "job_store_unavailable": ExitCode.CONFIGURATION,
    "model_unavailable": ExitCode.NO_MODEL,
    "bad_gateway": ExitCode.NO_MODEL,
    "deadline": ExitCode.OUT_OF_TIME,
    "budget_exhausted": ExitCode.OUT_OF_TIME,
    "queue_full": ExitCode.OUT_OF_TIME,
    "cancelled": ExitCode.INTERRUPTED,
}


def for_verdict(verdict: object) -> ExitCode:
    """An unknown verdict is never a success."""
    return BY_VERDICT.get(str(verdict), ExitCode.INTERNAL)


def for_error(code: object, status: int | None = None, service: object = None) -> ExitCode:
    """By the stable code; for one that is not known by the HTTP status, where there is one.

    `service`: the one that the gateway could not reach. Its absence is no matter of models.
    """
    if code == "bad_gateway" and service:
        return ExitCode.CONFIGURATION
    known = BY_ERROR_CODE.get(str(code))
    if known is not None:
        return known
    if status is not None and status == 429:
        return ExitCode.OUT_OF_TIME
    return ExitCode.USAGE if status is not None and 400 <= status < 500 else ExitCode.INTERNAL
