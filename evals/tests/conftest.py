"""The command as a subprocess in folders of its own, against a scripted coder-agent and a scripted model server."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kitty_evals.records import Record, read_records
from kitty_models.testing import Script, listening, script_handler

WITHIN_SEC = 60
RIGHT = {
    "add": "def add(a, b):\n    return a + b\n",
    "sub": "def sub(a, b):\n    return a - b\n",
    "mul": "def mul(a, b):\n    return a * b\n",
}
TESTS = {
    "add": "from solution import add\n\ndef test_add():\n    assert add(1, 2) == 3\n",
    "sub": "from solution import sub\n\ndef test_sub():\n    assert sub(5, 2) == 3\n",
    "mul": "from solution import mul\n\ndef test_mul():\n    assert mul(5, 2) == 10\n",
}
Answer = Callable[[dict[str, Any]], tuple[int, Any]]


def row(name: str) -> dict[str, Any]:
    """One task: its request begins with its name."""
    return {"id": f"t/{name}", "request": f"{name} two", "module": "solution.py", "tests": {"test_h.py": TESTS[name]}}


def answer(code: str, verdict: str = "verified", confidence: float = 0.9, **more: Any) -> tuple[int, dict[str, Any]]:
    """A response of `/api/coding/generate`."""
    usage = {"prefill_tokens": 100, "cached_tokens": 300, "completion_tokens": 50, "calls": 3}
    usage |= {"total_seconds": 0.5, "seconds": {"code": 0.1, "test": 0.2}}
    body = {"code": code, "verdict": verdict, "confidence": confidence, "evidence": {"examples": 1}, "usage": usage}
    return 200, body | {"model": "scripted-coder", "model_sha256": None} | more


def right_answer(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    return answer(RIGHT[body["request"].split()[0]])


class Evals:
    """Runs `kitty-cli eval` the way a shell does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.tasks = folder / "tasks.jsonl"
        self.tasks.write_text("".join(json.dumps(row(name)) + "\n" for name in RIGHT))
        names = ("PATH", "LANG", "HOME")  # HOME holds matplotlib's list of fonts, which takes long to make
        self.env = {name: os.environ[name] for name in names if name in os.environ} | {
            "XDG_STATE_HOME": str(folder / "state"),
            "KITTY_MODEL_DIR": str(folder / "models"),
            "KITTY_MODEL_SOURCES": "local",
        }

    def start(self, *words: str, in_background: bool = False, **env: str) -> "subprocess.Popen[str]":
        """`in_background`: as a shell does for `&`, SIGINT is ignored from the start."""
        shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if in_background else []
        return subprocess.Popen(
            [*shell, sys.executable, "-m", "kitty_cli.main", "eval", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self.env | env,
            cwd=self.folder,
        )

    def run(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*words, **env)
        try:
            out, err = process.communicate(timeout=WITHIN_SEC)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def of_tasks(self, base: str, *words: str) -> list[str]:
        """The usual command line."""
        return [str(self.tasks), "--base", base, "--out", str(self.out), *words]

    def records(self) -> list[Record]:
        return read_records(self.out / "records.jsonl")

    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.out / "report.json").read_text())
        return document


@pytest.fixture
def evals(tmp_path: Path) -> Evals:
    return Evals(tmp_path)


class Agent:
    """A coder-agent on loopback that answers what the test says, and keeps what it was asked."""

    def __init__(self, reply: Answer) -> None:
        self.reply = reply
        self.bodies: list[dict[str, Any]] = []
        self.base_url = ""

    def __call__(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.bodies.append(body)
        return self.reply(body)

    @property
    def asked(self) -> list[str]:
        return [body["request"].split()[0] for body in self.bodies]


@pytest.fixture
def agent() -> Iterator[Agent]:
    """Answers rightly until the test says otherwise."""
    made = Agent(right_answer)
    health = (200, {"service": "coder-agent", "embedded_model": "kitty-coder"})
    with listening(script_handler(Script({"/healthz": health, "/api/coding/generate": made}))) as made.base_url:
        yield made


@pytest.fixture
def make_answer() -> Callable[..., tuple[int, Any]]:
    return answer


@pytest.fixture
def answer_rightly() -> Answer:
    return right_answer


@pytest.fixture
def leaving_agent() -> Iterator[str]:
    """Answers one task, and by then does not listen any more."""

    class Handler(script_handler(Script({"/healthz": (200, {})}))):  # type: ignore[misc]  # a class made at run time
        def do_POST(self) -> None:  # noqa: N802 -- the name http.server calls
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.shutdown()
            self.server.server_close()
            self.reply(*right_answer(body))

    with listening(Handler) as base_url:
        yield base_url
