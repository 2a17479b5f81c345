"""The way by the brain when that is not there, goes away, or is none. With a real one: tests/e2e."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager

import pytest
import structlog

from coder_agent.backends import backends_of
from coder_agent.brain_route import BrainRoute
from coder_agent.errors import UnknownModel
from coder_agent.settings import Settings
from coder_agent.testing import running_agent
from kitty_llm import (
    BackendAnsweredNonsense,
    BackendFailed,
    ModelUnavailable,
    Patience,
    Prompt,
    RequestRefused,
    Stalled,
    Turn,
    Unauthorized,
)
from kitty_models.errors import BadSetting

ASK = Prompt("", (Turn("user", "Say yes."),))
DROP, SILENCE = "drop", "silence"
USAGE = {"prefill_tokens": 5, "cached_tokens": 2, "completion_tokens": 3, "calls": 1, "seconds": 0.5}
FACTS = {"finish_reason": "stop", "model": "m", "usage": USAGE, "prefilled": True, "timings": {}}
AT_ONCE_SEC = 5


def words(*pieces):
    return [{"type": "delta", "delta": piece} for piece in pieces]


def complete(text):
    result = {"result": {"output": text}, "routing": {"metadata": {"completion": FACTS}}}
    return {"type": "complete", "result": result}


class ScriptedBrain:
    """Answers each query with the next of `script`: events and where it goes wrong, or (status, problem)."""

    def __init__(self, *script, listed=None, port=0):
        self._script = list(script)
        self._listed = listed
        self.port = port
        self.queries = []
        self._answering = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await asyncio.gather(*self._answering)

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}"

    async def _answer(self, reader, writer):
        self._answering.add(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("get"):
                if self._listed == SILENCE:
                    return await reader.read()
                return await self._whole(writer, 200, self._listed)
            body = await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            self.queries.append((head, json.loads(body)))
            answer = self._script.pop(0)
            if isinstance(answer, tuple):
                return await self._whole(writer, *answer)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for event in answer:
                if event == DROP:
                    return writer.transport.abort()
                if event == SILENCE:
                    return await reader.read()
                data = f"data: {json.dumps(event)}\n\n".encode()
                writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            return await writer.drain()
        finally:
            writer.close()

    async def _whole(self, writer, status, payload):
        data = json.dumps(payload).encode()
        head = f"HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()


@asynccontextmanager
async def job_at(brain, **patience):
    usual = {"at_start": Patience(lost_sec=0.3, stall_sec=5), "mid_job": Patience(lost_sec=5, stall_sec=5)}
    route = BrainRoute(brain.base_url, "t0ken", **{**usual, **patience})
    try:
        yield route.start_job("kitty-q4")
    finally:
        await route.aclose()


@contextmanager
def agent_with(brain_url, **settings):
    fields = {"coder_llm_route": "brain", "brain_base": brain_url, "kitty_service_token": "t0ken", **settings}
    with running_agent("http://127.0.0.1:9", **fields) as agent:
        yield agent


@pytest.fixture
def nobody():
    """An address that refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_brain_that_is_not_there_is_said_soon_and_by_the_name_of_its_variable(nobody):
    with agent_with(nobody) as agent:
        began = time.monotonic()
        answer = agent.generate("Write f(x). f(1) == 2")
        assert time.monotonic() - began < AT_ONCE_SEC
        body = answer.json()
        assert (answer.status_code, body["code"]) == (503, "model_unavailable")
        assert body["urls_tried"] == [nobody]
        for word in (f"BRAIN_BASE (now {nobody})", "./kitty up", "CODER_LLM_ROUTE=direct"):
            assert word in body["detail"]
        health = agent.get("/healthz").json()
        assert (health["status"], set(health["llm_servers"].values())) == ("degraded", {"down"})
        assert agent.get("/readyz").status_code == 503


async def test_the_query_says_whose_calls_belong_together_and_carries_the_token():
    async with ScriptedBrain([complete("one")], [complete("two")], [complete("three")]) as brain, job_at(brain) as job:
        assert [(await job.complete("coder", ASK)).text for _ in range(2)] == ["one", "two"]
        async with job_at(brain) as other:
            with structlog.contextvars.bound_contextvars(request_id="r1"):
                answer = await other.complete("q4", ASK)
        assert (answer.model, answer.usage.cached_tokens, answer.usage.seconds) == ("m", 2, 0.5)
    heads, bodies = zip(*brain.queries, strict=True)
    assert all("authorization: bearer t0ken" in head for head in heads)
    assert ["x-request-id: r1" in head for head in heads] == [False, False, True]
    first, second, third = (body["conversationId"] for body in bodies)
    assert first == second != third
    assert [body["forceTier"] for body in bodies] == ["coder", "coder", "q4"]
    assert {(body["toolMode"], body["modelAlias"]) for body in bodies} == {("off", "kitty-q4")}


async def test_an_answer_that_breaks_off_is_asked_for_again_and_no_word_is_told_twice():
    heard, progress = [], []
    reading = {"type": "prefill", "done": 1, "total": 4}
    async with (
        ScriptedBrain([reading, *words("a wh"), DROP], [*words("a wh", "ole"), complete("a whole")]) as brain,
        job_at(brain) as job,
    ):
        answer = await job.complete("coder", ASK, None, heard.append, lambda *numbers: progress.append(numbers))
    assert answer.text == "".join(heard) == "a whole"
    assert progress == [(1, 4)]


async def test_an_answer_that_always_breaks_off_is_not_asked_for_for_ever():
    async with ScriptedBrain(*[[*words("a"), DROP]] * 4) as brain, job_at(brain) as job:
        with pytest.raises(ModelUnavailable, match="BRAIN_BASE"):
            await job.complete("coder", ASK)
    assert len(brain.queries) == 3


async def test_a_brain_that_answered_is_waited_for_while_it_is_started_again():
    async with ScriptedBrain([complete("one")]) as brain:
        port = brain.port
        async with job_at(brain) as job:
            await job.complete("coder", ASK)
            await brain.__aexit__()
            call = asyncio.create_task(job.complete("coder", ASK))
            await asyncio.sleep(1)
            assert not call.done()
            async with ScriptedBrain((502, {}), [complete("two")], port=port):
                assert (await asyncio.wait_for(call, 5)).text == "two"


async def test_a_stream_without_an_end_is_no_answer():
    async with ScriptedBrain(*[[]] * 20) as brain, job_at(brain) as job:
        with pytest.raises(ModelUnavailable, match="the stream ended before the answer did"):
            await job.complete("coder", ASK)


async def test_a_silent_brain_is_given_up():
    quick = Patience(stall_sec=0.2)
    async with ScriptedBrain([SILENCE]) as brain, job_at(brain, at_start=quick) as job:
        with pytest.raises(Stalled, match=brain.base_url):
            await job.complete("coder", ASK)


@pytest.mark.parametrize(
    ("answer", "kind", "words_of_it"),
    [
        ((401, {"detail": "no"}), Unauthorized, "KITTY_SERVICE_TOKEN"),
        ((403, {"detail": "The host 'brain' is not served here."}), Unauthorized, "The host 'brain' is not served"),
        ((404, {}), BackendAnsweredNonsense, "BRAIN_BASE"),
        ((422, {"detail": "completion.top_k: Extra inputs"}), RequestRefused, "top_k"),
        ((500, {}), BackendFailed, "500"),
        (
            [{"type": "complete", "result": {"result": {"output": "x"}, "routing": {}}}],
            BackendAnsweredNonsense,
            "version",
        ),
        ([["no event"]], BackendAnsweredNonsense, "none of a brain's"),
        ([{"type": "error", "error": "oh", "code": "internal"}], BackendFailed, "oh"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_answered_in_place_of_a_completion_says_what_is_wrong(answer, kind, words_of_it):
    async with ScriptedBrain(answer) as brain, job_at(brain) as job:
        with pytest.raises(kind, match=words_of_it):
            await job.complete("coder", ASK)


async def test_health_is_what_the_brain_lists_and_never_more_than_a_moment():
    models = [{"tier": "q4", "state": "ok"}, {"tier": "f16", "state": "loading"}, {"tier": "other", "state": "ok"}]
    for listed, found in (
        ({"models": models}, {"q4": "ok", "f16": "loading", "coder": "down"}),
        ({"status": "ok"}, dict.fromkeys(("q4", "f16", "coder"), "down")),
    ):
        async with ScriptedBrain(listed=listed) as brain:
            route = BrainRoute(brain.base_url, "t0ken")
            assert await route.health() == found
            await route.aclose()

    async with ScriptedBrain(listed=SILENCE) as brain:
        route = BrainRoute(brain.base_url, "t0ken")
        began = time.monotonic()
        assert set((await route.health()).values()) == {"down"}
        assert time.monotonic() - began < 1
        await route.aclose()


@pytest.mark.parametrize(
    ("listed", "slots"),
    [({"models": [], "slots": 6}, 6), ({"models": []}, 1), ({"slots": None}, 1), ({"slots": 0}, 1), (["what"], 1)],
)
async def test_the_slots_are_those_that_the_brain_tells_and_it_is_not_asked_again_soon(listed, slots):
    async with ScriptedBrain(listed=listed) as brain:
        route = BrainRoute(brain.base_url, "t0ken")
        assert await route.slots() == slots
    assert await route.slots() == slots
    await route.aclose()


async def test_a_silent_brain_has_one_slot_and_that_is_known_within_a_second(nobody):
    async with ScriptedBrain(listed=SILENCE) as brain:
        route = BrainRoute(brain.base_url, "t0ken")
        began = time.monotonic()
        assert await route.slots() == 1
        assert time.monotonic() - began < 1
        await route.aclose()
    gone = BrainRoute(nobody, "t0ken")
    assert await gone.slots() == 1
    await gone.aclose()


@pytest.mark.parametrize("model", ["http://127.0.0.1:8083", "/models/some.gguf"])
def test_a_job_may_name_an_alias_but_no_address(model):
    with pytest.raises(UnknownModel, match="alias"):
        BrainRoute("http://brain", "t0ken").start_job(model)


async def test_no_embedded_model_is_started_where_the_brain_is_the_way(nobody):
    settings = Settings(
        _env_file=None, coder_llm_route="brain", kitty_model="kitty-coder-small", kitty_service_token="t"
    )
    backends = backends_of(settings, {})
    await backends.start()
    assert backends.embedded is None
    async with backends.job("kitty-coder-small"):
        pass
    await backends.stop()


def test_an_address_of_the_brain_that_is_none_stops_the_start(tmp_path, monkeypatch):
    settings = Settings(_env_file=None, coder_llm_route="brain", brain_base="what is that", kitty_service_token="t")
    with pytest.raises(BadSetting, match="BRAIN_BASE"):
        backends_of(settings, {})
    monkeypatch.setenv("BRAIN_BASE", "what is that")
    monkeypatch.setenv("CODER_LLM_ROUTE", "brain")
    command = [sys.executable, "-m", "coder_agent.main"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "BRAIN_BASE" in done.stderr
