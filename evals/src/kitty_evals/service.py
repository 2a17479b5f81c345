"""A coder-agent of the evaluation's own: on a free port, on the model server under test, ended by its handle.

Should the evaluation be killed, the service ends by itself when nothing was asked for a while.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from kitty_evals.errors import NotConfigured
from kitty_evals.model_server import ModelServer

ROLES = ("Q4", "F16", "CODER")
COMMAND = (sys.executable, "-P", "-m", "coder_agent.main")
ANSWER_WITHIN_SEC = 60.0
STOP_WITHIN_SEC = 10.0
POLL_SEC = 0.05
IDLE_STOP_SEC = "900"
TAIL_LINES = 15


@asynccontextmanager
async def own_service(server: ModelServer, env: Mapping[str, str], log: Path) -> AsyncIterator[str]:
    """Its base URL, while it runs.

    Raises:
        NotConfigured: it did not come up; the message ends with what it logged last.
    """
    port = _free_port()
    base_url = f"http://127.0.0.1:{port}"
    process = _start(environment_for(server, env, port), log)
    try:
        await _wait_until_it_answers(process, base_url, log)
        yield base_url
    finally:
        await asyncio.shield(asyncio.to_thread(_end, process))


def _start(env: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(
            COMMAND,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the evaluation, which then stops the service
            env=env,
        )


def environment_for(server: ModelServer, env: Mapping[str, str], port: int) -> dict[str, str]:
    """`env` with this one server in every role. Variables are emptied, not removed: `.env` would bring them back."""
    bases = {f"LLAMACPP_{role}_BASE": server.base_url for role in ROLES}
    others = {f"LLAMACPP_{role}_{word}": "" for role in ROLES for word in ("HOST", "API_KEY")}
    own = {"CODER_PORT": str(port), "KITTY_BIND": "127.0.0.1", "KITTY_IDLE_STOP_SEC": IDLE_STOP_SEC, "KITTY_MODEL": ""}
    key = {"LLAMACPP_API_KEY": server.api_key or "", "CODER_LLM_ROUTE": "direct"}
    return {**env, **bases, **others, **own, **key}


async def _wait_until_it_answers(process: "subprocess.Popen[bytes]", base_url: str, log: Path) -> None:
    deadline = time.monotonic() + ANSWER_WITHIN_SEC
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=2.0) as http:
        while not await _answers(http):
            code = process.poll()
            if code is not None:
                raise NotConfigured(f"The coder-agent ended at its start (status {code}).{_tail(log)}")
            if time.monotonic() > deadline:
                raise NotConfigured(f"The coder-agent did not answer in {ANSWER_WITHIN_SEC:g} s.{_tail(log)}")
            await asyncio.sleep(POLL_SEC)


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return f" It said last ({log}):\n" + "\n".join(lines) if lines else f" It said nothing ({log})."
