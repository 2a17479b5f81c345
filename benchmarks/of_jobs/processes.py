"""The scripted model and the coder-agents, each in a process of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from kitty_core.testing import await_port, free_ports
from kitty_llm.testing import ScriptedModel

WITHIN_SEC = 90.0
SLOTS = 64
CODE = '''```python
import re


def slugify(title):
    """The title in lower case, words joined by hyphens, everything else left out."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join(words)
```'''
REQUEST = "Write slugify(title) that makes a slug of a title. slugify('Hello, World') == 'hello-world'"
CHECKS = "'Hello, World') == 'hello-world'\nassert slugify('') == ''\nassert slugify('A b') == 'a-b'\n"
INSTANT = (0.0, 100_000)
"""Seconds before each chunk, characters a chunk: answers at once, in one piece."""
HALF_A_SECOND = (0.5, 100_000)
TWO_SECONDS = (2.0, 100_000)
"""Still sooner than any real model on a machine with few cores."""
LIKE_A_REAL_ONE = (0.08, 8)
"""25 tokens of four characters a second."""


def answer(messages: list[dict[str, str]]) -> str:
    """Code, unless tests are asked for."""
    asked = [message["content"] for message in messages if message["role"] == "user"]
    return CHECKS if asked and "checks of" in asked[-1] else CODE


def be_a_model(port: int, delay_sec: float, chunk_chars: int) -> None:
    """Serves until the process is ended."""

    async def serve() -> None:
        model = ScriptedModel(
            answer, port=port, slots=SLOTS, delay_sec=delay_sec, chunk_chars=chunk_chars, progress_frames=0
        )
        async with model:
            await asyncio.Event().wait()

    asyncio.run(serve())


@contextmanager
def scripted_model(pace: tuple[float, int]) -> Iterator[str]:
    """A model server; yields its base URL."""
    [port] = free_ports(1)
    main = Path(__file__).parent.parent / "jobs.py"
    with _process([sys.executable, str(main), "--model", str(port), *map(str, pace)], dict(os.environ), main.parent):
        await_port(port, WITHIN_SEC)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def coder_agent(
    model_url: str, jobs: URL | None, folder: Path, **settings: object
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The service with its real parts; yields its base URL and its process. `folder`: its state directory.

    Args:
        jobs: the database; None: files in the state directory.
        settings: more variables, in lower case.
    """
    [port] = free_ports(1)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    env = {
        **kept,
        "XDG_STATE_HOME": str(folder),
        "DATABASE_URL": jobs.render_as_string(hide_password=False) if jobs is not None else "",
        "LLAMACPP_F16_BASE": model_url,
        "LLAMACPP_Q4_BASE": model_url,
        "CODER_PORT": str(port),
        "JOBS_QUEUE_LIMIT": "100000",
        **{name.upper(): str(value) for name, value in settings.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    with _process([sys.executable, "-m", "coder_agent.main"], env, folder) as process:
        await_port(port, WITHIN_SEC)
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def _process(command: list[str], env: dict[str, str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
