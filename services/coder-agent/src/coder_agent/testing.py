"""A real coder-agent for tests: the whole service over real HTTP, on a free port, in a thread of this process."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from coder_agent.backends import Backends
from coder_agent.main import create_app
from coder_agent.settings import Settings
from kitty_sandbox import Sandbox

START_WITHIN_SEC = 30.0


@dataclass(frozen=True)
class RunningAgent:
    """Where it listens."""

    base_url: str

    def generate(self, request: str, **fields: Any) -> httpx.Response:
        """POST /api/coding/generate."""
        return self.post("/api/coding/generate", {"request": request, **fields})

    def post(self, path: str, body: Any) -> httpx.Response:
        """POST any JSON body."""
        return httpx.post(f"{self.base_url}{path}", json=body, timeout=120, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        """GET a path."""
        return httpx.get(f"{self.base_url}{path}", timeout=30, trust_env=False)


@contextmanager
def running_agent(
    model_url: str, *, sandbox: Sandbox | None = None, env: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[RunningAgent]:
    """Serve until the block ends.

    Args:
        model_url: the model server of every role.
        sandbox: default the real one.
        env: more of what the backends read, such as `LLAMACPP_CODER_API_KEY`.
        settings: fields of `Settings`.
    """
    backends = Backends({"LLAMACPP_F16_BASE": model_url, "LLAMACPP_Q4_BASE": model_url, **(env or {})})
    own = Settings(_env_file=None, **{"coder_evidence_dir": "off", "coder_conversations_dir": "off", **settings})
    app = create_app(own, backends=backends, sandbox=sandbox)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield RunningAgent(f"http://127.0.0.1:{_port(server, thread)}")
    finally:
        server.should_exit = True
        thread.join(START_WITHIN_SEC)


def _port(server: uvicorn.Server, thread: threading.Thread) -> int:
    until = time.monotonic() + START_WITHIN_SEC
    while not server.started:
        if time.monotonic() > until or not thread.is_alive():
            raise RuntimeError("The coder-agent did not start.")
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
