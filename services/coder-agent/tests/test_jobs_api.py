"""Jobs over HTTP: handed in, looked at, followed, cancelled, resumed."""

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from coder_agent.testing import TOKEN
from kitty_llm.testing import Reply
from kitty_sandbox import Cell
from kitty_sandbox.testing import ScriptedSandbox, every, make_result

REQUEST = "Write add(a, b). add(1, 2) == 3"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
ENDLESS = "```python\ndef add(a, b):\n    while True:\n        pass\n```"
SLOW = {"chunk_chars": 1, "delay_sec": 0.05}


def wait_until(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def submit(agent, request=REQUEST, headers=None, **fields):
    url = f"{agent.base_url}/api/coding/jobs"
    return httpx.post(url, json={"request": request, **fields}, headers=headers or {}, timeout=30, trust_env=False)


def post(agent, path, headers=None):
    url = f"{agent.base_url}/api/coding/jobs/{path}"
    headers = {"content-type": "application/json", **(headers or {})}
    return httpx.post(url, headers=headers, timeout=30, trust_env=False)


def look(agent, job_id, headers=None):
    url = f"{agent.base_url}/api/coding/jobs/{job_id}"
    return httpx.get(url, headers=headers or {}, timeout=30, trust_env=False)


def ended(agent, job_id):
    wait_until(lambda: look(agent, job_id).json()["finished_at"], seconds=90)
    return look(agent, job_id).json()


@contextmanager
def reading(agent, job_id, last_id=None):
    url = f"{agent.base_url}/api/coding/jobs/{job_id}/events"
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    with httpx.stream("GET", url, headers=headers, timeout=30, trust_env=False) as response:
        assert response.status_code == 200, response.read()
        yield events_in(response)


def events_in(response):
    id = None
    for line in response.iter_lines():
        if line.startswith("id: "):
            id = int(line[4:])
        elif line.startswith("data: "):
            yield id, json.loads(line[6:])


def all_events(agent, job_id, last_id=None):
    with reading(agent, job_id, last_id) as events:
        return list(events)


def test_a_job_that_is_handed_in_goes_on_without_its_client(start):
    agent, _ = start(RIGHT)
    response = submit(agent, conversation_id="talk")
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/api/coding/jobs/{job['job_id']}"
    assert (job["request"], job["tier"], job["user_id"], job["result"]) == (REQUEST, "standard", "local", None)
    assert job["queue"] == "default"
    done = ended(agent, job["job_id"])
    assert (done["status"], done["verdict"], done["attempt"], done["error"]) == ("succeeded", "verified", 1, None)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert "def add" in done["result"]["code"]
    assert done["result"]["job_id"] == job["job_id"]
    assert done["result"]["conversation_id"] == "talk"
    listed = agent.get("/api/coding/jobs").json()["jobs"]
    assert [(one["job_id"], one["result"]) for one in listed] == [(job["job_id"], None)]


def test_its_events_are_those_of_a_stream_and_can_be_read_again_and_again(start):
    agent, _ = start(RIGHT)
    url = f"{agent.base_url}/api/coding/stream"
    with httpx.stream("POST", url, json={"request": REQUEST}, timeout=60, trust_env=False) as response:
        streamed = [json.loads(line[6:])["type"] for line in response.iter_lines() if line.startswith("data: ")]
    job_id = submit(agent).json()["job_id"]
    live = all_events(agent, job_id)
    assert [id for id, _ in live] == list(range(1, len(live) + 1))
    assert set(streamed) == {event["type"] for _, event in live}
    last = live[-1][1]
    assert (last["type"], last["verdict"]) == ("complete", "verified")
    assert last["result"] == look(agent, job_id).json()["result"]
    assert all_events(agent, job_id) == live
    assert all_events(agent, job_id, 3) == live[3:]
    headers = {"Last-Event-ID": str(len(live))}
    again = httpx.get(f"{agent.base_url}/api/coding/jobs/{job_id}/events", headers=headers, trust_env=False)
    assert again.status_code == 204, "an EventSource does not come again"


def test_a_reader_that_comes_again_fifty_times_sees_each_event_once_and_in_order(start):
    agent, _ = start(RIGHT, model=SLOW)
    job_id = submit(agent, tier="fast").json()["job_id"]
    drawn = random.Random(7)
    seen = []
    for _ in range(50):
        with reading(agent, job_id, seen[-1][0] if seen else None) as events:
            for _ in range(drawn.randrange(1, 4)):
                event = next(events, None)
                if event is None or (event[1]["type"] == "complete" and seen.append(event) is None):
                    break
                seen.append(event)
        if seen[-1][1]["type"] == "complete":
            break
    if seen[-1][1]["type"] != "complete":
        seen += all_events(agent, job_id, seen[-1][0])
    assert seen == all_events(agent, job_id)
    assert [id for id, _ in seen] == list(range(1, len(seen) + 1))
    code = next(event["code"] for _, event in seen if event["type"] == "code_complete")
    pieces = "".join(event["delta"] for _, event in seen if event["type"] == "code_chunk")
    assert code.strip() in pieces


def test_many_readers_at_once_see_the_same_and_one_that_leaves_holds_nothing_up(start):
    agent, _ = start(RIGHT, model=SLOW)
    job_id = submit(agent, tier="fast").json()["job_id"]
    with reading(agent, job_id) as left, reading(agent, job_id) as stays:
        next(left)
        first = next(stays)
        assert first[1]["type"] == "started"
        rest = list(stays)
    assert [first, *rest] == all_events(agent, job_id)


def test_the_same_key_gives_the_same_job_and_another_body_is_refused(start):
    agent, model = start(RIGHT)
    key = {"Idempotency-Key": "once"}
    first, again = (submit(agent, headers=key).json()["job_id"] for _ in range(2))
    assert first == again
    refused = submit(agent, "Write sub(a, b)", headers=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_used")
    ended(agent, first)
    calls = len(model.generations)
    assert submit(agent, headers=key).json()["status"] == "succeeded"
    assert len(model.generations) == calls


def test_a_full_queue_is_429_with_retry_after_and_what_waits_is_not_lost(start):
    agent, _ = start(RIGHT, model=SLOW, jobs_queue_limit=2, coder_jobs_at_once=1)
    ids = [submit(agent, tier="fast").json()["job_id"]]
    wait_until(lambda: look(agent, ids[0]).json()["status"] == "running")
    ids += [submit(agent, tier="fast").json()["job_id"] for _ in range(2)]
    assert [look(agent, id).json()["queue_position"] for id in ids] == [None, 1, 2]
    for refused in (submit(agent), agent.generate(REQUEST)):
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) > 0
    assert [ended(agent, id)["verdict"] for id in ids] == ["verified"] * 3


@pytest.mark.parametrize("at", ["code_chunk", "run_start"])
def test_cancelling_stops_the_model_and_the_sandbox_within_two_seconds_and_the_job_can_go_on(start, at):
    is_writing = at == "code_chunk"
    agent, model = start(RIGHT if is_writing else ENDLESS, model=SLOW if is_writing else None)
    job_id = submit(agent, tier="fast").json()["job_id"]
    with reading(agent, job_id) as events:
        next(event for _, event in events if event["type"] == at)
        began = time.monotonic()
        assert post(agent, f"{job_id}/cancel").status_code == 200
        *_, (_, last) = events
    assert time.monotonic() - began < 2
    assert (last["type"], last["code"]) == ("error", "cancelled")
    job = look(agent, job_id).json()
    assert (job["status"], job["verdict"], job["error"]["code"]) == ("cancelled", "cancelled", "cancelled")
    assert agent.get("/healthz").json()["jobs_running"] == 0
    if is_writing:
        assert job["result"] is None
        wait_until(lambda: model.generations[-1].disconnected_at is not None, seconds=2)
    else:
        assert "def add" in job["result"]["code"], "the code there was is not lost"
        assert (job["result"]["verdict"], job["result"]["passed"]) == ("cancelled", False)
    calls = len(model.generations)
    resumed = post(agent, f"{job_id}/resume")
    assert (resumed.status_code, resumed.json()["status"] in ("queued", "running")) == (202, True)
    done = ended(agent, job_id)
    assert (done["status"], done["attempt"]) == ("succeeded", 2)
    assert done["verdict"] == ("verified" if is_writing else "tests_failed")
    if is_writing:
        assert len(model.generations) == calls + 1
    else:
        assert [event["type"] for _, event in all_events(agent, job_id)].count("plan_complete") == 1
    kinds = [event["type"] for _, event in all_events(agent, job_id)]
    goes_on = "code_complete" if is_writing else "resumed"
    assert kinds.index("error") < kinds.index(goes_on) < kinds.index("complete")


def test_only_what_was_cancelled_or_has_failed_can_be_resumed(start):
    agent, _ = start(RIGHT)
    job_id = submit(agent).json()["job_id"]
    ended(agent, job_id)
    refused = post(agent, f"{job_id}/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_not_resumable")
    assert post(agent, f"{job_id}/cancel").json()["status"] == "succeeded"


def test_a_job_that_failed_for_want_of_a_model_goes_on_when_there_is_one(start):
    agent, model = start(RIGHT)
    model.api_key = "unknown to the agent"
    job_id = submit(agent).json()["job_id"]
    failed = ended(agent, job_id)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "model_unavailable")
    model.api_key = None
    assert post(agent, f"{job_id}/resume").status_code == 202
    assert ended(agent, job_id)["verdict"] == "verified"


@pytest.mark.parametrize("path", ["nothing", "nothing/events", "nothing/cancel", "nothing/resume"])
def test_a_job_that_is_not_there_is_404(start, path):
    agent, _ = start(RIGHT)
    response = post(agent, path) if path.endswith(("cancel", "resume")) else look(agent, path)
    assert (response.status_code, response.json()["code"]) == (404, "no_such_job")


def test_a_last_event_id_that_is_no_number_is_refused(start):
    agent, _ = start(RIGHT)
    job_id = submit(agent).json()["job_id"]
    response = look(agent, f"{job_id}/events", {"Last-Event-ID": "seven"})
    assert (response.status_code, response.json()["code"]) == (422, "bad_request")


def test_each_user_sees_their_own_jobs_and_an_admin_sees_all(start):
    agent, _ = start(RIGHT, kitty_service_token=TOKEN)

    def as_user(name, role="user"):
        return {**agent.headers, "X-Kitty-User": name, "X-Kitty-Role": role}

    ids = {name: submit(agent, headers=agent.headers, user_id=name).json()["job_id"] for name in ("ann", "bob")}
    assert look(agent, ids["ann"], as_user("ann")).status_code == 200
    for path in ("", "/events"):
        assert look(agent, f"{ids['ann']}{path}", as_user("bob")).status_code == 404
    for path in ("cancel", "resume"):
        assert post(agent, f"{ids['ann']}/{path}", as_user("bob")).status_code == 404
    assert look(agent, ids["ann"], as_user("root", "admin")).status_code == 200
    url = f"{agent.base_url}/api/coding/jobs"
    seen = httpx.get(url, headers=as_user("bob"), trust_env=False).json()["jobs"]
    assert [job["job_id"] for job in seen] == [ids["bob"]]
    assert look(agent, ids["ann"]).status_code == 404, "without the token it is the user `local` who asks"


def test_a_client_that_leaves_cancels_its_own_job_only(start):
    agent, _ = start(Reply(RIGHT, hang_after=1))
    url = f"{agent.base_url}/api/coding/stream"
    posted = submit(agent, tier="fast").json()["job_id"]
    with httpx.stream("POST", url, json={"request": REQUEST, "tier": "fast"}, timeout=30, trust_env=False) as response:
        _, started = next(events_in(response))
    wait_until(lambda: look(agent, started["jobId"]).json()["status"] == "cancelled", seconds=5)
    assert look(agent, posted).json()["status"] == "running"
    post(agent, f"{posted}/cancel")


def test_two_hundred_at_once_are_taken_or_told_to_come_again_and_none_is_lost(start):
    sandbox = ScriptedSandbox(*[make_result("failed")] * 2000, rows=every(Cell("passed")))
    agent, _ = start(RIGHT, sandbox=sandbox, jobs_queue_limit=100, coder_jobs_at_once=2)
    asked = threading.Barrier(200)

    def hand_in(number):
        asked.wait()
        return submit(agent, f"{REQUEST} # {number}", tier="fast")

    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(hand_in, range(200)))
    taken = [answer.json()["job_id"] for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(taken) + len(refused) == 200
    assert len(taken) >= 100
    assert refused
    assert all("retry-after" in answer.headers for answer in refused)
    assert [ended(agent, job_id)["status"] for job_id in taken] == ["succeeded"] * len(taken)
