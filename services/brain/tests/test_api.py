"""The service at its door: bad input, failures of what it needs, and what its document promises."""

import threading
import time
from contextlib import suppress

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from brain.main import create_app
from brain.settings import Settings
from brain.testing import TOKEN, ScriptedGateway, coding_tool, done, running_brain
from kitty_core.errors import ConfigurationError
from kitty_llm.testing import Reply, ScriptedModel

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def wait_until(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def assert_is_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": " \n"},
        {"prompt": 7},
        {"payload": {}},
        {"prompt": "\ud800"},
        {"prompt": "x", "forceTier": "frontier"},
        {"prompt": "x", "toolMode": "maybe"},
        {"prompt": "x", "modelAlias": "http://example.com"},
        {"prompt": "x", "modelAlias": "/etc/passwd"},
        {"prompt": "x", "useAgent": "perhaps"},
        {"prompt": "x", "verbosity": 9},
        {"prompt": "x" * 200_001},
        {"prompt": "x", "conversationId": "c" * 201},
        [],
    ],
    ids=lambda body: str(body)[:40].encode("ascii", "replace").decode(),
)
@pytest.mark.parametrize("path", ["/api/query", "/api/query/stream"])
def test_a_bad_body_is_refused_before_anything_is_asked(start, body, path):
    brain, model, gateway = start("unused")
    assert_is_problem(brain.post(path, body), 422, "bad_request")
    assert not model.generations
    assert not gateway.requests


def test_without_the_service_token_only_health_metrics_and_docs_answer(start):
    brain, _, _ = start("unused")

    def status(path, method="GET", **headers):
        return httpx.request(
            method, brain.base_url + path, json={"prompt": "x"}, headers=headers, trust_env=False
        ).status_code

    assert status("/api/query", "POST") == status("/api/routing/models") == 401
    assert status("/api/query", "POST", authorization="Bearer wrong") == 401
    assert status("/healthz") == status("/metrics") == status("/docs") == 200
    assert status("/healthz", host="evil.example") == status("/healthz", origin="http://evil.example") == 403


def test_a_body_that_names_another_user_than_the_gateway_is_refused(start):
    brain, _, _ = start("unused")
    assert_is_problem(brain.query("hi", user="ann", userId="bob"), 403, "other_user")


def test_no_model_is_said_within_five_seconds_with_what_to_do(refused_url):
    with ScriptedGateway() as gateway, running_brain(refused_url, gateway.base_url) as brain:
        began = time.monotonic()
        response = brain.query("what is up")
        assert_is_problem(response, 503, "model_unavailable")
        assert time.monotonic() - began < 5
        assert refused_url in response.json()["detail"]
        assert "./kitty up" in response.json()["detail"]
        assert brain.get("/healthz").json()["status"] == "error"
        assert brain.stream("what is new")[-1]["code"] == "model_unavailable"


def test_without_the_gateway_talk_is_answered_and_a_wish_for_code_is_an_error(refused_url):
    with ScriptedModel("It is blue.").threaded() as model, running_brain(model.base_url, refused_url) as brain:
        assert brain.query("what is up").json()["result"]["output"] == "It is blue."
        assert_is_problem(brain.query("Write a function f."), 502, "gateway_unavailable")
        assert_is_problem(brain.query("/agent on. Call coding.generate: f"), 502, "gateway_unavailable")
        assert brain.get("/healthz").json()["status"] == "degraded"


def test_health_and_models_are_told(start):
    brain, model, gateway = start("unused")
    health = brain.get("/healthz").json()
    assert (health["status"], health["gateway"]) == ("ok", "ok")
    assert health["llm_servers"] == {"q4": "ok", "f16": "ok", "coder": "ok"}
    listed = brain.get("/api/routing/models").json()
    assert [entry["tier"] for entry in listed["models"]] == ["q4", "f16", "coder"]
    assert listed["models"][0]["base_url"] == model.base_url
    assert listed["models"][0]["servers"] == [{"base_url": model.base_url, "state": "ok"}]
    assert listed["slots"] == 1
    assert not model.generations
    assert not gateway.requests  # its health asks for ours: asking back would never end


def test_every_server_of_a_role_is_told_and_their_slots_add_up(refused_url):
    with (
        ScriptedModel("unused", slots=2).threaded() as one,
        ScriptedModel("unused", slots=4).threaded() as two,
        ScriptedGateway() as gateway,
        running_brain(
            refused_url,
            gateway.base_url,
            env={"LLAMACPP_CODER_BASE": f"{refused_url},{one.base_url},{two.base_url}"},
        ) as brain,
    ):
        listed = brain.get("/api/routing/models").json()
        assert brain.get("/healthz").json()["llm_servers"] == {"q4": "down", "f16": "down", "coder": "ok"}
    told = {entry["tier"]: entry for entry in listed["models"]}
    assert (told["coder"]["state"], told["q4"]["state"]) == ("ok", "down")
    assert [(server["base_url"], server["state"]) for server in told["coder"]["servers"]] == [
        (refused_url, "down"),
        (one.base_url, "ok"),
        (two.base_url, "ok"),
    ]
    assert listed["slots"] == 6


@pytest.mark.parametrize("path", ["/api/query", "/api/query/stream"])
def test_a_client_that_goes_away_stops_the_model(start, path):
    brain, model, _ = start(Reply("It is a long story", hang_after=1))
    has_heard = threading.Event()

    def leave():
        with (
            suppress(httpx.ReadTimeout),
            httpx.Client(trust_env=False, timeout=2) as client,
            client.stream("POST", brain.base_url + path, json={"prompt": "what is up"}, headers=brain.headers) as got,
        ):
            for _ in got.iter_lines():
                if model.hanging:
                    has_heard.set()
                    return

    thread = threading.Thread(target=leave)
    thread.start()
    wait_until(lambda: model.hanging or has_heard.is_set())
    thread.join(10)
    wait_until(lambda: not model.hanging)


@pytest.mark.parametrize("user", ["è\x01", "a b", "../x", "-a", "x" * 101, "ann\n"])
def test_a_user_that_no_gateway_would_name_is_a_bad_request(start, user):
    brain, _, _ = start("Yes.")
    answer = brain.post("/api/query", {"prompt": "hello", "userId": user})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")


def test_an_address_that_others_can_reach_wants_a_token():
    with pytest.raises(ConfigurationError, match="KITTY_SERVICE_TOKEN"):
        create_app(Settings(_env_file=None, kitty_bind="0.0.0.0"), {})


def test_what_the_document_promises_is_kept_whatever_is_sent():
    def model(messages):
        return '{"route": "talk"}' if '"route"' in messages[0]["content"] else "Yes."

    made = done("coding.generate", {"code": "x = 1"})
    tools = {"tools": [coding_tool()], "calls": {"coding_generate": made}}
    with (
        ScriptedModel(model, n_ctx=100_000).threaded() as server,
        ScriptedGateway(**tools) as gateway,
        running_brain(server.base_url, gateway.base_url) as brain,
    ):
        schema = schemathesis.openapi.from_url(f"{brain.base_url}/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations()]
        assert {operation.path for operation in operations} >= {"/api/query", "/api/query/stream", "/healthz"}
        for operation in operations:
            _try(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
            if operation.method.upper() == "POST":
                _try(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def _try(cases):
    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def run(case):
        headers = {"authorization": f"Bearer {TOKEN}"}
        response = case.call(headers=headers, timeout=30)
        case.validate_response(response, checks=CHECKS)

    run()
