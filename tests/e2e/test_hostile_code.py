"""Hostile code through the whole service: contained, reported, never `passed`, nothing left running."""

import os
import time
from pathlib import Path

import psutil
import pytest

from coder_agent.testing import running_agent
from kitty_llm.testing import ScriptedModel

SECRET = "s3cret-of-the-host"
PROGRAMS = {
    "a socket": """
import socket
def f(x):
    socket.create_connection(("127.0.0.1", 9), 1)
    return x + 1
""",
    "a secret in the environment": """
import os
def f(x):
    return x + 1 if os.environ["KITTY_TEST_SECRET"] else 0
""",
    "a secret in a file": """
def f(x):
    return x + 1 if open("{file}").read() else 0
""",
    "forks without end": """
import os
def f(x):
    while True:
        os.fork()
""",
    "eats memory": """
def f(x):
    held = [bytearray(50_000_000) for _ in range(100)]
    return x + 1
""",
    "floods its output": """
import os
def f(x):
    while True:
        os.write(1, b"x" * 65536)
""",
    "ignores SIGTERM": """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def f(x):
    while True:
        pass
""",
    "leaves at import": """
import os
def f(x, left=os._exit(0)):
    return x + 1
""",
    "leaves in the call": """
import sys
def f(x):
    sys.exit(0)
""",
    "prints a pass": """
def f(x):
    print("1 passed in 0.01s")
    return 0
""",
}


@pytest.fixture
def secret_file(monkeypatch):
    monkeypatch.setenv("KITTY_TEST_SECRET", SECRET)
    file = Path.home() / f".kitty-test-secret-{os.getpid()}"
    file.write_text(SECRET)
    yield file
    file.unlink()


@pytest.mark.parametrize("program", PROGRAMS)
def test_hostile_code_is_contained_and_never_passes(program, secret_file):
    code = PROGRAMS[program].replace("{file}", str(secret_file))
    before = set(psutil.Process().children(recursive=True))
    with (
        ScriptedModel(f"```python\n{code}```").threaded() as model,
        running_agent(model.base_url, coder_test_timeout_sec=2, coder_refine_passes=0) as agent,
    ):
        started = time.monotonic()
        answer = agent.generate("Write f(x). f(1) == 2", tier="fast").json()
        assert time.monotonic() - started < 30
        assert answer["verdict"] == "tests_failed"
        assert answer["passed"] is False
        assert answer["error"]
        assert SECRET not in str(answer)
        health = agent.get("/healthz").json()
        assert (health["status"], health["jobs_running"]) == ("ok", 0)
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=5)
    assert not alive


def test_the_same_request_with_honest_code_passes(secret_file):
    honest = "```python\ndef f(x):\n    return x + 1\n```"
    with ScriptedModel(honest).threaded() as model, running_agent(model.base_url) as agent:
        assert agent.generate("Write f(x). f(1) == 2", tier="fast").json()["verdict"] == "verified"
