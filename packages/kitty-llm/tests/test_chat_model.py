import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from kitty_llm import Endpoint, LlamaChatModel, Part, Prompt, Sampling, Turn, messages_of
from kitty_llm.messages import conversation_of
from kitty_llm.testing import ScriptedModel


@pytest.fixture
async def model(serve):
    server = await serve("a scripted answer")
    model = LlamaChatModel(endpoint=Endpoint(server.base_url, alias="kitty-q4"))
    yield model, server
    await model.aclose()


async def test_chunks_carry_progress_then_text_then_the_numbers(model):
    chat, server = model
    chunks = [chunk async for chunk in chat.astream([SystemMessage("short"), HumanMessage("hi")])]
    assert chunks[0].content == ""
    assert set(chunks[0].response_metadata["prompt_progress"]) == {"total", "cache", "processed", "time_ms"}
    assert "".join(chunk.text for chunk in chunks) == "a scripted answer"
    last = chunks[-1]
    assert last.response_metadata["finish_reason"] == "stop"
    assert last.response_metadata["model"] == "scripted"
    assert last.response_metadata["timings"]["predicted_n"] == 5
    assert last.usage_metadata["output_tokens"] == 5
    assert last.usage_metadata["input_token_details"] == {"cache_read": 0}
    assert server.generations[0].body["model"] == "kitty-q4"


async def test_ainvoke_streams_on_the_wire_and_keeps_the_numbers(model):
    chat, server = model
    message = await chat.ainvoke("hi", temperature=0.7, max_tokens=5)
    assert message.content == "a scripted answer"
    assert message.usage_metadata["output_tokens"] == 5
    assert "prompt_progress" not in message.response_metadata
    body = server.generations[0].body
    assert (body["stream"], body["temperature"], body["max_tokens"]) == (True, 0.7, 5)


async def test_options_can_be_bound_and_stop_words_are_sent(model):
    chat, server = model
    bound = chat.bind(stop=["scripted"], sampling=Sampling(seed=3))
    assert (await bound.ainvoke("hi")).content == "a "
    assert (server.generations[0].body["stop"], server.generations[0].body["seed"]) == (["scripted"], 3)


def test_invoke_works_without_a_loop():
    with ScriptedModel("yes").threaded() as server:
        assert LlamaChatModel(endpoint=Endpoint(server.base_url)).invoke("hi").content == "yes"


def test_a_prompt_survives_the_way_through_langchain():
    prompt = Prompt("sys", (Turn("user", "ask", (Part("ctx\n", trimmable=True),)), Turn("assistant", "so")), "far")
    said, prefill = conversation_of(messages_of(prompt))
    assert [(message.role, message.text) for message in said] == [("system", "sys"), ("user", "ctx\nask")]
    assert [piece.trimmable for piece in said[1].pieces] == [True, False]
    assert prefill == "sofar"


def test_only_text_can_be_sent():
    with pytest.raises(ValueError, match="image_url"):
        conversation_of([HumanMessage([{"type": "image_url", "image_url": "x"}])])
    assert conversation_of([HumanMessage(["a", {"type": "text", "text": "b"}]), AIMessage("")])[0][0].text == "ab"
