"""The one door: what is called, what is not, and the one row that each call leaves."""

import gzip
import json
import re
import socket
import threading
import time

import httpx
import pytest

from gateway.testing import TOKEN, Reply, wait_until
from kitty_core.audit import AuditUnavailable, arguments_sha256
from kitty_core.testing import MemoryAuditLog

GENERATE, STREAM = "/api/coding/generate", "/api/coding/stream"
ASK = {"request": "Write add(a, b)"}
COMPLETE = {"type": "complete", "success": True}


def frame(event):
    return f"data: {json.dumps(event)}\n\n"


def row(gateway):
    """The only one."""
    wait_until(gateway.rows)
    [only] = gateway.rows()
    return only


def facts(row, *names):
    return tuple(row[name] for name in names)


def test_a_coding_call_is_passed_on_and_its_row_says_what_came_of_it(start):
    gateway, service = start()
    body = {**ASK, "conversation_id": "c1"}
    answer = gateway.post(GENERATE, body, **{"x-request-id": "r1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "r1")
    [seen] = service.seen
    assert (seen.path, seen.headers["x-request-id"]) == (GENERATE, "r1")
    assert answer.json() == service.script(seen).body
    assert seen.body == {**body, "user_id": "local"}
    one = row(gateway)
    assert facts(one, "request_id", "tool", "user_id", "conversation_id") == ("r1", "coding.generate", "local", "c1")
    assert facts(one, "decision", "status", "verdict", "tests_passed") == ("allowed", "ok", "verified", True)
    assert facts(one, "job_id", "model", "sandbox_tier", "refinements") == ("job1", "kitty-coder", "full", 1)
    assert facts(one, "code_sha256", "model_sha256") == ("c" * 64, "d" * 64)
    assert one["args_sha256"] == arguments_sha256(body)
    assert one["latency_ms"] >= 0
    assert ASK["request"] not in str(one)


def test_a_service_of_the_house_gets_the_ids_in_one_spelling(start):
    gateway, service = start()
    gateway.post(GENERATE, {**ASK, "conversationId": "c1", "userId": "local"})
    gateway.post("/api/tools/disk.wipe", {"arguments": {"path": 7, "conversationId": "c2"}})
    assert service.seen[0].body == {**ASK, "conversation_id": "c1", "user_id": "local"}
    assert [line["conversation_id"] for line in gateway.rows()] == ["c1", "c2"]


def test_the_same_call_by_name_is_wrapped_and_leaves_the_same_row(start):
    gateway, _ = start()
    for name in ("coding.generate", "coding_generate"):
        answer = gateway.post(f"/api/tools/{name}", {"arguments": ASK, "conversation_id": "c1"}).json()
        assert (answer["tool"], answer["decision"], answer["status"]) == ("coding.generate", "allowed", "ok")
        assert answer["result"]["verdict"] == "verified"
    assert facts(row(gateway), "tool", "verdict", "conversation_id") == ("coding.generate", "verified", "c1")


def test_a_job_has_one_row_however_often_it_is_told_of(start):
    gateway, _ = start()
    for _ in range(3):
        gateway.post(GENERATE, ASK)
    assert len(gateway.rows()) == 1


def test_a_job_is_told_what_its_row_will_say_and_other_services_are_not(start):
    gateway, service = start()
    gateway.post(GENERATE, ASK)
    gateway.post("/api/tools/disk.look", {"arguments": {}})
    job, other = service.seen
    assert re.fullmatch("[0-9a-f]{32}", job.headers["x-kitty-job-id"])
    assert (job.headers["x-kitty-decision"], job.headers["x-kitty-hazard-class"]) == ("allowed", "low")
    assert job.headers["x-kitty-args-sha256"] == arguments_sha256(ASK)
    assert not [name for name in other.headers if name.startswith(("x-kitty-job", "x-kitty-decision", "x-kitty-args"))]


def test_what_a_caller_says_of_a_job_s_row_stops_at_the_gateway(start):
    gateway, service = start()
    gateway.post(GENERATE, ASK, **{"x-kitty-job-id": "f" * 32, "x-kitty-decision": "confirmed"})
    assert service.seen[0].headers["x-kitty-job-id"] != "f" * 32
    assert service.seen[0].headers["x-kitty-decision"] == "allowed"


def test_a_job_that_is_posted_leaves_its_row_to_its_end_and_a_refusal_leaves_one_at_once(start):
    gateway, service = start(Reply({"job_id": "f" * 32, "status": "queued"}, 202))
    answer = gateway.post("/api/coding/jobs", ASK, **{"idempotency-key": "once"})
    assert (answer.status_code, answer.json()["job_id"]) == (202, "f" * 32)
    [seen] = service.seen
    assert (seen.path, seen.headers["idempotency-key"]) == ("/api/coding/jobs", "once")
    assert gateway.rows() == []
    service.script = Reply({"code": "queue_full", "detail": "full", "status": 429}, 429, headers={"retry-after": "10"})
    answer = gateway.post("/api/coding/jobs", ASK)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    assert facts(row(gateway), "tool", "status", "error", "job_id") == ("coding.generate", "error", "queue_full", None)


def test_another_service_cannot_keep_a_row_from_being_written_by_naming_a_job(start):
    gateway, _ = start(Reply({"job_id": "job1"}))
    for _ in range(2):
        gateway.post("/api/tools/disk.look", {})
    assert [line["job_id"] for line in gateway.rows()] == [None, None]


@pytest.mark.parametrize(
    ("reply", "status", "said"),
    [
        (Reply({"verdict": "tests_failed", "success": False}), 200, ("failed", None)),
        (Reply({"code": "queue_full", "detail": "full"}, 429), 429, ("error", "queue_full")),
        (
            Reply({"code": "def f(): 1", "error_code": "sandbox_unavailable"}, 503),
            503,
            ("error", "sandbox_unavailable"),
        ),
        (Reply({"code": "deadline"}, 504), 504, ("timeout", "deadline")),
        (Reply({"code": "unauthorized"}, 401), 502, ("error", "bad_gateway")),
        (Reply(content=b"<html>"), 502, ("error", "bad_gateway")),
        (Reply(status=500, content=b"oops"), 502, ("error", "bad_gateway")),
        (Reply(content=b'{"a": NaN}'), 502, ("error", "bad_gateway")),
        (Reply({}, 307, headers={"location": "http://evil.example/"}), 502, ("error", "bad_gateway")),
        (Reply(content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}), 502, ("error", "bad_gateway")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_way_a_service_can_fail_has_its_answer_and_one_row(start, reply, status, said):
    gateway, _ = start(reply)
    assert gateway.post(GENERATE, ASK).status_code == status
    assert facts(row(gateway), "decision", "status", "error") == ("allowed", *said)


def test_how_long_to_wait_is_told_whichever_way_the_call_came(start):
    gateway, _ = start(Reply({"code": "queue_full", "detail": "full"}, 429, headers={"retry-after": "7"}))
    for path, body in ((GENERATE, ASK), ("/api/tools/disk.look", {})):
        answer = gateway.post(path, body)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.headers.get_list("content-type") == ["application/problem+json"]
    assert (answer.json()["code"], answer.json()["tool"]) == ("queue_full", "disk.look")


def test_a_services_headers_make_no_page_no_cookie_and_no_open_door_of_the_answer(start):
    sent = {"content-type": "text/html", "access-control-allow-origin": "*", "set-cookie": "a=b",
            "refresh": "0; url=/x", "location": "http://evil.example/", "retry-after": "3"}  # fmt: skip
    gateway, service = start(Reply(content=b"{}", headers=sent))
    answers = [gateway.post(GENERATE, ASK)]
    service.script = Reply(
        frames=['data: {"type": "complete"}\n\n'], headers={**sent, "content-type": "text/event-stream"}
    )
    answers.append(gateway.post("/api/coding/stream", ASK))
    for answer, kind in zip(answers, ("application/json", "text/event-stream"), strict=True):
        assert (answer.headers["content-type"].partition(";")[0], answer.headers["retry-after"]) == (kind, "3")
        assert not {"access-control-allow-origin", "set-cookie", "refresh", "location"} & set(answer.headers)


@pytest.mark.parametrize(
    ("tool", "body", "status", "said"),
    [
        ("no.such", {}, 404, ("no.such", "unknown_tool")),
        ("disk.old", {}, 403, ("disk.old", "tool_blocked")),
        ("disk.secret", {}, 403, ("disk.secret", "tool_blocked")),
        ("disk.wipe", {"arguments": {"path": 7}}, 422, ("disk.wipe", "bad_request")),
        ("disk_wipe", {"arguments": {}}, 422, ("disk.wipe", "bad_request")),
        ("broker.run", {"arguments": {"command": "rm"}}, 404, ("broker.run:rm", "unknown_command")),
        ("broker.run", {"arguments": {"command": "rm -rf /"}}, 404, ("broker.run", "unknown_command")),
        ("broker.run", {"arguments": {"command": "a" * 65}}, 404, ("broker.run", "unknown_command")),
        ("broker.run", {"arguments": {"command": 7}}, 422, ("broker.run", "bad_request")),
    ],
)
def test_what_is_refused_reaches_no_service_and_leaves_one_row(start, tool, body, status, said):
    gateway, service = start()
    answer = gateway.post(f"/api/tools/{tool}", body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert [seen.path for seen in service.seen if not seen.path.endswith("/commands")] == []
    assert facts(row(gateway), "tool", "error", "decision", "status") == (*said, "blocked", None)


def test_a_number_that_json_does_not_have_is_refused(start):
    gateway, service = start()
    for content in (b'{"arguments": {"path": NaN}}', b'{"arguments": {"path": "x", "n": 1e999}}'):
        url, headers = f"{gateway.base_url}/api/tools/disk.wipe", {"content-type": "application/json"}
        assert httpx.post(url, content=content, headers=headers, trust_env=False).status_code == 422
    assert service.seen == []


def test_a_caller_that_takes_nothing_of_a_stream_holds_the_service_to_the_deadline_only(start):
    gateway, _ = start(Reply(frames=["data: " + "x" * 1_000_000 + "\n\n"] * 100), gateway_deadline_sec=0.5)
    url = httpx.URL(gateway.base_url)
    head = f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    with socket.create_connection((url.host, url.port)) as caller:
        caller.sendall(head.encode() + b'{"request":"x"}')
        assert facts(row(gateway), "status", "error") == ("timeout", "deadline")


@pytest.mark.parametrize("depth", [101, 950, 955, 956, 957, 958, 5000])
def test_arguments_that_are_nested_too_deep_are_refused_by_every_route(start, depth):
    gateway, service = start()
    deep = "[" * depth + "]" * depth
    bodies = {GENERATE: '{"request": "x", "a": %s}', "/api/tools/disk.look": '{"arguments": {"a": %s}}',
              "/api/query": '{"prompt": "x", "a": %s}'}  # fmt: skip
    for path, body in bodies.items():
        headers = {"content-type": "application/json"}
        answer = httpx.post(gateway.base_url + path, content=body % deep, headers=headers, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")
    assert service.seen == []


def test_what_no_address_and_no_header_can_hold_is_no_fault_of_the_gateway(start):
    gateway, service = start()
    sent = {"content": b'{"arguments": {"at": "\\ud800"}}', "headers": {"content-type": "application/json"}}
    answer = httpx.post(gateway.base_url + "/api/tools/disk.look", **sent, timeout=30)
    assert (answer.status_code, row(gateway)["error"]) == (422, "bad_request")
    answer = httpx.post(gateway.base_url + GENERATE, json=ASK, headers={"accept": b"\xe9"}, timeout=30)
    assert answer.status_code == 200
    assert "accept" not in service.seen[0].headers or service.seen[0].headers["accept"] == "*/*"
    assert gateway.post(GENERATE, {**ASK, "deadline_seconds": 10**400}).status_code == 200


def test_the_override_word_counts_in_a_persons_message_and_is_kept_nowhere(start, tmp_path):
    gateway, service = start(api_override_password="xyzzyplugh")
    path = "/api/tools/disk.secret"
    for body in ({"arguments": {"message": "@xyzzyplugh"}}, {"message": "xyzzyplugh please"}):
        assert gateway.post(path, body).json()["rule"] == "override"
    model = {"authorization": f"Bearer {TOKEN}"}
    assert gateway.post(path, {"message": "@xyzzyplugh"}, **model).json()["rule"] == "override"
    assert gateway.post(path, {"message": "do it\nxyzzyplugh"}).json()["status"] == "ok"
    assert "xyzzyplugh" not in str(service.seen)
    assert "xyzzyplugh" not in str(gateway.rows())
    assert b"xyzzyplugh" not in b"".join(file.read_bytes() for file in tmp_path.glob("gateway.sqlite3*"))


OVERRIDDEN = """
tools:
  web.search: {method: POST, url: "${BROKER_BASE}/search", hazard_class: none, egress: true}
  web.unsaid: {method: POST, url: "${BROKER_BASE}/unsaid", hazard_class: none, requires_override: true}
  disk.power: {method: POST, url: "${BROKER_BASE}/power", hazard_class: none, requires_override: true, egress: false}
"""


@pytest.mark.parametrize(
    ("offline", "ran"), [(True, {"disk.power"}), (False, {"web.search", "web.unsaid", "disk.power"})]
)
def test_the_override_word_is_for_use_online_but_for_tools_that_stay_on_this_machine(start, offline, ran):
    gateway, service = start(registry=OVERRIDDEN, offline_mode=offline)
    for tool in ("web.search", "web.unsaid", "disk.power"):
        path, rule = f"/api/tools/{tool}", "offline" if tool not in ran else "override"
        assert gateway.post(path, {"message": "please"}).json()["rule"] == rule
        answer = gateway.post(path, {"message": "please @omega"}).json()
        assert answer.get("rule") == (None if tool in ran else "offline")
        assert tool in ran or "no override word helps" in answer["detail"]
    assert {seen.path for seen in service.seen} == {f"/broker/{tool.partition('.')[2]}" for tool in ran}


def test_a_command_of_the_broker_counts_as_its_own_class(start):
    gateway, service = start()
    answer = gateway.post("/api/tools/broker.run", {"arguments": {"command": "disk.usage"}})
    assert answer.json()["decision"] == "allowed"
    assert row(gateway)["hazard_class"] == "low"
    assert service.seen[-1].body == {"command": "disk.usage", "user_id": "local"}
    assert gateway.post("/api/tools/broker.run", {"arguments": {"command": "pytest"}}).status_code == 202
    assert sum(seen.path == "/broker/commands" for seen in service.seen) == 1


def test_while_the_broker_is_away_its_commands_count_as_high_and_then_502(start):
    gateway, _ = start(broker_base="http://127.0.0.1:9")
    asked = gateway.post("/api/tools/broker.run", {"arguments": {"command": "disk.usage"}})
    assert (asked.status_code, asked.json()["hazardClass"]) == (202, "high")
    confirm = {"message": asked.json()["confirmationPhrase"]}
    answer = gateway.post(f"/api/confirmations/{asked.json()['pendingId']}", confirm)
    assert (answer.status_code, answer.json()["service"]) == (502, "broker")
    assert facts(gateway.rows()[1], "decision", "status", "error") == ("confirmed", "error", "bad_gateway")


def test_a_broker_that_does_not_tell_its_commands_counts_as_away_and_holds_nobody(start):
    gateway, _ = start(Reply(waits=True), gateway_concurrency=1)
    answer = gateway.post("/api/tools/broker.run", {"arguments": {"command": "disk.usage"}})
    assert (answer.status_code, answer.json()["hazardClass"]) == (202, "high")
    assert gateway.get("/api/tools").status_code == 200


def test_a_service_that_is_down_is_502_with_a_hint_at_once(start):
    gateway, _ = start(coder_agent_base="http://127.0.0.1:9")
    begun = time.monotonic()
    answer = gateway.post(GENERATE, ASK)
    assert time.monotonic() - begun < 2
    assert answer.status_code == 502
    assert "coder-agent does not answer" in answer.json()["detail"]
    assert "CODER_AGENT_BASE" in answer.json()["detail"]
    assert facts(row(gateway), "status", "error") == ("error", "bad_gateway")


def test_a_deadline_is_504_and_the_service_is_let_go(start):
    gateway, service = start(Reply(waits=True), gateway_deadline_sec=0.3)
    answer = gateway.post(GENERATE, ASK)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline")
    wait_until(lambda: service.left == [GENERATE])
    assert facts(row(gateway), "status", "error") == ("timeout", "deadline")


def test_a_url_that_points_at_the_gateway_is_asked_of_the_service_behind_it(start):
    gateway, service = start()
    assert gateway.post("/api/tools/mirror.generate", {"arguments": ASK}).json()["status"] == "ok"
    assert [seen.path for seen in service.seen] == [GENERATE]


def test_a_reload_that_points_at_the_gateway_with_nothing_behind_changes_nothing(start, tmp_path):
    gateway, _ = start()
    live, file = gateway.app.state.live, tmp_path / "tool_registry.yaml"
    before, text = live.current, file.read_text()
    lost = "  odd.one: {method: POST, url: http://gateway:8080/api/nothing/one}\n"
    file.write_text(text + lost)
    assert (live.reload(), live.current) == (False, before)
    file.write_text(text + lost.replace("{", "{enabled: false, "))
    assert live.reload()
    assert gateway.post("/api/tools/odd.one", {}).json()["rule"] == "disabled"


def test_a_get_tool_gets_its_arguments_in_the_query(start):
    gateway, service = start()
    assert gateway.post("/api/tools/disk.look", {"arguments": {"path": "a b"}}).json()["status"] == "ok"
    assert (service.seen[0].method, service.seen[0].body) == ("GET", None)


def test_a_stream_is_passed_on_frame_by_frame_and_its_row_is_that_of_its_end(start):
    started, last = frame({"type": "started", "jobId": "job9"}), frame({**COMPLETE, "result": {"verdict": "verified"}})
    gateway, service = start(Reply(frames=(started, None, ": ping\n\n", last)))
    url = f"{gateway.base_url}{STREAM}"
    with httpx.stream("POST", url, json=ASK, timeout=30, trust_env=False) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        frames = response.iter_text()
        assert next(frames) == started  # before the service has said anything else
        assert gateway.rows() == []
        service.let_go()
        assert "".join(frames) == f": ping\n\n{last}"
    assert service.seen[0].path == STREAM
    said = ("coding.generate", "allowed", "ok", "verified", "job9")
    assert facts(row(gateway), "tool", "decision", "status", "verdict", "job_id") == said


@pytest.mark.parametrize(
    ("reply", "last", "said"),
    [
        (
            Reply(frames=(frame({"type": "error", "code": "deadline", "error": "late"}),)),
            "late",
            ("timeout", "deadline"),
        ),
        (Reply(frames=(": ping\n\n",)), "without a result", ("error", "stream_broken")),
        (Reply(frames=("data: {half",), breaks_off=True), "broke the connection off", ("error", "bad_gateway")),
        (Reply({"code": "model_unavailable"}, 503), "model_unavailable", ("error", "model_unavailable")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_stream_always_has_an_end_and_one_row(start, reply, last, said):
    gateway, _ = start(reply)
    text = gateway.post(STREAM, ASK).text
    assert last in text.rstrip().split("\n\n")[-1]
    assert facts(row(gateway), "decision", "status", "error") == ("allowed", *said)


def test_a_stream_past_its_deadline_ends_with_an_error(start):
    gateway, service = start(Reply(frames=(": ping\n\n", None)), gateway_deadline_sec=0.3)
    assert '"code":"deadline"' in gateway.post(STREAM, ASK).text
    wait_until(lambda: service.left == [STREAM])
    assert facts(row(gateway), "status", "error") == ("timeout", "deadline")


@pytest.mark.parametrize(
    ("path", "reply"), [(STREAM, Reply(frames=(": ping\n\n", None))), (GENERATE, Reply(waits=True))]
)
def test_a_client_that_leaves_ends_the_services_request_at_once(start, path, reply):
    gateway, service = start(reply)
    url = f"{gateway.base_url}{path}"
    timeout = httpx.Timeout(30, read=0.5)

    def leave():
        with httpx.Client(trust_env=False, timeout=timeout) as client, pytest.raises(httpx.ReadTimeout):
            client.post(url, json=ASK)

    leaving = threading.Thread(target=leave)
    leaving.start()
    wait_until(lambda: service.left == [path])
    leaving.join(10)
    assert facts(row(gateway), "decision", "status", "error") == ("allowed", "error", "client_disconnected")


def test_while_the_audit_database_is_away_calls_go_on_and_their_rows_are_written_later_in_order(start):
    away = [True]

    def fails():
        if away[0]:
            raise AuditUnavailable

    gateway, _ = start(lambda seen: Reply({}), audit=MemoryAuditLog(fails=fails))
    for number in range(3):
        assert gateway.post("/api/tools/disk.look", {}, **{"x-request-id": f"r{number}"}).status_code == 200
    assert gateway.rows() == []
    assert "audit_spool_rows 3.0" in gateway.get("/metrics").text
    assert gateway.get("/healthz").json()["audit"]["spooled_rows"] == 3
    away[0] = False
    wait_until(lambda: len(gateway.rows()) == 3, seconds=20)
    assert [line["request_id"] for line in gateway.rows()] == ["r0", "r1", "r2"]
    wait_until(lambda: "audit_spool_rows 0.0" in gateway.get("/metrics").text)


def test_an_admin_sees_all_rows_and_others_their_own(start):
    gateway, _ = start(Reply({}))
    ann, bob, root = gateway.key("ann"), gateway.key("bob"), gateway.key("root", "admin")
    for headers in (ann, bob):
        gateway.post("/api/tools/disk.look", {}, **headers)
    gateway.clock.now += 60
    gateway.post("/api/tools/disk.old", {}, **ann)

    def seen(query, headers):
        entries = gateway.get(f"/api/audit{query}", **headers).json()["entries"]
        return [(entry["user_id"], entry["tool"]) for entry in entries]

    assert seen("", root) == [("ann", "disk.old"), ("bob", "disk.look"), ("ann", "disk.look")]
    assert seen("", ann) == seen("?user=ann", ann) == [("ann", "disk.old"), ("ann", "disk.look")]
    assert seen("?user=bob", ann) == []
    assert seen("?user=bob&tool=disk.look", root) == [("bob", "disk.look")]
    assert seen("?since=2023-11-14T22:14:00Z", root) == [("ann", "disk.old")]
    assert seen("?since=2023-11-14T22:14:00", root) == seen("?since=2023-11-14T23:14:00%2B01:00", root)
    assert seen("?since=2023-11-14T22:14:00", root) == [("ann", "disk.old")]
    assert seen("?since=2023-11-15", root) == []
    assert seen("?tool=disk_old", root) == [("ann", "disk.old")]
    for no_moment in ("yesterday", "1700000000", "0001-01-01T00:00:00%2B14:00"):
        assert gateway.get(f"/api/audit?since={no_moment}", **root).status_code == 422, no_moment
    assert seen("?limit=1", root) == [("ann", "disk.old")]
    assert gateway.get("/api/audit", **root).json()["head"]["count"] == 3


def test_the_list_of_tools_has_their_schemas_and_a_model_sees_what_it_may_call(start):
    gateway, _ = start()
    tools = {tool["name"]: tool for tool in gateway.get("/api/tools").json()["tools"]}
    assert tools["disk.wipe"]["hazard_class"] == "high"
    assert tools["disk.wipe"]["requires_confirmation"] is True
    assert tools["coding.generate"]["schema"]["required"] == ["request"]
    assert tools["disk.old"]["enabled"] is False
    told = ("method", "egress", "read_only", "budget_tier")
    assert facts(tools["disk.look"], *told) == ("GET", False, False, None)
    assert facts(tools["web.search"], *told) == ("POST", True, True, "free")
    models = {tool["name"] for tool in gateway.get("/api/tools?for=model").json()["tools"]}
    assert "coding_generate" in models
    assert "disk_old" not in models


def test_metrics_count_by_route_and_by_decision(start):
    gateway, _ = start()
    gateway.post("/api/tools/disk.look", {})
    gateway.post("/api/tools/disk.old", {})
    gateway.get("/api/nothing")
    text = gateway.get("/metrics").text
    for line in (
        'gateway_requests_total{route="/api/tools/{name}",status="200"} 1.0',
        'gateway_requests_total{route="/api/tools/{name}",status="403"} 1.0',
        'gateway_requests_total{route="none",status="404"} 1.0',
        'hazard_decisions_total{decision="allowed"} 1.0',
        'hazard_decisions_total{decision="blocked"} 1.0',
    ):
        assert line in text


def test_health_names_what_is_away_in_under_a_second(start):
    gateway, _service = start(broker_base="http://127.0.0.1:9")
    begun = time.monotonic()
    health = gateway.get("/healthz").json()
    assert time.monotonic() - begun < 2
    assert (health["service"], health["status"], health["database"]) == ("gateway", "degraded", "ok")
    assert health["services"]["broker"] == {"status": "down", "needed": True}
    assert health["services"]["coder-agent"] == {"status": "ok", "needed": True}
    assert gateway.get("/readyz").status_code == 503


def test_health_is_ok_when_all_that_tools_need_answers(start):
    gateway, _ = start(memory_base="http://127.0.0.1:9")
    assert gateway.get("/healthz").json()["status"] == "ok"
    assert gateway.get("/readyz").status_code == 200
