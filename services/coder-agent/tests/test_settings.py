"""Each variable does what it says."""

import os
import subprocess
import sys
import time

import httpx
import pytest

from coder_agent.main import create_app
from coder_agent.settings import Settings
from kitty_core.audit import Invocation, open_audit
from kitty_core.errors import ConfigurationError
from kitty_core.settings import read_settings
from kitty_core.testing import free_ports
from kitty_llm.testing import ScriptedModel
from kitty_sandbox.testing import ScriptedSandbox

REQUEST = "Write add(a, b). add(1, 2) == 3"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"


def test_coder_max_tokens_bounds_each_call(start):
    agent, model = start(RIGHT, coder_max_tokens=100)
    agent.generate(REQUEST)
    asked = [request.body["max_tokens"] for request in model.generations]
    assert asked[0] == max(asked) == 100


def test_the_first_sample_is_greedy_and_later_ones_are_drawn(start):
    agent, model = start("Done.")
    agent.generate(REQUEST)
    assert [request.body["temperature"] for request in model.generations] == [0.0, 0.8]


def test_coder_temperature_is_the_first_samples_and_a_floor_for_the_others(start):
    agent, model = start("Done.", coder_temperature=0.9)
    agent.generate(REQUEST)
    assert [request.body["temperature"] for request in model.generations] == [0.9, 0.9]


@pytest.mark.parametrize("name", ["CODER_REFINE_PASSES", "CODER_MAX_REFINEMENTS"])
def test_refine_passes_has_two_names(monkeypatch, name):
    monkeypatch.setenv(name, "5")
    assert read_settings(Settings, None).coder_refine_passes == 5


@pytest.mark.parametrize("name", ["CODER_TEST_TIMEOUT_SEC", "CODER_TIMEOUT_SECONDS"])
def test_the_test_timeout_has_two_names(monkeypatch, name):
    monkeypatch.setenv(name, "7")
    assert read_settings(Settings, None).coder_test_timeout_sec == 7


def test_the_test_timeout_ends_a_run(start):
    agent, _ = start(
        "```python\ndef add(a, b):\n    while True: pass\n```", coder_test_timeout_sec=1, coder_refine_passes=0
    )
    answer = agent.generate(REQUEST, tier="fast").json()
    assert answer["verdict"] == "tests_failed"
    assert "TimeoutError" in answer["test_output"] or "time" in answer["error"]


def test_timeout_seconds_of_the_request_outranks_it(start):
    agent, _ = start(
        "```python\nimport time\ndef add(a, b):\n    time.sleep(1.5)\n    return a + b\n```", coder_test_timeout_sec=1
    )
    for fields, failed in (({}, 1), ({"timeout_seconds": 10}, 0)):
        answer = agent.generate(REQUEST, tier="fast", **fields).json()
        assert len(answer["evidence"]["trusted_failed"]) == failed


def test_a_model_writes_the_summary_when_asked_to(start):
    agent, _ = start(lambda m: "It adds." if "Describe" in str(m) else RIGHT, coder_summary="model")
    summary = agent.generate(REQUEST, tier="fast").json()["summary"]
    assert summary.startswith("It adds.\n\n**Verified.**")


def test_llamacpp_n_ctx_counts_where_the_server_cannot_be_asked(start):
    options = {"props": False, "tokenize": False}
    agent, _ = start(RIGHT, model=options)
    assert agent.generate("word " * 3000 + REQUEST).status_code == 413


def test_an_interpreter_that_is_not_there_is_a_warning(start):
    agent, _ = start(RIGHT, sandbox_py_path="/nowhere/python")
    until = time.monotonic() + 20
    while not (sandbox := agent.get("/healthz").json()["sandbox"])["available"]:
        assert time.monotonic() < until, sandbox
    assert "/nowhere/python" in str(sandbox["warnings"])


@pytest.mark.parametrize("tier", ["full", "ns-only"])
def test_sandbox_tier_is_what_the_answer_and_its_run_say(start, tier):
    agent, _ = start(RIGHT, sandbox_tier=tier)
    assert agent.generate(REQUEST).json()["sandbox_tier"] == tier
    assert agent.get("/healthz").json()["sandbox"]["sandbox_tier"] == tier


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CODER_REFINE_PASSES", "-1"),
        ("CODER_REFINE_PASSES", "many"),
        ("CODER_TEST_TIMEOUT_SEC", "0"),
        ("CODER_TEMPERATURE", "hot"),
        ("CODER_LLM_ROUTE", "cloud"),
        ("CODER_SUMMARY", "poem"),
        ("SANDBOX_TIER", "none"),
        ("SANDBOX_ENABLED", "perhaps"),
        ("CODER_PORT", "99999"),
        ("LLAMACPP_N_CTX", "3"),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_the_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        read_settings(Settings, None)


def test_another_address_than_loopback_wants_a_token():
    with pytest.raises(ConfigurationError, match="KITTY_SERVICE_TOKEN"):
        create_app(Settings(_env_file=None, kitty_bind="0.0.0.0"))


def test_allowed_hosts_are_served(start):
    agent, _ = start(RIGHT, kitty_allowed_hosts="coder-agent, other", sandbox=ScriptedSandbox())
    for host, status in (("coder-agent:8092", 200), ("third", 403)):
        response = httpx.get(f"{agent.base_url}/healthz", headers={"host": host}, trust_env=False)
        assert response.status_code == status


def test_the_program_listens_on_its_port_and_stops_when_idle(tmp_path):
    [port] = free_ports(1)
    with ScriptedModel(RIGHT).threaded() as model:
        (tmp_path / ".env").write_text(f"MODEL={model.base_url}\nLLAMACPP_F16_HOST=${{MODEL}}\n")
        env = own_environment(tmp_path) | {"CODER_PORT": str(port), "KITTY_IDLE_STOP_SEC": "2"}
        command = [sys.executable, "-m", "coder_agent.main"]
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            answer = _ask_when_up(port, process)
            assert answer["verdict"] == "verified"
            assert process.wait(20) == 0
        finally:
            process.kill()
            output, _ = process.communicate(timeout=60)
    assert b"idle_stop" in output
    assert len(model.generations) > 0


def own_environment(folder):
    return os.environ | {"XDG_STATE_HOME": str(folder / "state")}


def run_program(folder, **env):
    """What the program says at its start, which it does not survive."""
    command = [sys.executable, "-m", "coder_agent.main"]
    env = own_environment(folder) | {"CODER_PORT": "0"} | env
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_whose_audit_key_is_not_the_trail_s_exits_3_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    log = open_audit({"AUDIT_KEY": "ab" * 32})
    log.append(Invocation("r", "coding.generate", "local", "allowed", "ok"))
    log.close()
    done = run_program(tmp_path, AUDIT_KEY="cd" * 32)
    assert (done.returncode, "AUDIT_KEY" in done.stderr) == (3, True)


def test_a_program_with_a_wrong_database_exits_3_and_says_so(tmp_path):
    done = run_program(tmp_path, DATABASE_URL="mysql://a/b")
    assert (done.returncode, "DATABASE_URL" in done.stderr) == (3, True)


def test_a_program_with_a_wrong_setting_exits_3_and_says_so(tmp_path):
    done = run_program(tmp_path, CODER_SUMMARY="poem")
    assert done.returncode == 3
    assert "CODER_SUMMARY" in done.stderr


def _ask_when_up(port, process):
    until = time.monotonic() + 40
    while True:
        try:
            url = f"http://127.0.0.1:{port}/api/coding/generate"
            return httpx.post(url, json={"request": REQUEST, "tier": "fast"}, timeout=60, trust_env=False).json()
        except httpx.ConnectError:
            assert process.poll() is None, "it ended"
            assert time.monotonic() < until, "it did not come up"
            time.sleep(0.1)
