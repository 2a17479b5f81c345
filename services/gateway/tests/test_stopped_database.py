"""A gateway process whose PostgreSQL is stopped under it: calls go on, and each has its row later."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import httpx
import pytest

from gateway.testing import Reply, running_service, wait_until
from kitty_core.testing import running_postgres

REGISTRY = """
tools:
  coding.generate: {method: POST, url: "${CODER_AGENT_BASE}/api/coding/generate", hazard_class: low}
  disk.look: {method: GET, url: "${BROKER_BASE}/look", hazard_class: none}
  disk.wipe: {method: POST, url: "${BROKER_BASE}/wipe", hazard_class: high}
  disk.sell: {method: POST, url: "${BROKER_BASE}/sell", hazard_class: high, confirmation_phrase: "Sell it"}
"""
GENERATE, LOOK, WIPE = "/api/coding/generate", "/api/tools/disk.look", "/api/tools/disk.wipe"
PHRASE = "Confirm: proceed"
ASK = {"request": "Write add(a, b)"}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that tests may stop."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def own_postgres(server):
    """The same, running when a test begins, with an empty database."""
    server.start()
    server.psql("DROP DATABASE IF EXISTS trail WITH (FORCE)")
    server.psql("CREATE DATABASE trail")
    return server


@pytest.fixture
def gateway(env, started, own_postgres, tmp_path):
    """(client, service): the process, on a database that the test may stop."""

    def script(seen):
        made = {"code": "x = 1", "success": True, "verdict": "verified", "job_id": seen.headers["x-request-id"]}
        return Reply(made if seen.path == GENERATE else {"path": seen.path})

    (tmp_path / "registry.yaml").write_text(REGISTRY)
    with running_service(script) as service:
        env |= dict.fromkeys(("BROKER_BASE", "CODER_AGENT_BASE", "BRAIN_BASE"), service.base_url)
        env |= {"DATABASE_URL": own_postgres.get_uri("trail"), "GATEWAY_RATE_PER_MIN": "100000"}
        with (
            started(env, tmp_path / "log") as (base_url, _),
            httpx.Client(base_url=base_url, trust_env=False, timeout=30) as client,
        ):
            yield client, service


def audit(env, *words):
    command = [sys.executable, "-m", "kitty_core.audit", *words]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def chain(env):
    """The rows in the order of the chain."""
    lines = [json.loads(line) for line in audit(env, "export").splitlines()]
    return [line["row"] for line in lines if "row" in line]


def post(client, path, body, request_id):
    return client.post(path, json=body, headers={"x-request-id": request_id})


def spooled(client):
    return client.get("/healthz").json()["audit"]["spooled_rows"]


def test_jobs_and_calls_succeed_while_the_database_is_stopped_and_each_row_is_written_once_in_order(
    gateway, own_postgres, env
):
    client, _ = gateway
    asked = []

    def call(path, body):
        asked.append(f"r{len(asked)}")
        answer = post(client, path, body, asked[-1])
        assert answer.status_code == 200, answer.text
        return answer.json()

    call(GENERATE, ASK)
    own_postgres.stop()
    for _ in range(2):
        assert call(GENERATE, ASK)["verdict"] == "verified"
        assert call(LOOK, {})["result"] == {"path": "/look"}
    health = client.get("/healthz").json()
    assert (health["status"], health["database"], health["audit"]) == (
        "degraded", "down", {"spooled_rows": 4, "lost_rows": 0},
    )  # fmt: skip
    own_postgres.start()
    wait_until(lambda: spooled(client) == 0, seconds=60)
    call(LOOK, {})
    rows = chain(env)
    assert [row["request_id"] for row in rows] == asked
    assert {(row["decision"], row["status"]) for row in rows} == {("allowed", "ok")}
    assert audit(env, "verify").startswith(f"whole: {len(asked)} rows")


@dataclass
class Load:
    """One client that asks without a pause until it is told to stop."""

    name: str
    client: httpx.Client
    asked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            request_id = f"{self.name}-{len(self.asked)}"
            path, body = (GENERATE, ASK) if len(self.asked) % 2 else (LOOK, {})
            answer = post(self.client, path, body, request_id)
            self.asked.append(request_id)
            if answer.status_code != 200:
                self.failed.append(answer.text)

    def goes_on(self):
        before = len(self.asked)
        wait_until(lambda: len(self.asked) > before + 3, seconds=60)

    def stop(self):
        self.over.set()
        self.thread.join(60)


def test_calls_that_run_while_it_stops_and_starts_leave_each_a_row_in_order(gateway, own_postgres, env):
    client, _ = gateway
    loads = [Load(name, client) for name in ("a", "b", "c")]
    try:
        for switch in (own_postgres.stop, own_postgres.start, lambda: None):
            for load in loads:
                load.goes_on()
            switch()
    finally:
        for load in loads:
            load.stop()
    wait_until(lambda: spooled(client) == 0, seconds=60)
    ids = [row["request_id"] for row in chain(env)]
    for load in loads:
        assert load.failed == []
        assert [id for id in ids if id.startswith(load.name)] == load.asked
    assert audit(env, "verify").startswith(f"whole: {len(ids)} rows")


def test_what_needs_a_person_is_a_clear_problem_while_the_database_is_stopped_and_executes_nothing(
    gateway, own_postgres, env
):
    client, service = gateway
    earlier = post(client, WIPE, {"conversation_id": "c1"}, "r0").json()
    confirmation = {"message": PHRASE, "conversation_id": "c1"}
    place = f"/api/confirmations/{earlier['pendingId']}"
    own_postgres.stop()
    for path, body in ((WIPE, {}), (place, confirmation), (place, {**confirmation, "message": "no"})):
        answer = client.post(path, json=body)
        assert (path, answer.status_code) == (path, 503), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "database_unavailable"
    for path in ("/api/confirmations", "/api/audit"):
        assert (path, client.get(path).status_code) == (path, 503)
    assert service.seen == []
    own_postgres.start()
    wait_until(lambda: spooled(client) == 0, seconds=60)
    assert client.post(place, json=confirmation).json()["decision"] == "confirmed"
    assert client.post(place, json=confirmation).status_code == 409
    assert [seen.path for seen in service.seen] == ["/wipe"]
    rows = [(row["decision"], row["status"], row["error"]) for row in chain(env)]
    assert rows[:2] == [("blocked", None, "needs_confirmation"), ("blocked", None, "database_unavailable")]
    assert ("confirmed", "ok", None) in rows
    assert audit(env, "verify").startswith("whole: ")


def test_what_is_said_reaches_the_brain_unless_it_could_be_meant_for_a_call_that_waits(gateway, own_postgres):
    client, service = gateway
    own_postgres.stop()
    said = {"prompt": "Write add(a, b)", "conversationId": "c1"}
    for path in ("/api/query", "/api/query/stream"):
        assert client.post(path, json=said).status_code == 200
        for word in (PHRASE.upper(), " Sell it\n", "no", "cancel"):
            answer = client.post(path, json={**said, "prompt": word})
            assert (word, answer.status_code, answer.json()["code"]) == (word, 503, "database_unavailable")
    assert [seen.body["prompt"] for seen in service.seen] == [said["prompt"]] * 2
