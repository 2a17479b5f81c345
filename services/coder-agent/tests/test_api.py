"""The service at its door: contract, bad input, failures of what it needs."""

import json
import threading
import time
from dataclasses import replace

import httpx
import pytest

from coder_agent.testing import running_agent
from kitty_llm.testing import Reply
from kitty_sandbox import CaseResult, Cell, SandboxStatus
from kitty_sandbox.testing import ScriptedSandbox, every, make_result

REQUEST = "Write add(a, b). add(1, 2) == 3"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"


def wait_until(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def assert_is_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert response.json()["status"] == status
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"request": ""},
        {"request": "   \n"},
        {"request": "x" * 20_001},
        {"request": "nul \x00"},
        {"request": 7},
        {"request": "\ud800"},
        {"request": "x", "tier": "enormous"},
        {"request": "x", "timeout_seconds": -1},
        {"request": "x", "timeout_seconds": 301},
        {"request": "x", "deadline_seconds": -5},
        {"request": "x", "max_refinements": 9},
        {"request": "x", "module": "../evil.py"},
        {"request": "x", "module": "/tmp/evil.py"},
        {"request": "x", "module": "a/b.py"},
        {"request": "x", "module": "solution.sh"},
        {"request": "x", "module": "test_solution.py"},
        {"request": "x", "module": "queue.py"},
        {"request": "x", "module": "_pytest.py"},
        {"request": "x", "module": "__main__.py"},
        {"request": "x", "module": "__init__.py"},
        {"request": "x", "module": "sol\x00.py"},
        {"request": "x", "files": {"../up.txt": ""}},
        {"request": "x", "files": {"/etc/passwd": ""}},
        {"request": "x", "files": {"a/../../b": ""}},
        {"request": "x", "files": {"a//b": ""}},
        {"request": "x", "files": {"nul\x00": ""}},
        {"request": "x", "files": {"a.txt": "nul \x00"}},
        {"request": "x", "files": {"a": "1", "a/b": "2"}},
        {"request": "x", "files": {"solution.py": "x = 1"}},
        {"request": "x", "files": {"solution/__init__.py": "def add(a, b): return a + b"}},
        {"request": "x", "files": {"solution.py/x": ""}},
        {"request": "x", "files": {"solution.so": ""}},
        {"request": "x", "files": {"solution.pyc": ""}},
        {"request": "x", "files": {"solution.cpython-311-x86_64-linux-gnu.so": ""}},
        {"request": "x", "files": {"solution/data.txt": ""}},
        {"request": "x", "files": {"test_stubs.py/x": ""}},
        {"request": "x", "files": {"candidate_0/x": ""}},
        {"request": "x", "files": {"y" * 130: ""}},
        {"request": "x", "files": {"/".join("abcdefghijklmn"): ""}},
        {"request": "x", "module": "class.py"},
        {"request": "x", "module": "pluggy.py"},
        {"request": "x", "tests": f"from {'a' * 130} import f"},
        {"request": "x", "tests": "from test_helpers import f"},
        {"request": "x", "tests": " "},
        {"request": "x", "deadline_seconds": 0},
        {"request": "x", "tests": "x" * 200_001},
        {"request": "x", "files": {f"{number}.txt": "" for number in range(51)}},
        {"request": "x", "model": "/etc/passwd"},
        {"request": "x", "model": "http://example.com"},
        [],
        "x",
    ],
    ids=lambda body: json.dumps(body)[:40].replace("\x00", "NUL"),
)
def test_a_bad_body_is_refused_and_the_service_stays_well(start, body):
    agent, model = start("unused", sandbox=ScriptedSandbox())
    raw = json.dumps(body).encode()
    url = f"{agent.base_url}/api/coding/generate"
    response = httpx.post(url, content=raw, headers={"content-type": "application/json"}, trust_env=False)
    assert_is_problem(response, 422, "bad_request")
    assert agent.get("/healthz").json()["status"] == "ok"
    assert not model.generations


def test_other_bad_requests_get_problem_json_too(start):
    agent, _ = start("unused", sandbox=ScriptedSandbox())
    url = f"{agent.base_url}/api/coding/generate"
    as_json = {"content-type": "application/json"}

    def post(content, headers=as_json):
        return httpx.post(url, content=content, headers=headers, trust_env=False)

    assert_is_problem(post(b"{not json"), 422, "bad_request")
    assert_is_problem(post(b'\xff\xfe{"request":"x"}'), 422, "bad_request")
    assert_is_problem(post(json.dumps({"request": "x" * 1_000_000}).encode()), 413, "payload_too_large")
    assert_is_problem(post(b'{"request": "x"}', {"content-type": "text/plain"}), 403, "unsupported_media_type")
    assert_is_problem(post(b'{"request": "x"}', as_json | {"host": "evil.example"}), 403, "forbidden")
    assert_is_problem(post(b'{"request": "x"}', as_json | {"origin": "http://evil.example"}), 403, "forbidden")
    assert_is_problem(agent.generate("x", allow_network=True), 403, "network_refused")
    assert_is_problem(agent.get("/api/coding/nothing"), 404, "not_found")
    assert_is_problem(agent.get("/nothing"), 401, "unauthorized")
    assert_is_problem(httpx.get(url, trust_env=False), 405, "method_not_allowed")
    assert agent.get("/healthz").json()["status"] == "ok"


def test_the_stream_tells_the_steps_in_order_and_ends_with_the_whole_answer(start):
    checks = "1, 1) == 2\nassert add(2, 3) == 5\nassert add(0, 7) == 7\n"
    agent, _ = start(lambda messages: checks if "checks of" in str(messages) else RIGHT)
    body = {"request": "Write add(a, b), which gives the sum"}
    frames = []
    with httpx.stream(
        "POST", f"{agent.base_url}/api/coding/stream", json=body, timeout=60, trust_env=False
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        frames = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    kinds = [frame["type"] for frame in frames]
    steps = ["started", "plan_complete", "code_start", "code_chunk", "code_complete", "test_start", "test_complete"]
    positions = [kinds.index(kind) for kind in [*steps, "run_start", "run_complete", "summary_complete", "complete"]]
    assert positions == sorted(positions)
    assert kinds.count("complete") == 1
    assert kinds[-1] == "complete"
    delivered = [frame for frame in frames if frame["type"] == "code_complete"][-1]
    assert delivered["code"] == frames[-1]["result"]["code"]
    assert frames[-1]["verdict"] == "verified"


def frames_of(agent, **body):
    url = f"{agent.base_url}/api/coding/stream"
    with httpx.stream("POST", url, json={"request": REQUEST, **body}, timeout=60, trust_env=False) as response:
        return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def test_a_stream_that_fails_ends_with_the_error_and_with_the_code_there_is(start):
    agent, _ = start("unused", model={"html": True})
    assert (frames_of(agent)[-1]["type"], frames_of(agent)[-1]["code"]) == ("error", "bad_gateway")
    status = SandboxStatus(False, reason="bubblewrap is not installed.")
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(status=status))
    last = frames_of(agent)[-1]
    assert (last["type"], last["code"]) == ("error", "sandbox_unavailable")
    assert "def add" in last["result"]["code"]


def test_a_conversation_is_known_by_its_id_from_the_first_frame_to_the_answer(start):
    agent, _ = start("Done.", sandbox=ScriptedSandbox())
    frames = frames_of(agent, conversation_id="talk-7")
    assert frames[0]["sessionId"] == frames[-1]["result"]["conversation_id"] == "talk-7"


def test_the_model_asked_for_is_what_the_server_is_told(start):
    agent, model = start("Done.", sandbox=ScriptedSandbox())
    agent.generate(REQUEST, model="another-model")
    assert {request.body["model"] for request in model.generations} == {"another-model"}


ADDED = CaseResult("test_solution.py::test_add_1_2", "passed")
PASSED, FAILED = every(Cell("passed")), every(Cell("failed", "4"))


@pytest.mark.parametrize("outcome", ["timeout", "killed", "tampered"])
def test_a_last_run_that_does_not_end_well_is_no_pass_though_every_test_in_it_passed(start, outcome):
    stubs_fail = make_result("failed")
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(stubs_fail, make_result(outcome, ADDED), rows=PASSED))
    answer = agent.generate(REQUEST, tier="fast").json()
    assert (answer["verdict"], answer["passed"]) == ("tests_failed", False)
    assert answer["confidence"] < 0.5


def test_a_run_that_was_tampered_with_counts_for_nothing(start):
    tampered = every(Cell("not_run"), outcome="tampered")
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(make_result("passed", ADDED), rows=tampered))
    answer = agent.generate(REQUEST, tier="fast", max_refinements=0).json()
    assert (answer["verdict"], answer["evidence"]["trusted_passed"]) == ("tests_failed", 0)


def test_code_that_failed_once_and_passed_once_is_not_verified(start):
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(make_result("passed", ADDED), rows=FAILED))
    answer = agent.generate(REQUEST, tier="fast", max_refinements=0).json()
    assert answer["verdict"] == "tests_failed"
    assert "not constant" in answer["error"]


def test_a_sandbox_that_fails_says_nothing_about_the_code(start):
    lost = every(Cell("not_run"), outcome="infrastructure", reason="No space left.")
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(make_result("infrastructure", reason="No space left."), rows=lost))
    answer = agent.generate(REQUEST, tier="fast", max_refinements=0).json()
    assert answer["verdict"] == "not_verified"
    assert "The sandbox failed: No space left." in answer["error"]


@pytest.mark.parametrize(
    ("is_available", "is_enabled", "health", "readiness"),
    [(True, True, "ok", 200), (False, True, "degraded", 503), (False, False, "ok", 200)],
    ids=["all is well", "no isolation", "nothing is to be run"],
)
def test_readiness_asks_for_isolation_only_where_code_is_run(start, is_available, is_enabled, health, readiness):
    sandbox = ScriptedSandbox(status=SandboxStatus(is_available))
    agent, _ = start(RIGHT, sandbox=sandbox, sandbox_enabled=is_enabled)
    answer = agent.get("/readyz")
    assert (answer.json()["status"], answer.status_code) == (health, readiness)


def test_without_a_model_and_without_isolation_health_is_an_error():
    with running_agent("http://127.0.0.1:9", sandbox=ScriptedSandbox(status=SandboxStatus(False))) as agent:
        assert agent.get("/healthz").json()["status"] == "error"


def test_two_jobs_at_once_do_not_mix_and_health_answers_meanwhile(start):
    def answer(messages):
        name = "alpha" if "alpha" in str(messages) else "beta"
        return f"```python\ndef {name}(a):\n    return '{name}' * a\n```"

    agent, _ = start(answer, model={"delay_sec": 0.15})
    results, answered = {}, 0

    def ask(name):
        results[name] = agent.generate(f"Write {name}(a). {name}(1) == '{name}'", tier="fast").json()

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("alpha", "beta")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert agent.get("/healthz").status_code == 200
        answered += all(thread.is_alive() for thread in threads)
        threads[0].join(0.05)
    for name in ("alpha", "beta"):
        assert results[name]["verdict"] == "verified"
        assert f"def {name}" in results[name]["code"]
    assert answered >= 3  # while both jobs ran: neither holds the service up
    assert results["alpha"]["job_id"] != results["beta"]["job_id"]


def test_a_client_that_goes_away_cancels_the_model(start):
    agent, model = start([Reply("def add(a, b):\n" + "    # thinking\n" * 50, hang_after=3)])
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{agent.base_url}/api/coding/generate", json={"request": REQUEST}, timeout=1.5, trust_env=False)
    wait_until(lambda: model.streams_open == 0)
    wait_until(lambda: agent.get("/healthz").json()["jobs_running"] == 0)
    assert 'coder_requests_total{verdict="cancelled"} 1.0' in agent.get("/metrics").text


def test_the_deadline_before_any_code_is_504(start):
    agent, _ = start([Reply("x", hang_after=0)])
    assert_is_problem(agent.generate(REQUEST, deadline_seconds=0.5), 504, "deadline")


def test_the_deadline_after_some_code_delivers_it_unverified(start):
    agent, _ = start([RIGHT.replace("+", "-"), Reply("x", hang_after=0)])
    response = agent.generate(REQUEST, deadline_seconds=5)
    assert response.status_code == 200
    answer = response.json()
    assert answer["verdict"] == "budget_exhausted"
    assert answer["passed"] is False
    assert "def add" in answer["code"]


def test_no_model_is_503_with_the_addresses_tried(start):
    with running_agent("http://127.0.0.1:9") as agent:
        started = time.monotonic()
        response = agent.generate(REQUEST)
        assert_is_problem(response, 503, "model_unavailable")
        assert "http://127.0.0.1:9" in response.json()["detail"]
        assert time.monotonic() - started < 5
        assert agent.get("/healthz").json()["status"] == "degraded"
        assert agent.get("/readyz").status_code == 503


def test_a_model_that_is_lost_after_the_code_still_gives_the_code(start):
    agent, _ = start([RIGHT.replace("+", "-"), Reply("", error_after=0)])
    response = agent.generate(REQUEST)
    assert response.status_code == 502
    answer = response.json()
    assert "def add" in answer["code"]
    assert (answer["verdict"], answer["evidence"]["candidates"]) == ("not_verified", 1)
    assert "Candidates tried: 1" in answer["summary"]


def test_code_that_meets_the_examples_is_not_lost_because_the_model_is(start):
    three = f"{REQUEST} and add(0, 5) == 5 and add(2, 2) == 4"
    agent, _ = start([RIGHT, Reply("", error_after=0)])
    assert agent.generate(three).json()["verdict"] == "verified"
    agent, _ = start([RIGHT, Reply("", error_after=0)])
    answer = agent.generate("Write add(a, b). add(0, 0) == 0")
    assert (answer.status_code, answer.json()["verdict"]) == (200, "not_verified")
    assert "def add" in answer.json()["code"]
    assert "model" in answer.json()["error"]


def test_nonsense_from_the_backend_is_502(start):
    agent, _ = start("unused", model={"html": True})
    assert_is_problem(agent.generate(REQUEST), 502, "bad_gateway")


def test_a_wrong_key_is_model_unavailable_and_names_the_variable(start):
    agent, _ = start(RIGHT, model={"api_key": "secret"})
    response = agent.generate(REQUEST)
    assert_is_problem(response, 503, "model_unavailable")
    assert "LLAMACPP_" in response.json()["detail"]


@pytest.mark.parametrize(
    "model",
    [
        {"completion": False, "apply_template": False},
        {"openai": False},
        {"openai": False, "apply_template": False},
        {"props": False, "tokenize": False},
        {"reject_unknown_fields": True, "completion": False, "props": False, "tokenize": False},
        {"reject_prefill": True},
    ],
    ids=["OpenAI only", "native only", "completion only", "no props, no tokenize", "strict OpenAI", "no prefill"],
)
def test_every_kind_of_backend_succeeds(start, model):
    agent, _ = start(RIGHT, model=model)
    assert agent.generate(REQUEST, tier="fast").json()["verdict"] == "verified"


def test_a_backend_that_wants_a_key_gets_it(start):
    agent, model = start(RIGHT, model={"api_key": "k"}, env={"LLAMACPP_API_KEY": "k"})
    assert agent.generate(REQUEST, tier="fast").json()["verdict"] == "verified"
    assert model.generations[0].headers["authorization"] == "Bearer k"


def test_a_backend_that_loads_for_twenty_seconds_is_waited_for(start):
    agent, model = start(RIGHT, model={"loading_sec": 20.0})
    assert agent.generate(REQUEST, tier="fast").json()["verdict"] == "verified"
    assert agent.generate(REQUEST, tier="fast").json()["verdict"] == "verified"
    assert {request.path for request in model.generations[-1:]} == {"/v1/chat/completions"}


def test_a_sandbox_that_cannot_isolate_is_503_and_the_code_is_there(start):
    status = SandboxStatus(False, reason="bubblewrap is not installed.", fix="apt install bubblewrap")
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(status=status))
    response = agent.generate(REQUEST)
    assert response.status_code == 503
    answer = response.json()
    assert answer["verdict"] == answer["error_code"] == "sandbox_unavailable"
    assert "apt install bubblewrap" in answer["detail"]
    assert "def add" in answer["code"]
    assert "add(1, 2)" in answer["tests"]


def test_a_disabled_sandbox_executes_nothing_and_claims_nothing(start):
    agent, _ = start(RIGHT, sandbox_enabled=False, sandbox=ScriptedSandbox())
    answer = agent.generate(REQUEST).json()
    assert answer["verdict"] == "not_verified"
    assert answer["run_stderr"] == "Sandbox disabled"
    assert "def add" in answer["code"]
    assert "add(1, 2)" in answer["tests"]


def test_a_request_too_long_for_the_window_says_by_how_many_tokens(start):
    agent, _ = start(RIGHT, model={"n_ctx": 1024})
    response = agent.generate("word " * 3900 + REQUEST)
    assert_is_problem(response, 413, "prompt_too_long")
    assert response.json()["tokens_over"] > 0


def test_the_counters_count(start):
    agent, _ = start(RIGHT)
    agent.generate(REQUEST, tier="fast")
    text = agent.get("/metrics").text
    assert 'coder_requests_total{verdict="verified"} 1.0' in text
    assert 'coder_tests_passed_total{result="true"} 1.0' in text
    assert 'sandbox_runs_total{outcome="passed"}' in text
    assert 'coder_step_seconds_count{step="write_code"} 1.0' in text
    assert "jobs_running 0.0" in text


def test_a_service_token_is_wanted_where_others_can_reach_the_service(start):
    agent, _ = start(RIGHT, kitty_service_token="t0ken", kitty_bind="0.0.0.0")
    assert_is_problem(replace(agent, headers={}).generate(REQUEST), 401, "unauthorized")
    assert agent.get("/healthz").status_code == 200
    assert agent.headers == {"authorization": "Bearer t0ken"}
    assert agent.generate(REQUEST, tier="fast").json()["verdict"] == "verified"


def test_the_api_document_is_served(start):
    agent, _ = start("unused", sandbox=ScriptedSandbox())
    assert agent.get("/docs").status_code == 200
    assert "/api/coding/generate" in agent.get("/openapi.json").json()["paths"]


def test_a_request_id_is_kept_and_answered(start):
    agent, _ = start(RIGHT)
    url = f"{agent.base_url}/api/coding/generate"
    body = {"request": REQUEST, "tier": "fast"}
    response = httpx.post(url, json=body, headers={"x-request-id": "abc-123"}, timeout=60, trust_env=False)
    assert response.headers["x-request-id"] == response.json()["request_id"] == "abc-123"
