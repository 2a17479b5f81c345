"""The shell of a service, over real HTTP messages."""

from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import Body
from prometheus_client import CollectorRegistry

from kitty_core.errors import Forbidden
from kitty_core.service import Guard, create_service


@pytest.fixture
async def client():
    @asynccontextmanager
    async def lifespan(app):
        yield

    guard = Guard(max_body_bytes=1000)
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


async def test_an_unexpected_error_is_a_500_problem_that_shows_nothing_of_the_inside(client):
    response = await client.post("/echo", json={"text": "bug"})
    assert response.status_code == 500
    assert response.json()["code"] == "internal"
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
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
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


async def test_a_strange_request_id_is_replaced(client):
    response = await client.post("/echo", json={"text": "hi"}, headers={"x-request-id": "a b\tc"})
    assert response.headers["x-request-id"] != "a b\tc"
    assert (await client.post("/echo", json={"text": "hi"}, headers={"x-request-id": "ok-1"})).headers[
        "x-request-id"
    ] == "ok-1"
