"""A real broker for tests: the whole service over real HTTP, on a free port, in a thread of this process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from broker.main import create_app
from broker.settings import Settings
from kitty_core.serving import listening

TOKEN = "the-token-of-the-tests"


@dataclass(frozen=True)
class RunningBroker:
    """Where it listens."""

    base_url: str
    headers: Mapping[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {TOKEN}"})

    def run(self, command: str, timeout: float | None = None, **args: Any) -> httpx.Response:
        """POST /exec."""
        body = {"command": command, "args": args, "user_id": "ann", "conversation_id": "c1"}
        return self.post("/exec", body if timeout is None else {**body, "timeout": timeout})

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """POST any JSON body."""
        url = f"{self.base_url}{path}"
        return httpx.post(url, json=body, headers={**self.headers, **headers}, timeout=60, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        """GET a path."""
        return httpx.get(f"{self.base_url}{path}", headers=dict(self.headers), timeout=30, trust_env=False)


@contextmanager
def running_broker(**settings: Any) -> Iterator[RunningBroker]:
    """Serve until the block ends; `settings` are fields of `Settings`."""
    app = create_app(Settings(_env_file=None, **{"kitty_service_token": TOKEN, **settings}))
    with listening(app) as base_url:
        yield RunningBroker(base_url)
