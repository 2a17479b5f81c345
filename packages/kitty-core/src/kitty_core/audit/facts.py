"""What an answer of a service says for the audit row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kitty_core.audit.records import Status

MOST_OF_A_WORD = 200


@dataclass(frozen=True)
class Facts:
    """The part of an audit row that only the answer knows."""

    status: Status
    error: str | None = None
    job_id: str | None = None
    verdict: str | None = None
    tests_passed: bool | None = None
    refinements: int | None = None
    model: str | None = None
    model_sha256: str | None = None
    sandbox_tier: str | None = None
    code_sha256: str | None = None


def facts_of(status_code: int, body: object) -> Facts:
    """The facts of an answer with `status_code` and the JSON `body` (None where it was no JSON).

    `ok`: it ran and succeeded; `failed`: it ran and says of itself that it did not (code that is not verified, a
    command with an exit code); `timeout`: out of time; `error`: it did not run to an end.
    """
    said = body if isinstance(body, Mapping) else {}
    is_error = status_code >= 400
    code = said.get("error_code") or said.get("code") if is_error else None
    return Facts(
        status=_status(status_code, said),
        error=(_word(code) or f"http_{status_code}") if is_error else None,
        job_id=_word(said.get("job_id")),
        verdict=_word(said.get("verdict")),
        tests_passed=_flag(said.get("tests_passed")),
        refinements=_count(said.get("refinement_count")),
        model=_word(said.get("model")),
        model_sha256=_word(said.get("model_sha256")),
        sandbox_tier=_word(said.get("sandbox_tier")),
        code_sha256=_word(said.get("code_sha256")),
    )


def _status(status_code: int, said: Mapping[str, Any]) -> Status:
    if status_code == 504 or said.get("timeout_exceeded") is True:
        return "timeout"
    if status_code >= 400:
        return "error"
    return "failed" if said.get("success") is False else "ok"


def _word(value: object) -> str | None:
    return value[:MOST_OF_A_WORD] if isinstance(value, str) and value else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
