"""Jobs through the gateway: handed in through the one door, looked at and followed with who asks, and nothing else."""

import json
import socket

import httpx
import pytest

from gateway.auth import Caller
from gateway.testing import TOKEN, Reply, wait_until
from gateway.wish import Wish, seconds_of

JOBS = "/api/coding/jobs"
ASK = {"request": "Write add(a, b)", "deadline_seconds": 0.2}
JOB = {"job_id": "0a" * 16, "status": "queued", "verdict": None, "result": None}
ONE = f"{JOBS}/{JOB['job_id']}"
GUARDED = """
tools:
  coding.generate:
    method: POST
    url: ${CODER_AGENT_BASE}/api/coding/generate
    schema: {type: object, required: [request]}
    hazard_class: high
"""


def handed_in(seen):
    return Reply(JOB, 202, headers={"location": "http://evil.example/"})


def frame(number, event):
    return f"id: {number}\ndata: {json.dumps(event)}\n\n"


def problem(answer):
    return answer.status_code, answer.json()["code"]


def asked(service):
    return [(seen.method, seen.path) for seen in service.seen]


def test_a_job_is_handed_in_through_the_door_and_told_where_it_is(start):
    gateway, service = start(handed_in)
    answer = gateway.post(JOBS, ASK, **gateway.key("ann"), **{"idempotency-key": "once", "x-request-id": "r1"})
    assert (answer.status_code, answer.json(), answer.headers["location"]) == (202, JOB, ONE)
    [seen] = service.seen
    assert (seen.method, seen.path, seen.body) == ("POST", JOBS, {**ASK, "user_id": "ann"})
    assert (seen.headers["idempotency-key"], seen.headers["x-kitty-user"]) == ("once", "ann")
    assert gateway.rows() == []  # the job leaves one when it ends


@pytest.mark.parametrize("said", [{}, {"job_id": "../../x"}, {"job_id": 7}, {"job_id": "a b"}])
def test_where_a_job_is_that_has_no_name_is_not_told(start, said):
    gateway, _ = start(Reply(said, 202, headers={"location": "http://evil.example/"}))
    answer = gateway.post(JOBS, ASK)
    assert (answer.status_code, "location" in answer.headers) == (202, False)


def test_a_job_that_needs_a_persons_word_is_not_handed_in(start):
    gateway, service = start(handed_in, GUARDED)
    answer = gateway.post(JOBS, {**ASK, "conversation_id": "c1"})
    assert (answer.status_code, answer.json()["requiresConfirmation"]) == (202, True)
    assert "location" not in answer.headers
    assert service.seen == []
    assert [row["error"] for row in gateway.rows()] == ["needs_confirmation"]


def test_the_time_that_a_job_may_take_is_not_that_of_handing_it_in():
    made = {"tool": "coding.generate", "arguments": ASK, "caller": Caller("ann", "user"), "request_id": "r"}
    assert seconds_of(Wish(**made, way="jobs"), 3600) == 3600
    assert seconds_of(Wish(**made), 3600) < 10


def test_a_job_that_is_refused_is_not_handed_in_and_leaves_its_row(start):
    gateway, service = start(handed_in)
    reader = gateway.key("rea", "read-only")
    assert problem(gateway.post(JOBS, ASK, **reader)) == (403, "read_only")
    assert problem(gateway.post(JOBS, {"request": ""})) == (422, "bad_request")
    assert problem(gateway.post(JOBS, [])) == (422, "bad_request")
    assert problem(gateway.post(JOBS, {**ASK, "user_id": "bob"})) == (403, "other_user")
    assert service.seen == []
    assert [(row["tool"], row["error"]) for row in gateway.rows()] == [
        ("coding.generate", error) for error in ("read_only", "bad_request", "bad_request", "other_user")
    ]


def test_a_full_queue_is_told_as_it_is(start):
    full = {"type": "about:blank", "title": "Full", "status": 429, "detail": "Full.", "code": "queue_full"}
    told = {"content-type": "application/problem+json", "retry-after": "10"}
    gateway, _ = start(Reply(full, 429, headers=told))
    for answer in (gateway.post(JOBS, ASK), gateway.post(f"{ONE}/resume", {})):
        assert (answer.status_code, answer.json()) == (429, full)
        assert (answer.headers["retry-after"], answer.headers["content-type"]) == ("10", told["content-type"])
    assert [row["error"] for row in gateway.rows()] == ["queue_full"]


def test_jobs_are_looked_at_and_ended_with_who_asks_and_no_row(start):
    gateway, service = start(lambda seen: Reply({"jobs": []} if seen.path == JOBS else JOB))
    ann = {**gateway.key("ann"), "x-request-id": "r7"}
    assert gateway.get(f"{JOBS}?limit=7&user_id=bob", **ann).json() == {"jobs": []}
    assert gateway.get(ONE, **ann).json() == JOB
    for action in ("cancel", "resume"):
        assert gateway.post(f"{ONE}/{action}", {"user_id": "bob"}, **ann).json() == JOB
    assert asked(service) == [("GET", JOBS), ("GET", ONE), ("POST", f"{ONE}/cancel"), ("POST", f"{ONE}/resume")]
    for seen in service.seen:
        told = [seen.headers[name] for name in ("x-kitty-user", "x-kitty-role", "x-request-id", "authorization")]
        assert told == ["ann", "user", "r7", f"Bearer {TOKEN}"]
        assert seen.body is None
    assert service.seen[0].query == "limit=7"
    assert gateway.rows() == []


def test_who_may_only_read_looks_and_does_no_more(start):
    gateway, service = start(lambda seen: Reply(JOB))
    reader, remote = gateway.key("rea", "read-only"), {"x-remote-mode": "read-only"}
    for headers in (reader, remote):
        assert gateway.get(ONE, **headers).status_code == 200
        for action in ("cancel", "resume"):
            assert problem(gateway.post(f"{ONE}/{action}", {}, **headers)) == (403, "read_only")
    assert asked(service) == [("GET", ONE)] * 2
    assert gateway.rows() == []


@pytest.mark.parametrize(
    ("who", "role"),
    [
        ({"x-kitty-surface": "model"}, "user"),
        ({}, "admin"),
        ({"authorization": f"Bearer {TOKEN}", "x-kitty-user": "local", "x-kitty-role": "admin"}, "user"),
        ({"authorization": f"Bearer {TOKEN}", "x-kitty-user": "ann", "x-kitty-role": "read-only"}, "read-only"),
    ],
)
def test_a_model_reaches_the_jobs_of_its_user_whatever_the_role_and_an_admin_all(start, who, role):
    gateway, service = start(lambda seen: Reply(JOB))
    gateway.get(JOBS, **who)
    gateway.get(ONE, **who)
    gateway.get(f"{ONE}/events", **who)
    if role != "read-only":
        gateway.post(f"{ONE}/cancel", {}, **who)
    assert {(seen.headers["x-kitty-user"], seen.headers["x-kitty-role"]) for seen in service.seen} == {
        (who.get("x-kitty-user", "local"), role)
    }
    assert len(service.seen) >= 3


def test_an_admins_key_that_a_model_uses_reaches_that_admins_jobs_alone(start):
    gateway, service = start(lambda seen: Reply(JOB))
    root = gateway.key("root", "admin")
    gateway.get(JOBS, **root)
    gateway.get(JOBS, **root, **{"x-kitty-surface": "model"})
    assert [(seen.headers["x-kitty-user"], seen.headers["x-kitty-role"]) for seen in service.seen] == [
        ("root", "admin"),
        ("root", "user"),
    ]


ODD = ["..", ".", "%2e%2e", "..%2f..%2fhealthz", "%2e%2e%2ftest", "a%3fb", "a%23b", "a%20b", "a%0ab", "%00", "%c3%a4"]


@pytest.mark.parametrize("odd", [*ODD, "a" * 65, "a;b", "a%25b", "a\\b"])
def test_a_name_with_odd_characters_reaches_no_other_path(start, odd):
    gateway, service = start(lambda seen: Reply(JOB))
    for method, rest in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/resume")):
        status = raw_status(gateway.base_url, method, f"{JOBS}/{odd}{rest}")
        assert status in (404, 405), (method, rest, status)  # 405: of another route, such as POST /api/coding/test
    assert service.seen == []


def raw_status(base_url, method, path):
    """Of a request whose path no client has made right."""
    host, port = base_url.removeprefix("http://").split(":")
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_events_are_passed_on_as_they_come_with_their_ids_and_leave_no_row(start):
    first, last = frame(4, {"type": "code_start"}), frame(5, {"type": "complete"})
    gateway, service = start(Reply(frames=(first, None, ": ping\n\n", last)))
    headers = {**gateway.key("ann"), "last-event-id": "3"}
    url = f"{gateway.base_url}{ONE}/events"
    with httpx.stream("GET", url, headers=headers, timeout=30, trust_env=False) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        frames = response.iter_text()
        assert next(frames) == first  # before the service has said anything else
        service.let_go()
        assert "".join(frames) == f": ping\n\n{last}"
    [seen] = service.seen
    assert (seen.path, seen.headers["last-event-id"], seen.headers["x-kitty-user"]) == (f"{ONE}/events", "3", "ann")
    assert gateway.rows() == []


def test_no_events_more_is_204_and_a_number_that_is_none_is_refused(start):
    gateway, service = start(Reply(content=b"", status=204))
    answer = gateway.get(f"{ONE}/events", **{"last-event-id": "9"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert problem(gateway.get(f"{ONE}/events", **{"last-event-id": "nine"})) == (422, "bad_request")
    assert len(service.seen) == 1


@pytest.mark.parametrize("breaks_off", [False, True])
def test_events_that_are_broken_off_end_without_a_word_so_that_the_reader_comes_again(start, breaks_off):
    first, half = frame(1, {"type": "started"}), "id: 2\ndata: {"
    gateway, _ = start(Reply(frames=(first, half), breaks_off=breaks_off))
    assert gateway.get(f"{ONE}/events").text == first + half


def test_events_are_let_go_after_the_deadline_of_the_gateway(start):
    gateway, service = start(Reply(frames=(frame(1, {"type": "started"}), None)), gateway_deadline_sec=0.3)
    assert gateway.get(f"{ONE}/events").text == frame(1, {"type": "started"})
    wait_until(lambda: service.left == [f"{ONE}/events"])


def test_a_reader_of_events_that_leaves_is_told_to_the_service_at_once(start):
    gateway, service = start(Reply(frames=(": ping\n\n", None)))
    url = f"{gateway.base_url}{ONE}/events"
    with httpx.stream("GET", url, timeout=30, trust_env=False) as response:
        next(response.iter_text())
    wait_until(lambda: service.left == [f"{ONE}/events"])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply({"code": "no_such_job"}, 404), (404, "no_such_job")),
        (Reply(content=b"<html>"), (502, "bad_gateway")),
        (Reply({}, 302, headers={"location": "http://evil.example/"}), (502, "bad_gateway")),
        (Reply({}, 401), (502, "bad_gateway")),
    ],
)
def test_what_the_service_refuses_is_told_and_what_is_no_answer_is_502(start, reply, said):
    gateway, _ = start(reply)
    for path in (ONE, f"{ONE}/events"):
        assert problem(gateway.get(path)) == said


def test_events_that_are_none_are_502(start):
    gateway, _ = start(Reply({"type": "complete"}))
    assert problem(gateway.get(f"{ONE}/events")) == (502, "bad_gateway")


def test_a_coder_agent_that_is_away_is_502_with_a_hint(start):
    gateway, _ = start(coder_agent_base="http://127.0.0.1:9")
    answer = gateway.get(JOBS)
    assert problem(answer) == (502, "bad_gateway")
    assert "CODER_AGENT_BASE" in answer.text
    assert gateway.rows() == []


def test_an_answer_makes_no_page_no_cookie_and_no_open_door(start):
    headers = {"set-cookie": "a=b", "access-control-allow-origin": "*", "content-type": "text/html"}
    gateway, _ = start(Reply(JOB, headers=headers))
    answer = gateway.get(ONE)
    assert answer.headers["content-type"] == "application/json"
    assert not {"set-cookie", "access-control-allow-origin"} & set(answer.headers)
