"""A real coder-agent for tests: the whole service over real HTTP, on a free port, in a thread of this process."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import URL

from coder_agent.backends import backends_of
from coder_agent.main import create_app
from coder_agent.settings import Settings
from kitty_core.audit import SpooledAuditLog
from kitty_core.serving import listening
from kitty_core.testing import MemoryAuditLog
from kitty_sandbox import Sandbox

TOKEN = "the-service-token-of-the-tests"


@dataclass(frozen=True)
class RunningAgent:
    """Where it listens, and what it wrote down."""

    base_url: str
    audit: MemoryAuditLog
    headers: Mapping[str, str] = field(default_factory=dict)
    """The service token, where the test named one: then it asks as the gateway does."""

    def generate(self, request: str, **fields: Any) -> httpx.Response:
        """POST /api/coding/generate."""
        return self.post("/api/coding/generate", {"request": request, **fields})

    def post(self, path: str, body: Any) -> httpx.Response:
        """POST any JSON body."""
        headers = dict(self.headers)
        return httpx.post(f"{self.base_url}{path}", json=body, headers=headers, timeout=120, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        """GET a path."""
        return httpx.get(f"{self.base_url}{path}", timeout=30, trust_env=False)

    def rows(self) -> list[dict[str, Any]]:
        """The audit rows, oldest first."""
        return [dict(entry.columns) for entry in self.audit.rows]


@contextmanager
def running_agent(
    model_url: str,
    *,
    sandbox: Sandbox | None = None,
    env: Mapping[str, str] | None = None,
    audit: MemoryAuditLog | None = None,
    jobs: URL | None = None,
    **settings: Any,
) -> Iterator[RunningAgent]:
    """Serve until the block ends.

    Args:
        model_url: the model server of every role.
        sandbox: default the real one.
        env: more of what the backends read, such as `LLAMACPP_CODER_API_KEY`.
        jobs: the database of the jobs; default one that is thrown away.
        settings: fields of `Settings`.
    """
    servers = {"LLAMACPP_F16_BASE": model_url, "LLAMACPP_Q4_BASE": model_url, **(env or {})}
    off = {"coder_evidence_dir": "off", "coder_conversations_dir": "off", "kitty_service_token": TOKEN}
    own = Settings(_env_file=None, **{**off, **settings})
    token = settings.get("kitty_service_token")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    log = audit or MemoryAuditLog()
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(
            own,
            backends=backends_of(own, servers),
            sandbox=sandbox,
            open_trail=lambda: SpooledAuditLog(log, Path(folder)),
            jobs_url=jobs or URL.create("sqlite", database=f"{folder}/jobs.sqlite3"),
        )
        with listening(app) as base_url:
            yield RunningAgent(base_url, log, headers)
