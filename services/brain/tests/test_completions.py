"""`completion`: the model is sent exactly what the caller words, and its answer comes back as it was."""

import json
import threading
import time

import httpx
import pytest

from brain.completions import MOST_JOBS, Completions, Job, RawCall
from brain.models import ModelServers
from brain.testing import ScriptedGateway, running_brain
from kitty_llm import Prompt, Sampling, Turn
from kitty_llm.testing import Reply, ScriptedModel

ASK = {"messages": [{"role": "user", "content": "Say yes."}]}
THOUGHT = "<think>Shall I?</think>\n<tool_call>{}</tool_call> /agent on. Yes."


def wait_until(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def complete(brain, completion=ASK, prompt="a completion", **fields):
    return brain.query(prompt, completion=completion, **{"toolMode": "off", **fields})


def test_the_model_is_sent_these_messages_and_nothing_else_and_its_answer_is_not_read(start):
    brain, model, gateway = start(THOUGHT)
    messages = [
        {"role": "system", "content": "Only code."},
        {"role": "user", "content": [{"type": "text", "text": "/agent on. "}, {"text": "Call coding.generate: f"}]},
        {"role": "assistant", "content": "What is f?"},
        {"role": "user", "content": "/model other\nConfirm: proceed"},
    ]
    answer = complete(
        brain, {"messages": messages, "prefill": "```python\n"}, "/model other", modelAlias="kitty-coder"
    ).json()
    assert answer["result"] == {"output": THOUGHT}
    assert answer["routing"]["tier"] == "coder"
    sent = model.generations[0].body
    joined = {"role": "user", "content": "/agent on. Call coding.generate: f"}
    assert sent["messages"] == [messages[0], joined, *messages[2:], {"role": "assistant", "content": "```python\n"}]
    assert sent["model"] == "kitty-coder"
    assert not gateway.requests


def test_the_answer_says_what_it_cost_and_how_it_ended(start):
    brain, _, _ = start(Reply("yes, yes", finish_reason="length", alternatives={"yes, yes": {"yes, yes": -0.5}}))
    answer = complete(brain, {**ASK, "top_logprobs": 2}, useAgent=False, forceTier="coder", toolMode="auto").json()
    assert (answer["routing"]["tier"], answer["routing"]["cached"]) == ("coder", False)
    facts = answer["routing"]["metadata"]["completion"]
    tokens = [{"text": "yes, yes", "alternatives": {"yes, yes": -0.5}}]
    assert (facts["finish_reason"], facts["model"], facts["prefilled"]) == ("length", "scripted", True)
    assert facts["tokens"] == tokens
    usage = facts["usage"]
    assert usage.pop("seconds") > 0
    assert usage == {"prefill_tokens": 15, "cached_tokens": 0, "completion_tokens": 2, "calls": 1}
    assert facts["timings"]["prompt_n"] == 15
    assert complete(brain).json()["routing"]["metadata"]["completion"]["usage"]["cached_tokens"] == 14


def test_how_the_answer_is_drawn_is_the_caller_s_to_say(start):
    brain, model, _ = start("{}", brain_max_tokens=16)
    schema = {"type": "object", "maxProperties": 0}
    drawn = {"temperature": 1.3, "top_p": 0.4, "seed": 7, "max_tokens": 900, "stop": ["\n"]}
    complete(brain, {**ASK, **drawn, "least_tokens": 30, "json_schema": schema})
    sent = model.generations[0].body
    assert {name: sent[name] for name in drawn} == drawn
    assert sent["response_format"]["json_schema"]["schema"] == schema
    complete(brain, {**ASK, "grammar": 'root ::= "a"'})
    usual = Sampling()
    sent = model.generations[1].body
    assert sent["grammar"] == 'root ::= "a"'
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0, usual.top_p, usual.max_tokens)


def test_nothing_is_remembered_of_it_and_nothing_remembered_is_sent(start):
    brain, model, _ = start(["Blue.", "raw", "raw", "Still blue."])
    brain.query("What colour is it?", conversationId="c", toolMode="off")
    for _ in range(2):
        assert complete(brain, conversationId="c", prompt="What colour is it?").json()["result"]["output"] == "raw"
    brain.query("And now?", conversationId="c", toolMode="off")
    raw, last = model.generations[1], model.generations[3]
    assert raw.messages == ASK["messages"]
    assert "Blue." in str(last.messages)
    assert "raw" not in str(last.messages)


def test_a_stream_tells_the_reading_and_the_words_then_the_same_response(start):
    brain, _, _ = start("```python\nx = 1\n```")
    *on_the_way, last = brain.stream("a completion", completion=ASK, toolMode="off")
    assert {event["type"] for event in on_the_way} == {"prefill", "delta"}
    assert on_the_way[0] == {"type": "prefill", "done": 7, "total": 15}
    assert "".join(event.get("delta", "") for event in on_the_way) == last["result"]["result"]["output"]
    assert last["result"]["routing"]["metadata"]["completion"]["usage"]["calls"] == 1


@pytest.mark.parametrize(
    "completion",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": [{"text": "x", "trimable": True}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "text": "x"}]}]},
        {"messages": [{"role": "user", "content": "x", "name": "ann"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}, *ASK["messages"]]},
        {"messages": [{"role": "system", "content": [{"text": "x"}]}, *ASK["messages"]]},
        {"messages": [{"role": "user", "content": "x" * 1_000_001}]},
        {"messages": ASK["messages"] * 201},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {**ASK, "prefill": "\ud800"},
        {**ASK, "max_token": 5},
        {**ASK, "max_tokens": 0},
        {**ASK, "max_tokens": 1e9},
        {**ASK, "temperature": "hot"},
        {**ASK, "temperature": 2.1},
        {**ASK, "temperature": float("nan")},
        {**ASK, "top_p": 2},
        {**ASK, "seed": -1},
        {**ASK, "stop": "x"},
        {**ASK, "stop": [""]},
        {**ASK, "json_schema": {"enum": ["x" * 100_000]}},
        {**ASK, "json_schema": {"const": "\ud800"}},
    ],
    ids=lambda completion: json.dumps(completion)[:60],
)
def test_what_is_no_completion_is_refused_before_the_model_is_asked(start, completion):
    brain, model, _ = start("unused")
    answer = complete(brain, completion)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")
    assert not model.requests


def test_a_completion_wants_tools_off_and_a_prompt(start):
    brain, model, _ = start("unused")
    for fields in ({}, {"toolMode": "auto"}, {"toolMode": "on"}):
        answer = brain.query("a completion", completion=ASK, **fields)
        assert answer.status_code == 422
        assert "toolMode off" in answer.json()["detail"]
    assert brain.post("/api/query", {"completion": ASK, "toolMode": "off"}).status_code == 422
    assert not model.requests


def test_a_failure_keeps_its_code_and_says_what_it_was_to_the_model_client(start):
    brain, model, _ = start(Reply("half", error_after=0), model={"n_ctx": 600})
    long = {"messages": [{"role": "user", "content": "word " * 1000}]}
    answer = complete(brain, long)
    body = answer.json()
    assert (answer.status_code, body["code"], body["model_error"]) == (413, "prompt_too_long", "context_overflow")
    assert body["n_ctx"] == 600 < body["n_prompt_tokens"]
    assert body["tokens_over"] == body["n_prompt_tokens"] + Sampling().least_tokens - 600
    failed = complete(brain)
    assert (failed.status_code, failed.json()["code"], failed.json()["model_error"]) == (
        502,
        "bad_gateway",
        "model_failed",
    )
    last = brain.stream("a completion", completion=long, toolMode="off")[-1]
    assert (last["type"], last["code"], last["model_error"]) == ("error", "prompt_too_long", "context_overflow")
    model.api_key = "another"
    answer = complete(brain)
    assert (answer.json()["code"], answer.json()["model_error"]) == ("model_unavailable", "model_unauthorized")


def test_a_completion_may_be_as_long_as_what_a_coding_request_can_hold(start):
    brain, _, _ = start("unused")
    answer = complete(brain, {"messages": [{"role": "user", "content": "x" * 1_000_000}]})
    assert (answer.status_code, answer.json()["code"]) == (413, "prompt_too_long")


def test_a_trimmable_part_gives_way_where_the_window_is_too_small(start):
    brain, model, _ = start("yes", model={"n_ctx": 600})
    parts = [{"text": "Keep this. "}, {"text": "A line of a file.\n" * 200, "trimmable": True}]
    assert complete(brain, {"messages": [{"role": "user", "content": parts}]}).json()["result"]["output"] == "yes"
    sent = model.generations[0].messages[0]["content"]
    assert sent.startswith("Keep this. ")
    assert "left out to fit" in sent


@pytest.mark.parametrize("path", ["/api/query", "/api/query/stream"])
def test_a_caller_that_goes_away_ends_the_generation(start, path):
    brain, model, _ = start(Reply("a long answer", hang_after=1))
    body = {"prompt": "a completion", "completion": ASK, "toolMode": "off"}

    def ask():
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(brain.base_url + path, json=body, headers=brain.headers, timeout=2, trust_env=False)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: model.hanging)
    asking.join(10)
    wait_until(lambda: not model.hanging)
    assert model.generations[0].disconnected_at is not None


def test_a_server_that_was_given_up_in_a_conversation_stays_so_in_it_alone(refused_url):
    with (
        ScriptedModel("from f16").threaded() as f16,
        ScriptedModel("from q4").threaded() as q4,
        ScriptedGateway() as gateway,
        running_brain(refused_url, gateway.base_url, env={"LLAMACPP_F16_BASE": f16.base_url}) as brain,
    ):
        assert q4.base_url != f16.base_url

        def said(conversation):
            return complete(brain, conversationId=conversation).json()["result"]["output"]

        assert said("one") == "from f16"
        port = int(refused_url.rpartition(":")[2])
        with ScriptedModel("from q4", port=port).threaded():
            assert said("one") == "from f16"
            assert said("two") == "from q4"
            assert complete(brain).json()["result"]["output"] == "from q4"


def test_the_calls_of_one_conversation_stay_with_one_server_of_several(refused_url):
    with (
        ScriptedModel("one").threaded() as one,
        ScriptedModel("two").threaded() as two,
        ScriptedGateway() as gateway,
        running_brain(
            refused_url, gateway.base_url, env={"LLAMACPP_Q4_BASE": f"{one.base_url},{two.base_url}"}
        ) as brain,
    ):

        def answered(conversation):
            answer = complete(brain, conversationId=conversation).json()
            assert answer["routing"]["tier"] == "q4"
            return answer["result"]["output"]

        assert [answered(conversation) for conversation in ("a", "b", "a", "b", "b", "a")] == [
            *("one", "two", "one", "two", "two", "one")
        ]


def test_roles_that_share_a_server_have_no_second_opinion():
    def servers(q4, f16):
        return ModelServers({"LLAMACPP_Q4_BASE": q4, "LLAMACPP_F16_BASE": f16})

    assert servers("a:1,b:1", "c:1,d:1").has_second_opinion(None)
    assert not servers("a:1,b:1", "c:1,b:1").has_second_opinion(None)


async def test_what_is_known_of_a_job_is_forgotten_after_a_while_and_beyond_a_number():
    now = 0.0
    async with ScriptedModel("yes") as model:
        started = []

        class Counted(ModelServers):
            def start(self, model):
                started.append(model)
                return super().start(model)

        servers = Counted({f"LLAMACPP_{role}_BASE": model.base_url for role in ("Q4", "F16")})
        completions = Completions(servers, clock=lambda: now)
        call = RawCall(Prompt("", (Turn("user", "x"),)), Sampling())

        async def ask(number):
            job = Job("ann", str(number), None)
            await completions.complete(call, "q4", job, lambda event: None, is_named=True)

        for at, jobs in ((0.0, 1), (599.0, 1), (1198.0, 1), (1799.0, 2)):
            now = at
            await ask(0)
            assert len(started) == jobs
        for number in range(1, MOST_JOBS + 1):
            await ask(number)
        await ask(0)
        assert len(started) == 2 + MOST_JOBS + 1
        await servers.stop()
