"""One server, driven through `JobModels.complete`, over real HTTP."""

import asyncio
import time
from dataclasses import replace

import pytest

from kitty_llm import (
    BackendAnsweredNonsense,
    BackendFailed,
    Endpoint,
    ModelUnavailable,
    Patience,
    Prompt,
    RequestRefused,
    Sampling,
    Stalled,
    Turn,
    Unauthorized,
)
from kitty_llm.testing import Reply

PREFILLED = Prompt("", (Turn("user", "Write add."),), prefill="```python\n")


async def until(statement, seconds: float = 2.0) -> None:
    deadline = time.monotonic() + seconds
    while not statement():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_an_openai_only_server_answers(serve, roles_for, asked):
    server = await serve("def add(): ...", completion=False, props=False, tokenize=False, apply_template=False)
    completion = await roles_for(server).start_job().complete("coder", asked)
    assert (completion.text, completion.finish_reason, completion.model) == ("def add(): ...", "stop", "scripted")
    assert server.generations[0].body["model"] == "kitty-coder"


async def test_a_base_url_may_end_in_v1(serve, roles_for, asked):
    server = await serve("yes")
    assert (await roles_for(server.base_url + "/v1/").start_job().complete("coder", asked)).text == "yes"


async def test_a_completion_only_server_gets_the_prompt_from_its_own_template(serve, roles_for):
    server = await serve("a, b", openai=False)
    completion = await roles_for(server).start_job().complete("coder", PREFILLED)
    assert completion.text == "a, b"
    assert server.generations[-1].body["prompt"].endswith("<|im_start|>assistant\n```python\n")
    assert "/apply-template" in [request.path for request in server.requests]


async def test_a_server_with_nothing_but_completion_gets_chatml_and_is_remembered(serve, roles_for, asked):
    server = await serve("yes", openai=False, props=False, tokenize=False, apply_template=False)
    job = roles_for(server).start_job()
    for _ in range(2):
        assert (await job.complete("coder", asked, Sampling(stop=("\n\n",)))).text == "yes"
    assert [request.path for request in server.generations] == ["/v1/chat/completions", "/completion", "/completion"]
    body = server.generations[-1].body
    assert body["prompt"].startswith("<|im_start|>system\nYou write Python.<|im_end|>\n<|im_start|>user\n")
    assert body["stop"] == ["\n\n", "<|im_end|>"]
    paths = [request.path for request in server.requests]
    assert paths.count("/apply-template") == paths.count("/props") == 1


async def test_loading_is_waited_for_and_never_changes_the_dialect(serve, roles_for, asked):
    server = await serve("yes", loading_requests=3)
    assert (await roles_for(server).start_job().complete("coder", asked)).text == "yes"
    assert {request.path for request in server.generations} == {"/v1/chat/completions"}


async def test_after_loading_chat_completions_are_used_again(serve, roles_for, asked):
    server = await serve("yes", openai=False)
    job = roles_for(server).start_job()
    await job.complete("coder", asked)
    server.openai, server.loading_requests = True, 1
    await job.complete("coder", asked)
    assert server.generations[-1].path == "/v1/chat/completions"


async def test_loading_for_longer_than_the_budget_is_unavailable(serve, roles_for, asked):
    server = await serve(loading_sec=60)
    roles = roles_for(server, at_start=Patience(loading_sec=0.3))
    with pytest.raises(ModelUnavailable, match="503"):
        await roles.start_job().complete("coder", asked)


@pytest.mark.parametrize("hang_after", [0, 2])
async def test_silence_is_a_stall(serve, roles_for, asked, hang_after):
    server = await serve(Reply("a long enough answer", hang_after=hang_after), progress_frames=0)
    roles = roles_for(server, at_start=Patience(stall_sec=0.3))
    with pytest.raises(Stalled, match=r"0\.3 s"):
        await roles.start_job().complete("coder", asked)
    await until(lambda: server.streams_open == 0)


async def test_prefill_progress_is_no_stall_however_long_it_takes(serve, roles_for, asked):
    server = await serve("yes", delay_sec=0.1, progress_frames=8)
    roles = roles_for(server, at_start=Patience(stall_sec=0.5))
    assert (await roles.start_job().complete("coder", asked)).text == "yes"


async def test_a_server_that_is_slow_between_two_pieces_is_no_stall(serve, roles_for, asked):
    server = await serve("yes", delay_sec=0.35)
    roles = roles_for(server, at_start=Patience(stall_sec=0.15))
    assert (await roles.start_job().complete("coder", asked)).text == "yes"


async def test_a_stopped_server_is_a_stall(roles_for, asked):
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/props" in await reader.readline():
            writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(Stalled):
        await roles_for(url, at_start=Patience(stall_sec=0.2)).start_job().complete("coder", asked)
    server.close()


async def test_a_server_at_work_for_another_request_is_no_stall(asked, roles_for):
    busy_until = time.monotonic() + 0.6

    async def connected(reader, writer):
        path = (await reader.readline()).split()[1]
        if path == b"/slots":
            body = b'[{"is_processing": true}]'
        elif path == b"/v1/chat/completions":
            await asyncio.sleep(max(0, busy_until - time.monotonic()))
            body = b'{"choices": [{"message": {"content": "at last"}, "finish_reason": "stop"}]}'
        else:
            body = b"{}"
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    roles = roles_for(url, at_start=Patience(stall_sec=0.2))
    assert (await roles.start_job().complete("coder", asked)).text == "at last"
    server.close()


async def test_cancelling_closes_the_connection_within_a_second(serve, roles_for, asked):
    server = await serve("x" * 4000, chunk_chars=1, delay_sec=0.05)
    arrived = asyncio.Event()
    call = roles_for(server).start_job().complete("coder", asked, on_delta=lambda _: arrived.set())
    task = asyncio.create_task(call)
    await asyncio.wait_for(arrived.wait(), 5)
    cancelled_at = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: server.generations[0].disconnected_at is not None)
    assert server.generations[0].disconnected_at - cancelled_at < 1
    assert server.streams_open == 0


async def test_cancelling_before_the_first_byte_closes_the_connection_too(serve, roles_for, asked):
    server = await serve(Reply("never", hang_after=0), progress_frames=0)
    task = asyncio.create_task(roles_for(server).start_job().complete("coder", asked))
    await until(lambda: server.streams_open == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: server.streams_open == 0, 1)


async def test_a_listener_that_fails_closes_the_connection(serve, roles_for, asked):
    def fail(_: str) -> None:
        raise ZeroDivisionError

    server = await serve("x" * 4000, chunk_chars=1, delay_sec=0.02)
    with pytest.raises(ZeroDivisionError):
        await roles_for(server).start_job().complete("coder", asked, on_delta=fail)
    await until(lambda: server.streams_open == 0, 1)


async def test_the_api_key_is_sent_and_a_wrong_one_names_its_variable(serve, roles_for, asked):
    server = await serve("yes", api_key="right")
    right = Endpoint(server.base_url, api_key="right")
    assert (await roles_for(right).start_job().complete("coder", asked)).text == "yes"
    wrong = Endpoint(server.base_url, api_key="wrong", key_variable="LLAMACPP_CODER_API_KEY")
    with pytest.raises(Unauthorized, match="LLAMACPP_CODER_API_KEY") as caught:
        await roles_for(wrong).start_job().complete("coder", asked)
    assert "wrong" not in str(caught.value)
    assert "right" not in repr(right)


async def test_a_web_page_is_nonsense(serve, roles_for, asked):
    server = await serve(html=True)
    with pytest.raises(BackendAnsweredNonsense, match="text/html"):
        await roles_for(server).start_job().complete("coder", asked)


async def test_a_server_that_knows_neither_dialect_is_nonsense(serve, roles_for, asked):
    server = await serve(openai=False, completion=False)
    with pytest.raises(BackendAnsweredNonsense, match="neither"):
        await roles_for(server).start_job().complete("coder", asked)


async def test_an_error_frame_is_an_error_and_never_text(serve, roles_for, asked):
    heard: list[str] = []
    server = await serve(Reply("half an answer", error_after=1))
    with pytest.raises(BackendFailed, match="the scripted failure"):
        await roles_for(server).start_job().complete("coder", asked, on_delta=heard.append)
    assert heard == ["half an "]


@pytest.mark.parametrize("chunk_chars", [1, 3, 10, 100])
async def test_an_echoed_prefill_is_stripped_across_chunk_borders(serve, roles_for, chunk_chars):
    heard: list[str] = []
    server = await serve("x = 1\n", echo_prefill=True, chunk_chars=chunk_chars)
    completion = await roles_for(server).start_job().complete("coder", PREFILLED, on_delta=heard.append)
    assert completion.text == "".join(heard) == "x = 1\n"
    assert server.generations[0].prefill == "```python\n"


async def test_unknown_fields_are_left_out_after_a_refusal_and_from_then_on(serve, roles_for, asked):
    server = await serve("yes", reject_unknown_fields=True, props=False, tokenize=False)
    job = roles_for(server).start_job()
    for _ in range(2):
        assert (await job.complete("coder", asked)).text == "yes"
    assert ["top_k" in request.body for request in server.generations] == [True, False, False]
    with pytest.raises(RequestRefused, match="grammars"):
        await job.complete("coder", asked, Sampling(grammar="root ::= x"))


async def test_a_server_without_prefill_is_asked_in_words_and_remembered(serve, roles_for):
    server = await serve("```python\nx = 1", reject_prefill=True)
    job = roles_for(server).start_job()
    for _ in range(2):
        completion = await job.complete("coder", PREFILLED)
        assert (completion.text, completion.prefilled) == ("x = 1", False)
    assert [bool(request.prefill) for request in server.generations] == [True, False, False]


async def test_characters_cut_in_the_middle_arrive_whole(serve, roles_for, asked):
    server = await serve("für alle 猫 🐈‍⬛ — ok", write_bytes=3, chunk_chars=1)
    assert (await roles_for(server).start_job().complete("coder", asked)).text == "für alle 猫 🐈‍⬛ — ok"


@pytest.mark.parametrize("openai", [True, False])
async def test_counts_and_timings_are_kept_in_both_dialects(serve, roles_for, openai):
    server = await serve("12345678", openai=openai)
    job = roles_for(server).start_job()
    prompt = Prompt("s" * 400, (Turn("user", "first"),))
    first = await job.complete("coder", prompt)
    second = await job.complete("coder", replace(prompt, turns=(Turn("user", "second"),)))
    assert (first.usage.cached_tokens, first.usage.completion_tokens, first.usage.calls) == (0, 2, 1)
    assert second.usage.cached_tokens >= 100
    assert second.usage.prefill_tokens < 20
    assert second.timings["prompt_ms"] == 1.5
    both = first.usage + second.usage
    assert (both.calls, both.completion_tokens) == (2, 4)
    assert both.seconds >= first.usage.seconds > 0


async def test_counts_are_kept_without_timings(serve, roles_for, asked):
    server = await serve("12345678", reject_unknown_fields=True)
    usage = (await roles_for(server).start_job().complete("coder", asked)).usage
    assert (usage.prefill_tokens + usage.cached_tokens, usage.completion_tokens) == (27, 2)


async def test_progress_is_told_while_the_prompt_is_read(serve, roles_for, asked):
    seen: list[tuple[int, int]] = []
    server = await serve("yes", progress_frames=3)
    await roles_for(server).start_job().complete("coder", asked, on_progress=lambda *numbers: seen.append(numbers))
    assert seen == [(9, 27), (18, 27), (27, 27)]


async def test_length_stop_and_schema_are_passed_through(serve, roles_for, asked):
    server = await serve([Reply("cut", finish_reason="length"), "kept\n```dropped"])
    job = roles_for(server).start_job()
    cut = await job.complete("coder", asked, Sampling(json_schema={"type": "object"}, max_tokens=9, seed=4))
    assert cut.finish_reason == "length"
    body = server.generations[0].body
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert (body["max_tokens"], body["seed"], body["temperature"]) == (9, 4, 0.0)
    assert (await job.complete("coder", asked, Sampling(stop=("\n```",)))).text == "kept"
