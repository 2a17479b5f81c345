"""`kitty up`: every real program as a process of its own, a scripted model behind them, driven by the command line."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest

from kitty_core.testing import free_ports, make_pytest_for_all
from kitty_llm.testing import ScriptedModel

PORTS = ("GATEWAY_PORT", "BRAIN_PORT", "CODER_PORT", "BROKER_PORT")
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
REQUEST = "/agent on. Call coding.generate to implement: add(a, b), {the} sum. add(1, 2) == 3 and add(0, 5) == 5"
WITHIN_SEC = 300
PHRASE = "Confirm: proceed"


def written(messages):
    """The model: it calls the command that the message is about once, tells what that said, and else writes `add`."""
    said = messages[-1]["content"]
    if "one JSON object" not in said:
        return "It said what it said." if "what did it print" in said else RIGHT
    command = "pytest.run" if "run the tests" in said else "disk.usage"
    arguments = {"command": command, "args": {}}
    called = "(disk.usage|broker" in said or "%" in said
    return json.dumps({"answer": True} if called else {"tool": "broker_run", "arguments": arguments})


@pytest.fixture(scope="module")
def kitty(tmp_path_factory):
    """Runs kitty-cli in a folder and a state of its own, with the stack up."""
    folder = tmp_path_factory.mktemp("stack")
    ours = ("LLAMACPP_", "KITTY_", "CODER_", "GATEWAY_", "BRAIN_", "BROKER_", "AUDIT_", "DATABASE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {name: str(folder / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    env |= dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    with ScriptedModel(written).threaded() as model, TemporaryDirectory() as workspace:
        Path(workspace).chmod(0o755)  # where root runs this, commands run as another user
        (Path(workspace) / "test_it.py").write_text("def test_it():\n    print('purrs')\n")
        env["LLAMACPP_CODER_BASE"] = env["LLAMACPP_Q4_BASE"] = model.base_url
        programs = Path(workspace).parent / f"{Path(workspace).name}-bin"
        env["BROKER_PATH"] = str(programs)

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "kitty_cli.main", *words]
            options = {"cwd": folder, "env": env, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
            return subprocess.run(command, timeout=WITHIN_SEC, check=False, **options)

        run.coder_agent = f"http://127.0.0.1:{env['CODER_PORT']}"
        run.model = model
        run.workspace = workspace
        run.no_pytest = make_pytest_for_all(programs)
        run.state = folder / "XDG_STATE_HOME" / "kitty"
        began = run("up", "--workspace", workspace)
        assert began.returncode == 0, began.stderr
        yield run
        ended = run("down")
        shutil.rmtree(programs, ignore_errors=True)
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
    assert f"Workspace of the broker: {kitty.workspace}" in kitty("status").stdout


@pytest.mark.timeout(WITHIN_SEC)
def test_a_command_that_does_no_harm_is_run_for_whoever_asks(kitty):
    done = kitty("say", "/agent on. Call broker.run: how full is the disk?", "--json")
    metadata = json.loads(done.stdout)["routing"]["metadata"]
    assert (done.returncode, metadata["tools_used"]) == (0, ["broker.run"]), done.stderr
    row = json.loads(kitty("audit", "list", "--json", "--tool", "broker.run").stdout)["entries"][0]
    assert (row["decision"], row["status"], row["hazard_class"]) == ("allowed", "ok", "none")
    assert row["tool"] == "broker.run:disk.usage"


@pytest.mark.timeout(WITHIN_SEC)
def test_a_dangerous_command_waits_for_the_phrase_runs_once_and_can_be_talked_about(kitty):
    if kitty.no_pytest:
        pytest.skip(kitty.no_pytest)

    def say(text):
        done = kitty("say", text, "--conversation", "c9", "--json")
        return done.returncode, json.loads(done.stdout)

    status, asked = say("/agent on. Call broker.run: run the tests")
    assert (status, asked["requiresConfirmation"], asked["confirmationPhrase"]) == (1, True, PHRASE)
    assert not say(f"/agent off I was told to say {PHRASE}")[1]["routing"]["metadata"]["tools_used"]
    status, answer = say(PHRASE)
    assert (status, answer["routing"]["metadata"]["tools_used"]) == (0, ["broker.run"])
    assert "1 passed" in answer["result"]["output"]
    assert (answer["result"]["data"]["command"], answer["result"]["data"]["exit_code"]) == ("pytest.run", 0)
    assert not say(f"/agent off {PHRASE}")[1]["routing"]["metadata"]["tools_used"]
    kitty("say", "/agent off what did it print?", "--conversation", "c9")
    assert "1 passed" in str(kitty.model.generations[-1].messages)

    rows = json.loads(kitty("audit", "list", "--json", "--tool", "broker.run").stdout)["entries"]
    said = [(row["decision"], row["error"]) for row in rows if row["conversation_id"] == "c9"]
    assert said == [("confirmed", None), ("blocked", "needs_confirmation")]


@pytest.mark.timeout(WITHIN_SEC)
def test_what_is_asked_next_carries_the_code_and_its_trusted_tests(kitty):
    first = json.loads(kitty("say", REQUEST, "--conversation", "f1", "--json").stdout)
    second = json.loads(kitty("say", "now handle negative numbers too", "--conversation", "f1", "--json").stdout)
    assert first["result"]["data"]["evidence"]["examples"] == second["result"]["data"]["evidence"]["examples"] == 2
    assert second["result"]["data"]["verdict"] == "verified"
    asked = str(kitty.model.generations[-1].messages)
    assert "now handle negative numbers too" in asked
    assert "return a + b" in asked
    other = json.loads(
        kitty("say", "/agent on. Call coding.generate: now handle negative numbers too", "--json").stdout
    )
    assert other["result"]["data"]["evidence"]["examples"] == 0


@pytest.mark.timeout(WITHIN_SEC)
def test_a_service_that_is_killed_is_started_again(kitty):
    def brain():
        programs = json.loads(kitty("status", "--json").stdout)["stack"]["programs"]
        return next(program for program in programs if program["name"] == "brain")

    psutil.Process(before := brain()["pid"]).kill()
    until = time.monotonic() + 120
    while (now := brain())["pid"] == before or now["state"] != "running":
        assert time.monotonic() < until, now
        time.sleep(0.2)
    assert now["restarts"] == 1
    assert kitty("say", REQUEST).returncode == 0


@pytest.mark.timeout(WITHIN_SEC)
def test_nothing_is_left_after_down(kitty):
    stack = json.loads(kitty("status", "--json").stdout)["stack"]
    pids = [stack["pid"], *(program["pid"] for program in stack["programs"])]
    below = [child for pid in pids for child in psutil.Process(pid).children(recursive=True)]
    assert kitty("down").returncode == 0
    _, alive = psutil.wait_procs([*map(psutil.Process, filter(psutil.pid_exists, pids)), *below], timeout=20)
    assert not alive
