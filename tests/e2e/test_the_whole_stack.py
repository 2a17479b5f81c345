"""`kitty up`: every real program as a process of its own, a scripted model behind them, driven by the command line."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from kitty_llm.testing import ScriptedModel

PORTS = ("GATEWAY_PORT", "BRAIN_PORT", "CODER_PORT", "BROKER_PORT")
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
REQUEST = "/agent on. Call coding.generate to implement: add(a, b), {the} sum. add(1, 2) == 3 and add(0, 5) == 5"
WITHIN_SEC = 300


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def kitty(tmp_path_factory):
    """Runs kitty-cli in a folder and a state of its own, with the stack up."""
    folder = tmp_path_factory.mktemp("stack")
    ours = ("LLAMACPP_", "KITTY_", "CODER_", "GATEWAY_", "BRAIN_", "BROKER_", "AUDIT_", "DATABASE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {name: str(folder / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    env |= dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    with ScriptedModel(RIGHT).threaded() as model:
        env["LLAMACPP_CODER_BASE"] = env["LLAMACPP_Q4_BASE"] = model.base_url

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "kitty_cli.main", *words]
            options = {"cwd": folder, "env": env, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
            return subprocess.run(command, timeout=WITHIN_SEC, check=False, **options)

        run.coder_agent = f"http://127.0.0.1:{env['CODER_PORT']}"
        run.folder = folder
        run.state = folder / "XDG_STATE_HOME" / "kitty"
        began = run("up", "--workspace", str(folder))
        assert began.returncode == 0, began.stderr
        yield run
        ended = run("down")
        assert ended.returncode == 0, ended.stderr


def log_lines(kitty, name: str) -> list[dict]:
    text = (Path(kitty.state) / "logs" / f"{name}.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.timeout(WITHIN_SEC)
def test_what_is_said_becomes_code_through_the_one_door(kitty):
    done = kitty("say", REQUEST, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "coding.generate" in answer["routing"]["metadata"]["tools_used"]
    assert "def add(a, b)" in str(answer["result"]["output"])

    row = json.loads(kitty("audit", "list", "--json", "--tool", "coding.generate").stdout)["entries"][0]
    assert (row["decision"], row["status"], row["verdict"]) == ("allowed", "ok", "verified")
    ids = {line.get("request_id") for line in log_lines(kitty, "coder-agent") if line.get("event") == "job_finished"}
    assert row["request_id"] in ids


@pytest.mark.timeout(WITHIN_SEC)
def test_code_that_does_not_meet_its_example_is_no_success_when_it_was_said(kitty):
    wrong = "/agent on. Call coding.generate to implement: add(a, b), the sum. add(1, 2) == 4 and add(0, 5) == 6"
    done = kitty("say", wrong)
    assert done.returncode == 1, done.stderr
    assert "verdict: tests_failed" in done.stderr
    assert "def add(a, b)" in done.stdout


@pytest.mark.timeout(WITHIN_SEC)
def test_of_a_tool_that_does_not_exist_nothing_is_run(kitty):
    before = kitty("audit", "list", "--json").stdout
    unknown = "/agent on. Call coding.tset to implement: write a Python function add(a, b). add(1, 2) == 3"
    done = kitty("say", unknown, "--json")
    answer = json.loads(done.stdout)
    assert answer["routing"]["metadata"]["tools_used"] == []
    assert "coding.tset" in str(answer["routing"]["metadata"]["agent_steps"])
    assert json.loads(kitty("audit", "list", "--json").stdout)["entries"] == json.loads(before)["entries"]


@pytest.mark.timeout(WITHIN_SEC)
def test_code_goes_through_the_gateway_and_leaves_its_row(kitty):
    done = kitty("code", "Write add(a, b). add(1, 2) == 3 and add(0, 5) == 5", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["verdict"]) == (0, "verified"), done.stderr
    rows = json.loads(kitty("audit", "list", "--json").stdout)["entries"]
    assert answer["job_id"] in {row["job_id"] for row in rows}
    assert kitty("audit", "verify").returncode == 0


@pytest.mark.timeout(WITHIN_SEC)
def test_the_coder_agent_asked_directly_answers_and_leaves_its_row(kitty):
    url, body = f"{kitty.coder_agent}/api/coding/generate", {"request": "Write add(a, b). add(1, 2) == 3"}
    answer = httpx.post(url, json=body, timeout=120, trust_env=False)
    assert (answer.status_code, answer.json()["verdict"]) == (200, "verified")
    row = json.loads(kitty("audit", "list", "--json", "--limit", "1").stdout)["entries"][0]
    assert (row["job_id"], row["user_id"], row["status"]) == (answer.json()["job_id"], "local", "ok")
    assert kitty("audit", "verify").returncode == 0
    wrong = httpx.post(url, json=body, headers={"authorization": "Bearer wrong"}, timeout=60, trust_env=False)
    assert wrong.status_code == 401


@pytest.mark.timeout(WITHIN_SEC)
def test_every_program_answers_and_is_shown(kitty):
    stack = json.loads(kitty("status", "--json").stdout)["stack"]
    assert {program["name"]: program["health"]["status"] for program in stack["programs"]} == dict.fromkeys(
        ("broker", "coder-agent", "brain", "gateway"), "ok"
    )
    assert "coding.generate" in kitty("tools").stdout
    assert f"Workspace of the broker: {kitty.folder}" in kitty("status").stdout


@pytest.mark.timeout(WITHIN_SEC)
def test_nothing_is_left_after_down(kitty):
    stack = json.loads(kitty("status", "--json").stdout)["stack"]
    pids = [stack["pid"], *(program["pid"] for program in stack["programs"])]
    below = [child for pid in pids for child in psutil.Process(pid).children(recursive=True)]
    assert kitty("down").returncode == 0
    _, alive = psutil.wait_procs([*map(psutil.Process, filter(psutil.pid_exists, pids)), *below], timeout=20)
    assert not alive
