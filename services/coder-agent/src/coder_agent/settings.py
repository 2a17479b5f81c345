"""Every variable the coder-agent reads. Generated into docs/configuration.md."""

from typing import Literal

from pydantic import AliasChoices, Field, field_validator

from kitty_core.settings import KittySettings
from kitty_sandbox import SandboxTier

DAY_SEC = 86_400


class Settings(KittySettings):
    """Field names are the environment variables in lower case; where two are named, both are read."""

    coder_port: int = Field(default=8092, ge=0, le=65535)
    """Port the service listens on; 0 picks a free one."""
    kitty_bind: str = "127.0.0.1"
    """Address the service listens on. Any other than loopback needs KITTY_SERVICE_TOKEN."""
    kitty_allowed_hosts: str = ""
    """Comma-separated Host names served besides loopback, such as `coder-agent`."""
    kitty_service_token: str | None = None
    """The gateway's `Authorization: Bearer …`, and sent to the brain; on loopback `/api/coding/*` answers without."""
    kitty_idle_stop_sec: float | None = Field(default=None, gt=0)
    """Stop by itself after so many seconds without a request; unset: never."""
    kitty_model: str = ""
    """Embedded model: an alias or a GGUF path; empty: chosen for this machine."""

    coder_max_tokens: int = Field(default=768, ge=16, le=32768)
    """Most tokens of one model call; the first answer is continued once when it is cut off."""
    coder_temperature: float | None = Field(default=None, ge=0, le=2)
    """Temperature of the first sample; unset: 0. Further samples use 0.8 or this, whichever is higher."""
    coder_refine_passes: int = Field(
        default=2, ge=0, le=8, validation_alias=AliasChoices("CODER_REFINE_PASSES", "CODER_MAX_REFINEMENTS")
    )
    """How often a failing candidate goes back to the model."""
    coder_test_timeout_sec: float = Field(
        default=20, ge=1, le=300, validation_alias=AliasChoices("CODER_TEST_TIMEOUT_SEC", "CODER_TIMEOUT_SECONDS")
    )
    """Seconds one sandbox run may take; of that, a single example at most 2."""
    coder_llm_route: Literal["direct", "brain"] = "direct"
    """How model calls travel: `direct` to the model servers, or by the `brain`; then no embedded model is started."""
    brain_base: str = "http://127.0.0.1:8000"
    """Where the brain is; asked only with `CODER_LLM_ROUTE=brain`."""
    coder_summary: Literal["template", "model"] = "template"
    """Who writes the summary."""

    coder_evidence_dir: str = ""
    """Folder where the evidence of each job is kept, for `kitty-cli eval replay`.

    Empty: `evidence` in the state directory; `off`: none.
    """
    coder_evidence_kept: int = Field(default=200, ge=1)
    """Jobs whose evidence is kept; the oldest goes first."""

    coder_conversations_dir: str = ""
    """Folder where the last code of each conversation is kept, so that a later request can go on with it.

    Empty: `conversations` in the state directory; `off`: none.
    """
    coder_conversations_kept: int = Field(default=200, ge=1)
    """Conversations that are kept; the oldest goes first."""

    coder_jobs_at_once: int | None = Field(default=None, ge=1, le=1000)
    """Jobs that run at once in this process; unset: as many as the model servers have slots."""
    jobs_queue: str = Field(default="default", min_length=1, max_length=100)
    """Which of the queues in the database this process hands jobs into and takes jobs from."""
    jobs_queue_limit: int = Field(default=100, ge=1, le=100_000)
    """Jobs that may wait; a further one is answered with 429."""
    jobs_lease_sec: float = Field(default=15, ge=1, le=600)
    """Seconds after the last sign of life of a worker in which its jobs are taken up by another, or by it again."""
    jobs_kept_days: float = Field(default=30, gt=0)
    """Days after which a job that has ended is deleted, with its events."""
    jobs_kept: int = Field(default=1000, ge=1)
    """Jobs that have ended and are kept; the oldest goes first."""

    sandbox_enabled: bool = True
    """false: code and tests are returned and nothing is executed; the verdict is `not_verified`."""
    sandbox_py_path: str = ""
    """Python interpreter inside the sandbox; empty: the service's own."""
    sandbox_tier: SandboxTier = "full"
    """Isolation. `full` gives way to `ns-only` where it must; `landlock` also to no namespaces (safety.md)."""

    llamacpp_n_ctx: int = Field(default=4096, ge=512)
    """Context size where the server cannot be asked; then a token counts as 3 characters."""

    @field_validator("sandbox_tier", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.kitty_bind in {"127.0.0.1", "::1", "localhost"} or self.kitty_bind.startswith("127.")
