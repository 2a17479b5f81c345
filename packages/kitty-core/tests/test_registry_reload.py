"""Reloading: in one step, on a real SIGHUP, and never to a file that is not right."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from structlog.testing import capture_logs

from kitty_core.errors import RegistryProblem
from kitty_core.registry import LiveRegistry, install_reload_signal


def entry(name):
    return f"{name}: {{server: broker}}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tools.yaml"
    path.write_text(entry("one"))
    return path


@pytest.fixture
def logs():
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines


async def until(condition, seconds=20.0):
    last = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < last, "it did not happen in time"
        await asyncio.sleep(0.01)


def test_a_reload_takes_the_new_file_and_a_call_that_began_keeps_the_old(file, logs):
    live = LiveRegistry(file, {})
    before = live.current
    file.write_text(entry("two"))
    assert live.reload()
    assert (set(before.tools), set(live.current.tools)) == ({"one"}, {"two"})
    assert [(line["event"], line["digest"]) for line in logs] == [("registry_reloaded", live.current.digest)]


@pytest.mark.parametrize("content", ["one: {server: broker, typo: 1}\n", "", "a: [", None])
def test_a_bad_file_keeps_the_old_registry_and_the_log_says_where(file, logs, content):
    live = LiveRegistry(file, {})
    before = live.current
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert not live.reload()
    assert live.current is before
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("registry_reload_failed", "error")
    assert line["problems"][0].startswith(f"{file}:1: ")


def test_a_service_does_not_start_with_a_bad_file(file):
    file.write_text("one: {typo: 1}\n")
    with pytest.raises(RegistryProblem, match=r"tools\.yaml:1: one\.typo: unknown key"):
        LiveRegistry(file, {})


def test_what_a_service_wants_besides_is_wanted_of_every_registry(file, logs):
    def only_two(registry):
        if set(registry.tools) - {"one", "two"}:
            raise RegistryProblem([f"{file}: three: is too much"])

    live = LiveRegistry(file, {})
    live.require(only_two)
    before = live.current
    file.write_text(entry("three"))
    assert not live.reload()
    assert live.current is before
    assert [line["problems"] for line in logs] == [[f"{file}: three: is too much"]]
    file.write_text(entry("two"))
    assert live.reload()
    file.write_text(entry("three"))
    with pytest.raises(RegistryProblem, match="is too much"):
        LiveRegistry(file, {}).require(only_two)


def test_reloads_at_the_same_time_end_with_the_newest_file(file, logs):
    live = LiveRegistry(file, {})
    with ThreadPoolExecutor(8) as threads:
        for number in range(16):
            fresh = file.with_suffix(".new")
            fresh.write_text(entry(f"tool{number}"))
            fresh.replace(file)
            threads.submit(live.reload)
    assert set(live.current.tools) == {"tool15"}


async def test_sighup_reloads_and_taking_it_off_gives_the_signal_back(file, logs):
    live = LiveRegistry(file, {})
    take_off = install_reload_signal(asyncio.get_running_loop(), live)
    try:
        file.write_text(entry("two"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "two" in live.current.tools)
        file.write_text("two: {typo: 1}\n")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: any(line["event"] == "registry_reload_failed" for line in logs))
        assert "two" in live.current.tools
    finally:
        take_off()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


async def test_sighup_under_load_drops_no_request(file, logs):
    live = LiveRegistry(file, {})
    app = FastAPI()

    @app.get("/")
    async def names() -> list[str]:
        registry = live.current
        await asyncio.sleep(0.01)
        return list(registry.tools)

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    take_off = install_reload_signal(asyncio.get_running_loop(), live)
    serving = asyncio.create_task(server.serve())
    answers = []
    reloaded = asyncio.Event()

    async def ask(client):
        is_last = False
        while not is_last:
            is_last = reloaded.is_set()
            response = await client.get("/")
            answers.append((response.status_code, *response.json()))

    try:
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            asking = [asyncio.create_task(ask(client)) for _ in range(8)]
            await until(lambda: answers)
            for number in range(10):
                fresh = file.with_suffix(".new")
                fresh.write_text(entry(f"tool{number}"))
                fresh.replace(file)
                os.kill(os.getpid(), signal.SIGHUP)
                await until(lambda wanted=f"tool{number}": wanted in live.current.tools)
            reloaded.set()
            await asyncio.gather(*asking)
    finally:
        take_off()
        server.should_exit = True
        await serving
    assert {status for status, *_ in answers} == {200}
    assert {len(names) for _, *names in answers} == {1}
    assert {(200, "one"), (200, "tool9")} <= set(answers)
