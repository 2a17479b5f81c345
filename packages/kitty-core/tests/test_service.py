"""The shell of a service, over real HTTP messages."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog
from fastapi import Body, Request
from prometheus_client import CollectorRegistry

from kitty_core.errors import Forbidden
from kitty_core.logs import configure_logs
from kitty_core.service import Guard, create_service, has_service_token


@pytest.fixture
async def client(request):
    @asynccontextmanager
    async def lifespan(app):
        yield

    guard = Guard(max_body_bytes=1000, body_within_sec=0.5, service_token=getattr(request, "param", None))
    app = create_service("example", guard=guard, registry=CollectorRegistry(), lifespan=lifespan, version="1")

    @app.post("/echo")
    def echo(text: str = Body(embed=True, max_length=10)) -> dict[str, str]:
        if text == "no":
            raise Forbidden("Not that.", reason="said no")
        if text == "bug":
            raise RuntimeError("a bug")
        return {"text": text}

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_an_error_becomes_problem_json_with_its_extra_members(client):
    response = await client.post("/echo", json={"text": "no"})
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["reason"] == "said no"
    assert response.json()["code"] == "forbidden"
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_an_unexpected_error_is_a_500_problem_that_shows_nothing_of_the_inside(client):
    response = await client.post("/echo", json={"text": "bug"})
    assert response.status_code == 500
    assert response.json()["code"] == "internal"
    assert response.json()["detail"] == "Something went wrong inside KITTY."
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "a bug" not in response.text


async def test_a_validation_error_names_the_field(client):
    response = await client.post("/echo", json={"text": "x" * 11})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "text"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8092"}, 200),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "[::1]:8092"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "[::1]evil.example"}, 403),
        ({"host": "[::1]:8092.evil.example"}, 403),
        ({"host": "localhost:8092:evil.example"}, 403),
        ({"host": "localhost:"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "http://[::1]:3000"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://[::1]evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"content-type": "text/plain"}, 403),
        ({"content-type": "application/x-www-form-urlencoded"}, 403),
        ({"content-type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_the_guard_looks_at_host_origin_and_media_type(client, headers, status):
    sent = {"content-type": "application/json"} | headers
    response = await client.post("/echo", content=b'{"text": "hi"}', headers=sent)
    assert response.status_code == status


async def test_a_body_over_the_limit_is_refused_with_and_without_a_declared_length(client):
    async def pieces():
        for _ in range(20):
            yield b" " * 100

    headers = {"content-type": "application/json"}
    assert (await client.post("/echo", content=b" " * 1001, headers=headers)).status_code == 413
    assert (await client.post("/echo", content=pieces(), headers=headers)).status_code == 413


@pytest.mark.parametrize("client", ["t0ken"], indirect=True)
async def test_the_host_header_does_not_open_a_path_that_wants_the_token(client):
    async def status(**headers):
        return (await client.post("/echo", json={"text": "hi"}, headers=headers)).status_code

    assert await status(host="localhost") == 401
    assert await status(host="localhost:1/healthz?") == await status(host="localhost/healthz?") == 403
    assert await status(authorization="Bearer t0ken") == 200


async def test_a_body_that_does_not_arrive_is_waited_for_no_longer_than_allowed(client):
    async def pieces():
        yield b'{"text": '
        await asyncio.Event().wait()

    response = await client.post("/echo", content=pieces(), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (408, "request_timeout")
    assert response.headers["connection"] == "close"


async def test_a_body_of_exactly_the_limit_is_served(client):
    body = b'{"text": "hi"}'.ljust(1000)

    async def pieces():
        yield body[:500]
        yield body[500:]

    headers = {"content-type": "application/json"}
    assert (await client.post("/echo", content=body, headers=headers)).status_code == 200
    assert (await client.post("/echo", content=pieces(), headers=headers)).status_code == 200


async def test_a_post_without_a_body_is_a_bad_request_and_not_a_wrong_media_type(client):
    response = await client.post("/echo")
    assert (response.status_code, response.json()["code"]) == (422, "bad_request")


async def test_a_wrong_method_is_told_the_right_one(client):
    response = await client.get("/echo")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_log_line_is_json_with_its_service_and_its_request(client, capsys):
    configure_logs("example")
    try:
        await client.post("/echo", json={"text": "hi"}, headers={"x-request-id": "abc"})
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["service"], line["request_id"], line["status"]) == ("request", "example", "abc", 200)


async def test_a_request_id_that_is_too_long_is_replaced(client):
    response = await client.post("/echo", json={"text": "hi"}, headers={"x-request-id": "a" * 129})
    assert len(response.headers["x-request-id"]) <= 128


async def test_a_strange_request_id_is_replaced(client):
    response = await client.post("/echo", json={"text": "hi"}, headers={"x-request-id": "a b\tc"})
    assert response.headers["x-request-id"] != "a b\tc"
    assert (await client.post("/echo", json={"text": "hi"}, headers={"x-request-id": "ok-1"})).headers[
        "x-request-id"
    ] == "ok-1"


async def test_the_page_of_the_routes_has_no_script_and_nothing_from_elsewhere(client):
    response = await client.get("/docs")
    assert response.status_code == 200
    assert "POST /echo" in response.text
    assert "<script" not in response.text
    assert "://" not in response.text
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("peer", "path", "sent", "status"),
    [
        ("127.0.0.1", "/open/echo", {}, 200),
        ("127.1.2.3", "/open/echo", {}, 200),
        ("::1", "/open/echo", {}, 200),
        ("::ffff:127.0.0.1", "/open/echo", {}, 200),
        ("192.168.1.7", "/open/echo", {}, 401),
        ("::ffff:192.168.1.7", "/open/echo", {}, 401),
        ("", "/open/echo", {}, 401),
        ("127.0.0.1", "/open/echo", {"authorization": "Bearer other"}, 401),
        ("127.0.0.1", "/open/echo", {"authorization": ""}, 401),
        ("127.0.0.1", "/open/echo", {"host": "evil.example"}, 403),
        ("127.0.0.1", "/open/echo", {"origin": "http://evil.example"}, 403),
        ("127.0.0.1", "/open/echo", {"content-type": "text/plain"}, 403),
        ("127.0.0.1", "/open/echo", {"x-forwarded-for": "192.168.1.7"}, 200),
        ("127.0.0.1", "/echo", {}, 401),
        ("127.0.0.1", "/echo?/open/", {}, 401),
        ("192.168.1.7", "/echo", {"authorization": "Bearer t0ken"}, 200),
    ],
)
async def test_only_what_is_open_answers_without_the_token_and_only_to_this_machine(peer, path, sent, status):
    @asynccontextmanager
    async def lifespan(app):
        yield

    guard = Guard(service_token="t0ken", open_to_this_machine="/open/")
    app = create_service("example", guard=guard, registry=CollectorRegistry(), lifespan=lifespan, version="1")

    @app.post("/echo")
    @app.post("/open/echo")
    def echo(request: Request) -> bool:
        return has_service_token(request)

    transport = httpx.ASGITransport(app, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"content-type": "application/json"} | sent
        response = await client.post(path, content=b"{}", headers=headers)
    assert response.status_code == status
    assert status != 200 or response.json() is (sent.get("authorization") == "Bearer t0ken")


@pytest.mark.parametrize(("token", "is_told"), [("x" * 15, True), ("x" * 16, False), (None, False)])
def test_a_token_that_can_be_guessed_is_warned_of(token, is_told):
    @asynccontextmanager
    async def lifespan(app):
        yield

    with structlog.testing.capture_logs() as logs:
        guard = Guard(service_token=token)
        create_service("example", guard=guard, registry=CollectorRegistry(), lifespan=lifespan, version="1")
    assert [line["event"] for line in logs] == ["short_service_token"] * is_told
