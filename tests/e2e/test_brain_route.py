"""`CODER_LLM_ROUTE=brain`: a coder-agent whose model calls go through a real brain, and one that makes them."""

import json
import time
from contextlib import contextmanager
from dataclasses import fields

import httpx
import pytest

from brain.completion_request import CompletionRequest
from brain.errors import of_model
from brain.testing import TOKEN, running_brain
from coder_agent.brain_messages import body_of, failure_of
from coder_agent.testing import running_agent
from kitty_core.leaving import error_event
from kitty_llm import (
    BackendAnsweredNonsense,
    BackendFailed,
    ContextOverflow,
    LLMError,
    ModelUnavailable,
    Part,
    Prompt,
    RequestRefused,
    Sampling,
    Stalled,
    Turn,
    Unauthorized,
)
from kitty_llm.testing import Reply, ScriptedModel

NO_GATEWAY = "http://127.0.0.1:9"
WRONG = "```python\ndef add(a, b):\n    return a - b\n```"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
TESTS = "assert add(1, 1) == 2\nassert add(0, 5) == 5\nassert add(-1, 1) == 0\nassert add(2, 2) == 4\n```"
EXAMPLE = "Write add(a, b). add(1, 2) == 3"
NOTES = {"notes.txt": "Numbers are added as in school.\n" * 120}


def answers(messages):
    """Wrong when asked plainly, right in every other style."""
    prefill = messages[-1]["content"]
    if "assert" in prefill:
        return TESTS
    return WRONG if len(messages) == 3 and prefill == "```python\n" else RIGHT


@contextmanager
def agent_by(route, model_url, **settings):
    if route == "direct":
        with running_agent(model_url, **settings) as agent:
            yield agent
        return
    with (
        running_brain(model_url, NO_GATEWAY) as brain,
        running_agent(
            "http://127.0.0.1:9",
            coder_llm_route="brain",
            brain_base=brain.base_url,
            kitty_service_token=TOKEN,
            **settings,
        ) as agent,
    ):
        yield agent


def events_of(agent, body):
    url, headers = f"{agent.base_url}/api/coding/stream", dict(agent.headers)
    with httpx.stream("POST", url, json=body, headers=headers, timeout=120, trust_env=False) as response:
        return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def wait_until(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def told(events):
    """What a job tells of the model, and how it ends, without ids and seconds."""
    on_the_way = [event for event in events if event["type"] in {"code_chunk", "test_chunk", "refine_chunk", "prefill"}]
    last = events[-1]["result"]
    usage = {name: count for name, count in last["usage"].items() if "seconds" not in name}
    same = ("code", "tests", "verdict", "passed", "model", "refinement_count", "evidence", "confidence", "error")
    return on_the_way, {name: last[name] for name in same}, usage


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("body", "n_ctx", "verdict"),
    [
        ({"request": EXAMPLE}, 8192, "verified"),
        ({"request": "/agent on. Write add(a, b), the sum of two numbers"}, 8192, "tests_failed"),
        ({"request": EXAMPLE, "files": NOTES, "model": "kitty-f16"}, 1500, "verified"),
    ],
    ids=["other samples", "tests, questions and corrections", "trimmed files and an alias"],
)
def test_both_ways_the_model_is_sent_the_same_and_the_job_ends_the_same(body, n_ctx, verdict):
    seen = {}
    for route in ("direct", "brain"):
        with (
            ScriptedModel(answers, n_ctx=n_ctx).threaded() as model,
            agent_by(route, model.base_url) as agent,
        ):
            events = events_of(agent, body)
            asked = [(request.path, request.body) for request in model.generations]
        seen[route] = (asked, *told(events))
    assert seen["brain"] == seen["direct"]
    asked, on_the_way, end, usage = seen["brain"]
    assert len(asked) == usage["calls"] > 0
    assert {event["type"] for event in on_the_way} >= {"prefill", "code_chunk"}
    assert end["verdict"] == verdict
    assert min(usage["prefill_tokens"], usage["cached_tokens"], usage["completion_tokens"]) > 0
    assert ("left out to fit" in str(asked[0])) == ("files" in body)
    assert {sent["model"] for _, sent in asked} == {body.get("model", "kitty-coder")}


def test_a_context_that_is_too_small_ends_the_job_the_same_way():
    seen = []
    for route in ("direct", "brain"):
        with ScriptedModel(RIGHT, n_ctx=512).threaded() as model, agent_by(route, model.base_url) as agent:
            answer = agent.generate(f"{EXAMPLE} # {'long ' * 2000}")
            body = answer.json()
            names = ("code", "detail", "tokens_over", "n_ctx")
            seen.append((answer.status_code, {name: body.get(name) for name in names}))
            assert not model.generations
    assert seen[0] == seen[1]
    assert (seen[0][0], seen[0][1]["code"]) == (413, "prompt_too_long")


def test_leaving_a_coding_stream_closes_the_model_s_connection_behind_the_brain():
    with ScriptedModel(Reply(RIGHT, hang_after=3)).threaded() as model, agent_by("brain", model.base_url) as agent:
        url, headers = f"{agent.base_url}/api/coding/stream", dict(agent.headers)
        with httpx.stream(
            "POST", url, json={"request": EXAMPLE}, headers=headers, timeout=30, trust_env=False
        ) as stream:
            lines = (line for line in stream.iter_lines() if "code_chunk" in line)
            next(lines)
            wait_until(lambda: model.hanging == 1)
        wait_until(lambda: not model.hanging and not model.streams_open)
        assert model.generations[0].disconnected_at is not None


def test_health_says_what_the_brain_says_of_the_models_and_asks_no_model():
    with ScriptedModel(RIGHT).threaded() as model, agent_by("brain", model.base_url) as agent:
        health = agent.get("/healthz").json()
        assert health["llm_servers"] == {"q4": "ok", "f16": "ok", "coder": "ok"}
        assert health["embedded_model"] is None
        model.loading_requests = 1
        assert agent.get("/healthz").json()["llm_servers"]["q4"] == "loading"
        assert not model.generations


def test_a_prompt_and_its_sampling_arrive_in_the_brain_whole():
    turns = (
        Turn("user", parts=(Part("a "), Part("file", trimmable=True), Part("b"))),
        Turn("assistant", "earlier"),
        Turn("user", "/agent on. é\u2028"),
    )
    every = Sampling(0.7, 0.5, 3, 99, 12, ("\n", "```"), {"type": "object"}, 'root ::= "a"', 4)
    assert all(getattr(every, field.name) != field.default for field in fields(Sampling))
    for prompt in (Prompt("the system's", turns, "```python\n"), Prompt("", turns)):
        sent = json.loads(json.dumps(body_of("coder", prompt, every, "kitty-q4", "job")))
        call = CompletionRequest.model_validate(sent["completion"]).call()
        assert (call.prompt.system, call.prompt.prefill, call.sampling) == (prompt.system, prompt.prefill, every)
        assert [(turn.role, _joined(turn)) for turn in call.prompt.turns] == [(t.role, _joined(t)) for t in turns]


def _joined(turn):
    return [(piece.text, piece.trimmable) for piece in turn.pieces]


@pytest.mark.parametrize(
    "failure",
    [
        ModelUnavailable(["http://a", "http://b"], "Start one."),
        Unauthorized("another key"),
        ContextOverflow(tokens_over=3, n_prompt_tokens=100, n_ctx=97),
        Stalled("silent"),
        RequestRefused("no"),
        BackendFailed("broken"),
        BackendAnsweredNonsense("html"),
    ],
    ids=lambda failure: failure.code,
)
def test_a_failure_behind_the_brain_is_the_same_failure_before_it(failure):
    event = json.loads(json.dumps(error_event(of_model(failure))))
    arrived = failure_of(event, "http://brain")
    assert (type(arrived), str(arrived)) == (type(failure), str(failure))
    told = ("urls_tried", "tokens_over", "n_prompt_tokens", "n_ctx")
    assert [getattr(arrived, name, None) for name in told] == [getattr(failure, name, None) for name in told]


def test_every_kind_of_failure_has_been_thought_of():
    kinds = {kind.code for kind in LLMError.__subclasses__()}
    arrived = {failure_of({"model_error": code, "error": "x"}, "http://brain").code for code in kinds}
    assert arrived == kinds
