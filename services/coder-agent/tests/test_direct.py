"""A request that comes by no gateway: who may ask, and the one audit row that it leaves."""

import asyncio
import json
import threading
import time

import httpx
import pytest

from coder_agent.calls import Call, Events
from coder_agent.testing import TOKEN, running_agent
from kitty_core.audit import AuditUnavailable, Recorder, arguments_sha256
from kitty_core.testing import MemoryAuditLog
from kitty_llm.testing import Reply
from kitty_sandbox import CaseResult, Cell, SandboxStatus
from kitty_sandbox.testing import ScriptedSandbox, every, make_result

GENERATE, STREAM = "/api/coding/generate", "/api/coding/stream"
REQUEST = "Write add(a, b). add(1, 2) == 3"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
ASK = {"request": REQUEST, "tier": "fast"}
DOOR = {"authorization": f"Bearer {TOKEN}"}


def passing():
    """A sandbox that takes no time, where the verdict is not what is asked for."""
    passed = make_result("passed", CaseResult("test_solution.py::test_add_1_2", "passed"))
    return ScriptedSandbox(*[passed] * 9, rows=every(Cell("passed")))


def wait_until(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def post(agent, body, path=GENERATE, **headers):
    return httpx.post(f"{agent.base_url}{path}", json=body, headers=headers, timeout=60, trust_env=False)


def events(agent, body):
    """Each with the number of rows that were there when it was read."""
    url = f"{agent.base_url}{STREAM}"
    with httpx.stream("POST", url, json=body, timeout=60, trust_env=False) as response:
        return [(json.loads(line[6:]), len(agent.rows())) for line in response.iter_lines() if line.startswith("data:")]


def row(agent):
    """The only one."""
    [only] = agent.rows()
    return only


def facts(row, *names):
    return tuple(row[name] for name in names)


def test_a_request_without_a_token_is_answered_and_its_row_is_there_before_the_answer(start):
    agent, _ = start(RIGHT)
    body = {**ASK, "conversation_id": "c1", "unknown": [1, None], "user_id": "local"}
    answer = post(agent, body, **{"x-request-id": "r1"})
    one = row(agent)
    said = answer.json()
    assert (answer.status_code, said["verdict"]) == (200, "verified")
    assert facts(one, "request_id", "tool", "user_id", "conversation_id") == ("r1", "coding.generate", "local", "c1")
    assert facts(one, "decision", "status", "hazard_class", "error") == ("allowed", "ok", "low", None)
    assert facts(one, "verdict", "tests_passed", "refinements") == ("verified", True, said["refinement_count"])
    names = ("job_id", "model", "model_sha256", "sandbox_tier", "code_sha256")
    assert facts(one, *names) == facts(said, *names)
    assert one["args_sha256"] == arguments_sha256(body)
    assert one["latency_ms"] > 0
    assert REQUEST not in str(one)
    assert agent.audit.prompts == {}


def test_a_gateway_that_says_what_it_decided_leaves_the_row_to_the_job(start):
    agent, _ = start(RIGHT, sandbox=passing())
    told = {"x-kitty-decision": "confirmed", "x-kitty-hazard-class": "medium", "x-kitty-args-sha256": "a" * 64}
    answer = post(agent, {**ASK, "user_id": "ann"}, **DOOR, **told, **{"x-kitty-job-id": "b" * 32})
    assert answer.json()["job_id"] == "b" * 32
    one = row(agent)
    assert facts(one, "user_id", "decision", "hazard_class", "args_sha256", "job_id") == (
        "ann",
        "confirmed",
        "medium",
        "a" * 64,
        "b" * 32,
    )
    assert one["verdict"] == answer.json()["verdict"]


def test_what_is_said_of_a_decision_without_the_service_token_is_not_heard(start):
    agent, _ = start(RIGHT, sandbox=passing())
    answer = post(agent, ASK, **{"x-kitty-decision": "confirmed", "x-kitty-job-id": "b" * 32})
    assert answer.json()["job_id"] != "b" * 32
    assert facts(row(agent), "decision", "hazard_class") == ("allowed", "low")


def test_a_posted_job_leaves_its_row_when_it_ends_and_one_more_for_each_end_after_it_was_resumed(start):
    agent, model = start(RIGHT, model={"chunk_chars": 1, "delay_sec": 0.05})
    job_id = post(agent, ASK, "/api/coding/jobs").json()["job_id"]
    wait_until(lambda: model.streams_open == 1)
    assert agent.rows() == []
    assert post(agent, {}, f"/api/coding/jobs/{job_id}/cancel").status_code == 200
    wait_until(lambda: len(agent.rows()) == 1)
    assert post(agent, {}, f"/api/coding/jobs/{job_id}/resume").status_code == 202
    wait_until(lambda: len(agent.rows()) == 2, seconds=30)
    cancelled, resumed = agent.rows()
    names = ("job_id", "status", "error", "verdict", "user_id", "decision")
    assert facts(cancelled, *names) == (job_id, "error", "cancelled", "cancelled", "local", "allowed")
    assert facts(resumed, *names) == (f"{job_id}.2", "ok", None, "verified", "local", "allowed")


def test_a_request_with_the_service_token_leaves_its_row_to_the_gateway(start):
    agent, _ = start(RIGHT, sandbox=passing())
    for path in (GENERATE, STREAM):
        assert post(agent, {**ASK, "user_id": "ann"}, path, **DOOR).status_code == 200
    assert post(agent, {**ASK, "allow_network": True}, **DOOR).json()["code"] == "network_refused"
    assert agent.rows() == []


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "", f"bearer {TOKEN}", f"Basic {TOKEN}"])
def test_a_wrong_token_is_401_and_leaves_no_row(start, given):
    agent, model = start(RIGHT, sandbox=passing())
    answer = post(agent, ASK, authorization=given)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert not model.generations
    assert agent.rows() == []


def test_on_another_address_than_loopback_the_token_is_wanted(start):
    agent, model = start(RIGHT, kitty_bind="0.0.0.0", kitty_service_token=TOKEN)
    assert (post(agent, ASK).status_code, agent.get("/healthz").json()["access"]) == (401, "token")
    assert not model.generations
    assert post(agent, ASK, **DOOR).json()["verdict"] == "verified"


@pytest.mark.parametrize("name", ["user_id", "userId"])
def test_another_user_is_refused_as_at_the_gateway(start, name):
    agent, model = start(RIGHT, sandbox=passing())
    for path in (GENERATE, STREAM):
        answer = post(agent, {**ASK, name: "ann"}, path)
        assert (answer.status_code, answer.json()["code"]) == (403, "other_user")
        assert facts(agent.rows()[-1], "decision", "status", "error") == ("blocked", None, "other_user")
    assert not model.generations
    assert [line["user_id"] for line in agent.rows()] == ["local", "local"]


def test_what_only_the_gateway_may_say_is_not_heard_without_its_token(start):
    agent, _ = start(RIGHT, sandbox=passing())
    post(agent, ASK, **{"x-kitty-user": "ann", "x-kitty-role": "admin"})
    assert row(agent)["user_id"] == "local"


@pytest.mark.parametrize("body", [{}, {"request": ""}, {"request": "x", "files": {"solution.py": ""}}, []])
def test_a_body_that_is_no_request_leaves_no_row(start, body):
    agent, _ = start(RIGHT, sandbox=passing())
    for path in (GENERATE, STREAM):
        assert post(agent, body, path).status_code == 422
    assert agent.rows() == []


@pytest.mark.parametrize("path", [GENERATE, STREAM])
def test_a_wish_for_the_network_is_refused_and_leaves_a_row(start, path):
    agent, _ = start(RIGHT, sandbox=passing())
    assert post(agent, {**ASK, "allow_network": True}, path).status_code == 403
    assert facts(row(agent), "decision", "status", "error") == ("allowed", "error", "network_refused")


@pytest.mark.parametrize(
    ("options", "body", "said"),
    [
        ({"script": RIGHT.replace("+", "-")}, {"max_refinements": 0}, ("failed", None, "tests_failed")),
        ({"script": [Reply("x", hang_after=0)]}, {"deadline_seconds": 0.5}, ("timeout", "deadline", None)),
        ({"script": "unused", "model": {"html": True}}, {}, ("error", "bad_gateway", None)),
        (
            {"script": RIGHT, "sandbox": ScriptedSandbox(status=SandboxStatus(False))},
            {},
            ("error", "sandbox_unavailable", "sandbox_unavailable"),
        ),
    ],
    ids=["tests failed", "deadline", "nonsense", "no sandbox"],
)
@pytest.mark.parametrize("path", [GENERATE, STREAM])
def test_however_a_job_ends_there_is_one_row_and_both_ways_it_says_the_same(start, options, body, said, path):
    failing = ScriptedSandbox(*[make_result("failed")] * 20, rows=every(Cell("failed", "4")))
    agent, _ = start(**{"sandbox": failing, **options})
    post(agent, {**ASK, **body}, path)
    one = row(agent)
    assert facts(one, "decision", "status", "error", "verdict") == ("allowed", *said)
    assert len(one["job_id"]) == 32


def test_the_row_of_a_stream_is_there_before_its_last_event(start):
    agent, _ = start(RIGHT)
    *before, (last, rows) = events(agent, ASK)
    assert (last["type"], rows) == ("complete", 1)
    assert before[0][1] == 0
    assert facts(row(agent), "verdict", "job_id") == ("verified", last["result"]["job_id"])


def test_a_client_that_leaves_has_a_row_that_says_so(start):
    agent, model = start(Reply("def add(a, b):\n" + "    # thinking\n" * 50, hang_after=3))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{agent.base_url}{GENERATE}", json=ASK, timeout=1.5, trust_env=False)
    wait_until(agent.rows)
    url = f"{agent.base_url}{STREAM}"
    with httpx.stream("POST", url, json=ASK, timeout=30, trust_env=False) as response:
        lines = response.iter_lines()
        job_id = json.loads(next(lines)[6:])["jobId"]
        wait_until(lambda: model.hanging == 1)
    wait_until(lambda: len(agent.rows()) == 2)
    wait_until(lambda: model.streams_open == 0)
    for line in agent.rows():
        assert facts(line, "decision", "status", "error") == ("allowed", "error", "client_disconnected")
    assert agent.rows()[1]["job_id"] == job_id


def test_many_at_once_leave_one_row_each_and_a_whole_chain(start):
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(*[make_result("failed")] * 99, rows=every(Cell("passed"))))
    threads = [
        threading.Thread(target=post, args=(agent, {**ASK, "n": n}, (GENERATE, STREAM)[n % 2])) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    rows = agent.rows()
    assert {line["args_sha256"] for line in rows} == {arguments_sha256({**ASK, "n": n}) for n in range(8)}
    assert len({line["job_id"] for line in rows}) == len(rows) == 8
    assert agent.audit.verify().whole


def test_while_the_database_is_away_jobs_succeed_and_their_rows_wait(start):
    away = [True]

    def fail():
        if away[0]:
            raise AuditUnavailable

    agent, _ = start(RIGHT, audit=MemoryAuditLog(fails=fail))
    assert post(agent, ASK).json()["verdict"] == "verified"
    assert agent.rows() == []
    assert agent.get("/healthz").json()["audit"] == {"spooled_rows": 1, "lost_rows": 0}
    assert "audit_spool_rows 1.0" in agent.get("/metrics").text
    away[0] = False
    wait_until(agent.rows)
    assert row(agent)["verdict"] == "verified"


def test_the_conversation_of_a_direct_request_is_the_local_user_s(start, tmp_path):
    agent, model = start(RIGHT, sandbox=passing(), coder_conversations_dir=str(tmp_path))
    post(agent, {**ASK, "conversation_id": "c", "user_id": "local"}, **DOOR)
    post(agent, {**ASK, "request": "now handle None", "conversation_id": "c"})
    assert "return a + b" in str(model.generations[-1].messages)


def test_no_model_leaves_a_row_too():
    with running_agent("http://127.0.0.1:9", sandbox=passing()) as agent:
        assert post(agent, ASK).status_code == 503
        assert facts(row(agent), "status", "error") == ("error", "model_unavailable")


async def test_a_reader_who_is_gone_before_the_first_event_has_a_row_too():
    memory = MemoryAuditLog()
    recorder = Recorder(memory)
    call = Call(recorder.begin("coding.generate", "local", "r1", None, "a" * 64), None, "f" * 32)

    async def frames():
        raise AssertionError("nobody reads it")
        yield ""

    async def gone():
        return {"type": "http.disconnect"}

    async def stuck(message):
        await asyncio.Event().wait()

    await Events(frames(), call)({"type": "http", "asgi": {"spec_version": "2.3"}}, gone, stuck)
    await recorder.finish()
    assert [entry.columns["error"] for entry in memory.rows] == ["client_disconnected"]
