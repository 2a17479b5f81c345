"""One audit trail, whichever way a job comes: by the gateway, past it, or by `kitty code` alone. All real programs."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from kitty_core.testing import free_ports
from kitty_llm.testing import Reply, ScriptedModel

CONFIG = Path(__file__).parents[2] / "config"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
ASK = {"request": "Write add(a, b). add(1, 2) == 3", "tier": "fast", "conversation_id": "talk"}
OURS = ("LLAMACPP_", "KITTY_", "CODER_", "GATEWAY_", "AUDIT_", "DATABASE_")
OWN = {"id", "request_id", "job_id", "latency_ms", "created_at", "prev_hash", "row_hash"}
"""Columns that differ from row to row."""
WITHIN_SEC = 120


@pytest.fixture
def env(tmp_path):
    """Of programs that share one state, which is the test's own, and a scripted model."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    folders = {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    ports = dict(zip(("CODER_PORT", "GATEWAY_PORT"), map(str, free_ports(2)), strict=True))
    with ScriptedModel(RIGHT).threaded() as model:
        yield kept | folders | ports | {"LLAMACPP_CODER_BASE": model.base_url, "KITTY_SERVICE_TOKEN": "inner" * 9}


@pytest.fixture
def start(env, tmp_path):
    """start(module, port, **env) -> base URL, when it answers."""
    started = {}

    def start(module, port, **more):
        with (tmp_path / f"{module}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module], cwd=tmp_path, env=env | more, stdout=log, stderr=log
            )
        started[module] = process
        base, until = f"http://127.0.0.1:{port}", time.monotonic() + WITHIN_SEC
        while True:
            try:
                httpx.get(f"{base}/healthz", timeout=5, trust_env=False)
                return base
            except httpx.TransportError:
                assert process.poll() is None, (tmp_path / f"{module}.log").read_text()
                assert time.monotonic() < until, "it did not come up"
                time.sleep(0.1)

    def stop(module):
        process = started.pop(module)
        process.terminate()
        process.wait(30)

    def kill(module):
        process = started.pop(module)
        process.kill()
        process.wait(30)

    start.stop, start.kill = stop, kill
    yield start
    for module in list(started):
        stop(module)


def kitty(env, folder, *words):
    command = [sys.executable, "-m", "kitty_cli.main", *words]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=WITHIN_SEC
    )


def rows(env, folder):
    """Newest first."""
    return json.loads(kitty(env, folder, "audit", "list", "--json", "--limit", "100").stdout)["entries"]


@pytest.mark.timeout(2 * WITHIN_SEC)
def test_by_the_gateway_and_past_it_at_once_each_job_has_the_same_row_in_one_whole_chain(env, start, tmp_path):
    agent = start("coder_agent.main", env["CODER_PORT"])
    registry = str(CONFIG / "tool_registry.yaml")
    gateway = start("gateway.main", env["GATEWAY_PORT"], CODER_AGENT_BASE=agent, TOOL_REGISTRY_PATH=registry)

    def ask(number):
        base, path = ((gateway, agent)[number % 2], ("generate", "stream")[number // 2 % 2])
        answer = httpx.post(f"{base}/api/coding/{path}", json=ASK, timeout=WITHIN_SEC, trust_env=False)
        lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        return json.loads(lines[-1][6:])["result"] if lines else answer.json()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(12)))
    assert {answer["verdict"] for answer in answers} == {"verified"}
    written = rows(env, tmp_path)
    assert sorted(row["job_id"] for row in written) == sorted(answer["job_id"] for answer in answers)
    alike = [{name: value for name, value in row.items() if name not in OWN} for row in written]
    assert alike == [alike[0]] * 12
    assert (alike[0]["user_id"], alike[0]["hazard_class"], alike[0]["conversation_id"]) == ("local", "low", "talk")
    whole = kitty(env, tmp_path, "audit", "verify")
    assert (whole.returncode, "12 rows" in whole.stdout, "note" in whole.stdout) == (0, True, False)


@pytest.mark.timeout(2 * WITHIN_SEC)
@pytest.mark.parametrize(
    ("stopped", "path", "error"),
    [
        ("coder_agent.main", "generate", "service_stopped"),
        ("coder_agent.main", "stream", "service_stopped"),
        ("gateway.main", "generate", "gateway_stopped"),
    ],
)
def test_a_program_that_is_stopped_while_it_works_leaves_a_row_that_says_so(env, start, tmp_path, stopped, path, error):
    with ScriptedModel(Reply(RIGHT, hang_after=3)).threaded() as model, ThreadPoolExecutor(1) as threads:
        base = start("coder_agent.main", env["CODER_PORT"], LLAMACPP_CODER_BASE=model.base_url)
        if stopped == "gateway.main":
            registry = str(CONFIG / "tool_registry.yaml")
            base = start("gateway.main", env["GATEWAY_PORT"], CODER_AGENT_BASE=base, TOOL_REGISTRY_PATH=registry)
        url = f"{base}/api/coding/{path}"
        threads.submit(httpx.post, url, json=ASK, timeout=WITHIN_SEC, trust_env=False)
        until = time.monotonic() + WITHIN_SEC
        while not model.hanging:
            assert time.monotonic() < until
            time.sleep(0.05)
        start.stop(stopped)
    [row] = rows(env, tmp_path)
    assert (row["decision"], row["status"], row["error"]) == ("allowed", "error", error)
    assert kitty(env, tmp_path, "audit", "verify").returncode == 0


@pytest.mark.timeout(2 * WITHIN_SEC)
def test_a_job_that_is_posted_by_the_gateway_leaves_one_row_though_both_programs_die_meanwhile(env, start, tmp_path):
    registry = str(CONFIG / "tool_registry.yaml")
    env["JOBS_LEASE_SEC"] = "2"
    agent = start("coder_agent.main", env["CODER_PORT"])
    gateway = start("gateway.main", env["GATEWAY_PORT"], CODER_AGENT_BASE=agent, TOOL_REGISTRY_PATH=registry)
    answer = httpx.post(f"{gateway}/api/coding/jobs", json=ASK, timeout=WITHIN_SEC, trust_env=False)
    assert answer.status_code == 202, answer.text
    for module in ("coder_agent.main", "gateway.main"):
        start.kill(module)
    agent = start("coder_agent.main", env["CODER_PORT"])
    url, until = f"{agent}/api/coding/jobs", time.monotonic() + WITHIN_SEC
    while not httpx.get(url, timeout=5, trust_env=False).json()["jobs"][0]["finished_at"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    start.stop("coder_agent.main")
    [row] = rows(env, tmp_path)
    assert (row["job_id"], row["verdict"]) == (answer.json()["job_id"], "verified")
    assert (row["tool"], row["user_id"], row["decision"]) == ("coding.generate", "local", "allowed")
    assert kitty(env, tmp_path, "audit", "verify").returncode == 0


@pytest.mark.timeout(2 * WITHIN_SEC)
def test_code_by_the_coder_agent_that_it_starts_leaves_its_row(env, tmp_path):
    keys = env | {"KITTY_API_KEY": "outer"}
    try:
        done = kitty(keys, tmp_path, "code", ASK["request"], "--tier", "fast", "--json")
        assert done.returncode == 0, done.stderr
        [row] = rows(keys, tmp_path)
        assert (row["job_id"], row["verdict"]) == (json.loads(done.stdout)["job_id"], "verified")
        assert (row["user_id"], row["decision"], row["tool"]) == ("local", "allowed", "coding.generate")
        assert row["tool"] in kitty(keys, tmp_path, "audit", "list").stdout
        assert kitty(keys, tmp_path, "audit", "verify").returncode == 0
    finally:
        kitty(keys, tmp_path, "stop")
