"""The shapes of the answers, for the API's document."""

from typing import Any, Literal

from pydantic import BaseModel

from coder_agent.engine.records import JobStatus
from coder_agent.state import Verdict


class Usage(BaseModel):
    """What the job cost; `seconds` by step."""

    prefill_tokens: int
    cached_tokens: int
    completion_tokens: int
    calls: int
    total_seconds: float
    seconds: dict[str, float]


class CodingResponse(BaseModel):
    """Code, its tests and what was proven. Several names of one thing serve several kinds of clients."""

    code: str
    tests: str
    test_code: str
    passed: bool
    """`verdict` is `verified`; so are the next two."""
    tests_passed: bool
    success: bool
    final_answer: str
    """Markdown, as `summary`."""
    summary: str
    plan: str | None
    run_stdout: str
    run_stderr: str
    test_output: str
    refinement_count: int
    error: str | None
    job_id: str
    request_id: str | None
    conversation_id: str | None
    verdict: Verdict
    evidence: dict[str, Any]
    """What was run: the caller's tests, examples, generated tests, agreement, mutation score."""
    confidence: float
    verdict_strength: str
    code_sha256: str | None
    """Of exactly the code that was judged."""
    files: dict[str, str]
    """What is new or was changed, path to text."""
    diff: str | None
    """Between the code that came and `code`, unified; None where none came."""
    usage: Usage
    model: str | None
    model_sha256: str | None
    module: str
    tier: str
    sandbox_tier: str


class JobError(BaseModel):
    """Why there is no verdict, or no code."""

    code: str
    detail: str


class JobView(BaseModel):
    """A job as it stands. Times are ISO 8601, in UTC."""

    job_id: str
    status: JobStatus
    verdict: str | None
    step: str | None
    """The last step that is finished."""
    created_at: str
    started_at: str | None
    finished_at: str | None
    queue: str
    """Which workers may take it up: those with this `JOBS_QUEUE`."""
    queue_position: int | None
    """1: next of those that wait."""
    tool: str
    request: str
    """The first 500 characters."""
    tier: str
    user_id: str | None
    request_id: str | None
    conversation_id: str | None
    attempt: int
    """How often a worker took it up."""
    worker: str | None
    cancel_requested: bool
    last_event: int
    error: JobError | None
    result: CodingResponse | None


class JobList(BaseModel):
    """The newest jobs, newest first; without `result` and `error`."""

    jobs: list[JobView]


class SandboxHealth(BaseModel):
    """Whether code can be run, and if not, why and what helps."""

    enabled: bool
    available: bool
    sandbox_tier: str
    python: str
    reason: str
    fix: str
    warnings: list[str]


class AuditHealth(BaseModel):
    """Audit rows that wait for the database, and those that neither it nor the disk took."""

    spooled_rows: int
    lost_rows: int


class Health(BaseModel):
    """How the service is."""

    service: Literal["coder-agent"]
    status: Literal["ok", "degraded", "error"]
    access: Literal["open", "token"]
    """`open`: on loopback `/api/coding/*` answers without the service token."""
    llm_servers: dict[str, str]
    sandbox: SandboxHealth
    embedded_model: str | None
    jobs_running: int | None
    """Here and elsewhere; None: the jobs' database does not answer."""
    jobs_queued: int | None
    audit: AuditHealth
