"""Who gets in: keys, roles, limits, and pages of other sites."""

import json
import threading

import httpx
import pytest

from gateway.database import open_keys
from gateway.testing import TOKEN, Reply, running_gateway, running_service, wait_until

GENERATE = "/api/coding/generate"
ASK = {"request": "Write add(a, b)"}


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


def test_an_open_loopback_serves_one_user_and_says_so(start):
    gateway, service = start()
    assert gateway.post(GENERATE, ASK).status_code == 200
    assert gateway.rows()[0]["user_id"] == "local"
    assert "open" in gateway.get("/healthz").json()["access"]
    [seen] = service.seen
    assert (seen.headers["x-kitty-user"], seen.headers["x-kitty-role"]) == ("local", "admin")


def test_existing_keys_do_not_close_an_open_loopback(start):
    gateway, _ = start()
    gateway.key("ann")
    assert gateway.post(GENERATE, ASK).status_code == 200


JOB = "/api/coding/jobs/j1"


@pytest.mark.parametrize(
    "path",
    [GENERATE, "/api/tools", "/api/audit", "/api/confirmations", "/api/nothing", "/api/coding/jobs"]
    + [f"{JOB}{rest}" for rest in ("", "/events", "/cancel", "/resume")],
)
def test_without_a_key_a_closed_gateway_answers_nothing_but_its_health(closed, path):
    gateway, service, _ = closed
    assert problem(gateway.post(path, ASK)) == (401, "unauthorized")
    assert problem(gateway.get(path)) == (401, "unauthorized")
    assert gateway.get(path).headers["www-authenticate"] == "Bearer"
    assert [gateway.get(open_path).status_code for open_path in ("/healthz", "/metrics", "/docs")] == [200] * 3
    assert service.seen == []
    assert gateway.rows() == []


@pytest.fixture
def closed(start, tmp_path):
    """(gateway, service, header of ann's key): a key is needed."""
    engine, keys = open_keys({"DATABASE_URL": f"sqlite:///{tmp_path / 'gateway.sqlite3'}"})
    text = keys.create("ann", "user")[1]
    engine.dispose()
    gateway, service = start(gateway_open_loopback=False)
    return gateway, service, {"authorization": f"Bearer {text}"}


def test_a_key_is_taken_from_either_header_and_never_reaches_a_service(closed):
    gateway, service, ann = closed
    text = ann["authorization"].removeprefix("Bearer ")
    for headers in (ann, {"x-api-key": text}, {"authorization": f"bearer {text}", "x-api-key": text}):
        assert gateway.post(GENERATE, ASK, **headers, cookie="a=b").status_code == 200
    assert gateway.rows()[0]["user_id"] == "ann"
    assert len(service.seen) == 3
    for seen in service.seen:
        assert text not in str(seen)
        assert "cookie" not in seen.headers
        assert seen.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer kitty_" + "a" * 43},
        {"x-api-key": "kitty_"},
        {"x-api-key": "sk-none"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer one", "x-api-key": "two"},
        {"authorization": f"Bearer {TOKEN}x"},
    ],
)
def test_a_wrong_key_is_401_also_on_an_open_loopback(start, headers):
    gateway, service = start()
    assert problem(gateway.post(GENERATE, ASK, **headers)) == (401, "unauthorized")
    assert service.seen == []


def test_a_key_with_the_right_id_and_another_end_is_wrong(start):
    gateway, _ = start()
    text = gateway.key("ann")["authorization"]
    assert gateway.get("/api/tools", authorization=text).status_code == 200
    assert gateway.get("/api/tools", authorization=text[:-1] + ("A" if text[-1] != "A" else "B")).status_code == 401
    assert gateway.get("/api/tools", authorization=text[:22]).status_code == 401


def test_a_revoked_key_is_wrong_at_once_and_its_use_was_noted(start):
    gateway, _ = start()
    headers = gateway.key("ann")
    keys = gateway.app.state.keys
    assert gateway.get("/api/tools", **headers).status_code == 200
    [key] = keys.list()
    assert key.last_used == gateway.clock.now
    assert keys.revoke(key.id) is True
    assert gateway.get("/api/tools", **headers).status_code == 401
    assert keys.revoke(key.id) is False


def test_what_is_stored_of_a_key_is_not_the_key(start, tmp_path):
    gateway, _ = start()
    text = gateway.key("ann")["authorization"].removeprefix("Bearer ")
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("gateway.sqlite3*"))
    assert text[6:14].encode() in stored
    assert text[14:].encode() not in stored


def test_a_read_only_key_or_client_may_only_read(start):
    gateway, service = start()
    reader, ann = gateway.key("rea", "read-only"), gateway.key("ann")
    remote = {"x-remote-mode": "Read-Only"}
    for headers in (reader, {**ann, **remote}, remote):
        for path in (GENERATE, "/api/query", f"/api/confirmations/{'0' * 32}"):
            assert problem(gateway.post(path, ASK, **headers)) == (403, "read_only")
        assert gateway.get("/api/tools", **headers).status_code == 200
    for headers in ({**ann, **remote}, remote, {**reader, **remote}):
        assert problem(gateway.post("/api/tools/disk.look", {}, **headers)) == (403, "read_only")
    assert {seen.path for seen in service.seen} == {"/broker/commands"}  # of the lists of tools
    assert gateway.post(GENERATE, ASK, **ann, **{"x-remote-mode": "full"}).status_code == 200


def test_a_read_only_key_may_call_what_changes_nothing_and_no_other_tool(start):
    gateway, service = start()
    reader = gateway.key("rea", "read-only")
    for tool in ("disk.look", "disk_log"):
        assert gateway.post(f"/api/tools/{tool}", {}, **reader).json()["decision"] == "allowed"
    assert [(seen.method, seen.path) for seen in service.seen] == [("GET", "/broker/look"), ("POST", "/broker/log")]
    for tool, arguments in (("disk.wipe", {"path": "/"}), ("coding.generate", ASK), ("broker.run", {"command": "ls"})):
        refused = gateway.post(f"/api/tools/{tool}", {"arguments": arguments}, **reader)
        assert (refused.status_code, refused.json().get("rule")) in {(403, "role"), (404, None)}, refused.text
    assert [seen.path for seen in service.seen[2:]] == ["/broker/commands"]
    assert [row["decision"] for row in gateway.rows()] == ["allowed"] * 2 + ["blocked"] * 3


def test_a_call_that_a_known_caller_may_not_even_ask_for_leaves_a_row(start):
    gateway, service = start()
    reader, ann = gateway.key("rea", "read-only"), gateway.key("ann")
    remote = {**ann, "x-remote-mode": "read-only", "x-request-id": "r1"}
    for path, headers in (
        ("/api/tools/disk_wipe", remote),
        ("/api/tools/no.such", remote),
        ("/api/coding/stream", reader),
        ("/api/memory/remember", reader),
        ("/api/coding/nothing", reader),
        ("/api/query", reader),
    ):
        assert problem(gateway.post(path, ASK, **headers)) == (403, "read_only")
    rows = gateway.rows()
    assert [(row["user_id"], row["tool"], row["hazard_class"]) for row in rows] == [
        ("ann", "disk.wipe", "high"),
        ("ann", "no.such", None),
        ("rea", "coding.generate", "low"),
        ("rea", "memory.remember", None),
    ]
    assert {(row["decision"], row["status"], row["error"]) for row in rows} == {("denied", None, "read_only")}
    assert rows[0]["request_id"] == "r1"
    assert 'hazard_decisions_total{decision="denied"} 4.0' in gateway.get("/metrics").text
    assert service.seen == []


NOT_A_BODY = (b"nojson", b"[]", b"\xff", b"", b"[" * 100_000)


@pytest.mark.parametrize(
    ("path", "tool", "contents"),
    [
        (GENERATE, "coding.generate", (*NOT_A_BODY, b'{"request": NaN}')),
        ("/api/memory/search", "memory.search", NOT_A_BODY),
        ("/api/tools/disk_look", "disk.look", (*NOT_A_BODY, b'{"arguments": 7}', b'{"conversationId": 7}')),
    ],
)
def test_a_call_whose_body_cannot_be_read_leaves_one_row(start, path, tool, contents):
    gateway, service = start()
    for content in contents:
        url, headers = f"{gateway.base_url}{path}", {"content-type": "application/json"}
        answer = httpx.post(url, content=content, headers=headers, trust_env=False)
        assert problem(answer) == (422, "bad_request"), content
    told = [(row["tool"], row["decision"], row["error"], row["user_id"]) for row in gateway.rows()]
    assert told == [(tool, "denied", "bad_request", "local")] * len(contents)
    assert service.seen == []


def test_who_is_not_known_or_asks_too_often_leaves_no_row_but_is_counted_by_route(start):
    gateway, _ = start(gateway_rate_per_min=1)
    ann, wrong = gateway.key("ann"), {"x-api-key": "wrong"}
    path = "/api/tools/disk.look"
    answers = [gateway.post(path, {}, **headers).status_code for headers in (ann, ann, wrong)]
    assert answers == [200, 429, 401]
    gateway.post(path, {}, **gateway.key("bob"), **{"x-remote-mode": "read-only"})
    text = gateway.get("/metrics").text
    for status in (200, 429, 401, 403):
        assert f'gateway_requests_total{{route="/api/tools/{{name}}",status="{status}"}} 1.0' in text
    assert [row["decision"] for row in gateway.rows()] == ["allowed", "denied"]


@pytest.mark.parametrize("field", ["user_id", "userId"])
def test_a_body_that_names_another_user_is_refused(start, field):
    gateway, service = start()
    ann = gateway.key("ann")
    for path, body in ((GENERATE, {**ASK, field: "bob"}), ("/api/query", {"prompt": "x", field: "bob"})):
        assert problem(gateway.post(path, body, **ann)) == (403, "other_user")
    assert service.seen == []
    assert gateway.post(GENERATE, {**ASK, field: "ann"}, **ann).status_code == 200
    assert gateway.post(GENERATE, {**ASK, field: None}, **ann).status_code == 200
    assert next((row["decision"], row["error"]) for row in gateway.rows()) == ("blocked", "other_user")


def test_a_service_acts_for_the_user_it_was_told_and_others_cannot_claim_one(start):
    gateway, service = start()
    told = {"x-kitty-user": "ann", "x-kitty-role": "admin"}
    assert gateway.post(GENERATE, ASK, authorization=f"Bearer {TOKEN}", **told).status_code == 200
    assert gateway.post(GENERATE, ASK, **gateway.key("bob"), **told).status_code == 200
    assert gateway.post(GENERATE, ASK, **told).status_code == 200
    assert [seen.headers["x-kitty-user"] for seen in service.seen] == ["ann", "bob", "local"]
    assert service.seen[1].headers["x-kitty-role"] == "user"


def test_an_address_that_is_none_of_the_house_gets_no_service_token_and_is_not_told_who_asks(start):
    with running_service(Reply({"success": True})) as elsewhere:
        entry = f"{{method: POST, url: {elsewhere.base_url}/hook, hazard_class: none}}"
        home = "{method: POST, url: '${BROKER_BASE}/home', hazard_class: none}"
        gateway, service = start(registry=f"tools: {{out.side: {entry}, in.side: {home}}}")
        ann = gateway.key("ann", "admin")
        assert gateway.post("/api/tools/out.side", {}, **ann).status_code == 200
        assert gateway.post("/api/tools/in.side", {}, **ann).status_code == 200
        told = elsewhere.seen[0]
        assert {"authorization", "x-kitty-user", "x-kitty-role"} & set(told.headers) == set()
        assert ("x-request-id" in told.headers, "ann" in str(told)) == (True, False)
        assert (service.seen[0].headers["x-kitty-user"], service.seen[0].headers["x-kitty-role"]) == ("ann", "admin")
        assert service.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
        elsewhere.script = Reply(status=401)
        assert "token is not for it" in gateway.post("/api/tools/out.side", {}).json()["detail"]


def test_over_the_limit_is_429_with_retry_after_for_that_key_alone(start):
    gateway, _ = start(gateway_rate_per_min=3)
    ann = gateway.key("ann")
    answers = [gateway.get("/api/tools", **ann) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert problem(answers[-1]) == (429, "too_many_requests")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert gateway.get("/api/tools", **gateway.key("bob")).status_code == 200


def test_failures_are_limited_by_address_and_a_right_key_is_not_locked_out(start):
    gateway, _ = start(gateway_failures_per_min=2)
    wrong = {"x-api-key": "wrong"}
    assert [gateway.get("/api/tools", **wrong).status_code for _ in range(4)] == [401, 401, 429, 429]
    assert "retry-after" in gateway.get("/api/tools", **wrong).headers
    assert gateway.get("/api/tools", **gateway.key("ann")).status_code == 200


def test_one_key_has_so_many_places_at_once(start):
    gateway, service = start(Reply(waits=True), gateway_concurrency=2)
    waiting = [threading.Thread(target=gateway.post, args=(GENERATE, ASK)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    wait_until(lambda: len(service.seen) == 2)
    answer = gateway.get("/api/tools")
    assert (*problem(answer), answer.headers["retry-after"]) == (429, "too_many_requests", "1")
    assert gateway.get("/api/tools", **gateway.key("ann")).status_code == 200
    service.let_go()
    for thread in waiting:
        thread.join(10)
    assert gateway.get("/api/tools").status_code == 200


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "headers",
    [
        JSON | {"host": "evil.example"},
        JSON | {"host": "127.0.0.1.evil.example:8080"},
        JSON | {"host": "localhost.", "origin": "http://localhost."},
        JSON | {"origin": "http://evil.example"},
        JSON | {"origin": "null"},
        JSON | {"host": "rebound.example:8080", "origin": "http://rebound.example:8080"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "path",
    [
        GENERATE,
        "/api/tools/disk.look",
        f"/api/confirmations/{'0' * 32}",
        "/api/query",
        "/api/coding/jobs",
        f"{JOB}/resume",
    ],
)
def test_a_page_of_another_site_gets_403_and_reaches_nothing(gateway_and_service, path, headers):
    gateway, service = gateway_and_service
    url = f"{gateway.base_url}{path}"
    answer = httpx.post(url, content=json.dumps(ASK).encode(), headers=headers, trust_env=False)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert service.seen == []


@pytest.fixture(scope="module")
def gateway_and_service(tmp_path_factory):
    registry = "tools:\n  disk.look: {method: GET, url: http://127.0.0.1:9/look, hazard_class: none}\n"
    with running_service(Reply()) as service:
        bases = {"coder_agent_base": service.base_url, "brain_base": service.base_url}
        with running_gateway(tmp_path_factory.mktemp("g"), registry, **bases) as gateway:
            yield gateway, service
