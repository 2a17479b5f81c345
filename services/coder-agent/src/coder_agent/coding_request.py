"""The bodies of requests for code, by tool, and the tasks that they make."""

import json
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from coder_agent.decision import REPAIRS, TIERS
from coder_agent.errors import NetworkIsRefused
from coder_agent.settings import Settings
from coder_agent.state import Task
from coder_agent.task import module_name_problem, read_task

PLAIN_MODEL = re.compile(r"[\w.:-]{1,100}", re.ASCII)
MOST_TEXT = 200_000
Text = Annotated[str, Field(max_length=MOST_TEXT)]


class JobRequest(BaseModel):
    """What the tools for code have in common."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=False)
    tool: ClassVar[str]

    tests: Text | None = None
    module: str = "solution.py"
    files: Annotated[dict[str, Text], Field(max_length=50)] = Field(default_factory=dict)
    max_refinements: Annotated[int, Field(ge=0, le=8)] | None = None
    timeout_seconds: Annotated[float, Field(ge=1, le=300)] | None = None
    deadline_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    tier: Literal["fast", "standard", "deep"] = "standard"
    model: str | None = None
    conversation_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, validation_alias=AliasChoices("conversation_id", "conversationId")
    )
    user_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, validation_alias=AliasChoices("user_id", "userId")
    )
    allow_network: bool = False

    @field_validator("request", "tests", "code", "error", check_fields=False)
    @classmethod
    def _is_text(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "\x00" in value:
            raise ValueError("holds a NUL character")
        if not value.strip():
            raise ValueError("is empty")
        _encodable(value)
        return value

    @field_validator("module")
    @classmethod
    def _is_plain_module(cls, value: str) -> str:
        if problem := module_name_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("files")
    @classmethod
    def _are_plain_files(cls, value: dict[str, str]) -> dict[str, str]:
        for path, text in value.items():
            if not is_plain_path(path):
                raise ValueError(f"{path!r} is not a plain relative path (no '..', no leading '/', no links)")
            if "\x00" in text:
                raise ValueError(f"{path!r} holds a NUL character")
            _encodable(text)
        return value

    @field_validator("model")
    @classmethod
    def _is_alias(cls, value: str | None) -> str | None:
        if value is not None and not PLAIN_MODEL.fullmatch(value):
            raise ValueError("must be an alias such as kitty-coder, not a path or an address")
        return value


class CodingRequest(JobRequest):
    """A request for code. Only `request` is needed."""

    tool = "coding.generate"

    request: Annotated[str, Field(min_length=1, max_length=20_000)]


class FixRequest(JobRequest):
    """Code to be corrected, and what shows that it is wrong: `tests` that fail, an `error`, or both."""

    tool = "coding.fix"

    code: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
    """The module as it is."""
    error: Annotated[str, Field(max_length=20_000)] | None = None
    """What was seen, such as a traceback."""
    request: Annotated[str, Field(max_length=20_000)] | None = None
    """What the code is to do, in words; examples in it count as tests."""

    @model_validator(mode="after")
    def _shows_what_is_wrong(self) -> Self:
        if self.tests is None and self.error is None and self.request is None:
            raise ValueError("give `tests` that fail, an `error` such as a traceback, or a `request` with examples")
        return self


REQUESTS: dict[str, type[JobRequest]] = {one.tool: one for one in (CodingRequest, FixRequest)}
"""The bodies by their tools."""


def written_down(body: JobRequest) -> str:
    """The body as it is kept with a job, for `read_again`."""
    return json.dumps({"tool": body.tool, **body.model_dump(mode="json", exclude_unset=True)})


def read_again(text: str) -> JobRequest:
    """Raises: ValueError: another version of the program wrote it."""
    data = json.loads(text)
    return REQUESTS[data.pop("tool", CodingRequest.tool)].model_validate(data)


def is_plain_path(path: str) -> bool:
    """Whether `path` is relative, stays below its folder, and holds nothing odd."""
    parts = path.split("/")
    return (
        0 < len(path) <= 200
        and path.isprintable()
        and not any(c in path for c in "\\:")
        and all(part not in {"", ".", ".."} for part in parts)
    )


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode text") from None


def task_of(body: JobRequest, settings: Settings) -> Task:
    """The task, with every default filled in.

    Raises:
        NetworkIsRefused
        BadRequest: the module, the files and the tests cannot lie in one folder.
    """
    if body.allow_network:
        raise NetworkIsRefused
    limits = TIERS[body.tier]
    usual, words, given, error = settings.coder_refine_passes, "", None, ""
    if isinstance(body, CodingRequest):
        words = body.request
    elif isinstance(body, FixRequest):
        usual, words = REPAIRS[body.tier], body.request or f"Correct the module {body.module}."
        given, error = body.code, body.error or ""
    return read_task(
        request=words,
        given=given,
        error=error,
        module=body.module if "module" in body.model_fields_set else None,
        caller_tests=body.tests,
        files=body.files,
        limits=limits,
        refinements=usual if body.max_refinements is None else body.max_refinements,
        runs_code=settings.sandbox_enabled,
        tier=body.tier,
        model=body.model,
        timeout_sec=body.timeout_seconds or settings.coder_test_timeout_sec,
        deadline_sec=body.deadline_seconds,
    )
