"""What the gateway's tests share."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.testing import TOKEN, Reply, RunningGateway, ScriptedService, running_gateway, running_service, wait_until
from kitty_core.testing import running_postgres

REGISTRY = """
tools:
  coding.generate:
    method: POST
    url: ${CODER_AGENT_BASE}/api/coding/generate
    schema: {type: object, required: [request], properties: {request: {type: string, minLength: 1}}}
    safety: {hazard_class: low, confirmation_required: false}
  disk.wipe:
    method: POST
    url: ${BROKER_BASE}/wipe
    schema: {type: object, required: [path], properties: {path: {type: string}}}
    hazard_class: high
  disk.sell:
    method: POST
    url: ${BROKER_BASE}/sell
    hazard_class: high
    confirmation_phrase: "Sell it"
    dual_confirm: true
  disk.look:
    method: GET
    url: ${BROKER_BASE}/look
    hazard_class: none
  disk.log:
    method: POST
    url: ${BROKER_BASE}/log
    hazard_class: none
    read_only: true
  disk.old:
    method: POST
    url: ${BROKER_BASE}/old
    hazard_class: none
    enabled: false
  disk.secret:
    method: POST
    url: ${BROKER_BASE}/secret
    hazard_class: none
    requires_override: true
    egress: false
  web.search:
    method: POST
    url: ${BROKER_BASE}/search
    hazard_class: none
    egress: true
    read_only: true
    budget_tier: free
  broker.run:
    method: POST
    url: ${BROKER_BASE}/exec
    schema: {type: object, required: [command], properties: {command: {type: string}, args: {type: object}}}
    hazard_class: high
    hazard_from: command
  mirror.generate:
    method: POST
    url: http://gateway:8080/api/coding/generate
    hazard_class: low
"""
COMMANDS = {"commands": [{"name": "disk.usage", "hazard_class": "low"}, {"name": "pytest", "hazard_class": "high"}]}
VERIFIED = {
    "code": "def add(a, b): return a + b",
    "success": True,
    "tests_passed": True,
    "verdict": "verified",
    "refinement_count": 1,
    "job_id": "job1",
    "code_sha256": "c" * 64,
    "model": "kitty-coder",
    "model_sha256": "d" * 64,
    "sandbox_tier": "full",
}


def usual(seen: Any) -> Reply:
    """What the services say when a test has no other wish."""
    if seen.path == "/broker/commands":
        return Reply(COMMANDS)
    return Reply(VERIFIED if seen.path.startswith("/api/coding/") else {"success": True, "was": seen.body})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[RunningGateway, ScriptedService]]]:
    """start(script=usual, registry=REGISTRY, **settings) -> (gateway, the one service behind it)."""
    with ExitStack() as stack:

        def start(script: Any = usual, registry: str = REGISTRY, **options: Any) -> Any:
            service = stack.enter_context(running_service(script))
            names = ("coder_agent_base", "brain_base", "memory_base", "broker_base")
            # One service is behind all four names; the path tells them apart.
            bases = {name: f"{service.base_url}/{name[:-5]}" if name != "coder_agent_base" else service.base_url
                     for name in names}  # fmt: skip
            return stack.enter_context(running_gateway(tmp_path, registry, **{**bases, **options})), service

        yield start


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A real PostgreSQL for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """What a fresh user of the program has, with one tool."""
    registry = tmp_path / "registry.yaml"
    registry.write_text("tools:\n  disk.look: {method: GET, url: '${BROKER_BASE}/look', hazard_class: none}\n")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {
        **kept,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TOOL_REGISTRY_PATH": str(registry),
        "BROKER_BASE": "http://127.0.0.1:9",
        "KITTY_SERVICE_TOKEN": TOKEN,
    }


@pytest.fixture
def started() -> Callable[..., Any]:
    """started(env, log, program): the gateway as a process of its own."""
    return process_of


@contextmanager
def process_of(
    env: dict[str, str], log: Path, program: Sequence[str] = ("-m", "gateway.main")
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A running gateway; yields (base URL, process). Its output goes to `log`."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *program],
            env={**env, "GATEWAY_PORT": str(port)},
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    base_url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{base_url}/metrics", trust_env=False).status_code == 200
        except httpx.ConnectError:
            return False

    try:
        wait_until(answers, seconds=60)
        yield base_url, process
    finally:
        process.terminate()
        process.wait(30)
