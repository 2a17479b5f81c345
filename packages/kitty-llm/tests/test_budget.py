import pytest

from kitty_llm import ContextOverflow, Part, Prompt, Sampling, Turn
from kitty_llm.budget import cut_middle


def lines(count: int) -> str:
    return "".join(f"line {number:04d}\n" for number in range(count))


def test_the_middle_is_cut_at_whole_lines_and_the_cut_is_visible():
    text = lines(100)
    cut = cut_middle(text, 400)
    assert len(cut) < 480
    assert cut.startswith("line 0000\nline 0001\n")
    assert cut.endswith("line 0098\nline 0099\n")
    [marker] = [line for line in cut.splitlines() if not line.startswith("line ")]
    assert "characters left out" in marker


def test_a_single_long_line_is_cut_as_well():
    assert 300 < len(cut_middle("x" * 10_000, 300)) < 400


async def test_what_fits_is_sent_unchanged_and_nothing_is_counted(serve, roles_for, asked):
    server = await serve()
    await roles_for(server).start_job().complete("coder", asked)
    assert [request.path for request in server.requests] == ["/props", "/v1/chat/completions"]


async def test_trimmable_context_is_cut_until_the_prompt_fits(serve, roles_for):
    server = await serve(n_ctx=1000)
    context = (Part(lines(300), trimmable=True), Part("keep this\n"), Part(lines(100), trimmable=True))
    prompt = Prompt("system", (Turn("user", "the question", context),))
    await roles_for(server).start_job().complete("coder", prompt, Sampling(max_tokens=500))
    [request] = server.generations
    sent = request.messages[-1]["content"]
    assert "characters left out" in sent
    assert sent.endswith("the question")
    assert "keep this\n" + lines(100) in sent
    assert request.body["max_tokens"] == 500


async def test_an_overflow_is_refused_by_its_number_of_tokens_and_not_sent(serve, roles_for):
    server = await serve(n_ctx=1000)
    prompt = Prompt("", (Turn("user", "x" * 4000),))
    with pytest.raises(ContextOverflow) as caught:
        await roles_for(server).start_job().complete("coder", prompt)
    overflow = caught.value
    assert overflow.n_ctx == 1000
    assert overflow.n_prompt_tokens == 1013
    assert overflow.tokens_over == 1013 + 128 - 1000
    assert server.generations == []


async def test_the_room_an_answer_must_have_is_the_callers_to_say(serve, roles_for):
    server = await serve(n_ctx=1000)
    prompt = Prompt("", (Turn("user", "x" * 3000),))
    with pytest.raises(ContextOverflow) as caught:
        await roles_for(server).start_job().complete("coder", prompt, Sampling(max_tokens=400, least_tokens=300))
    assert caught.value.tokens_over == 763 + 300 - 1000
    assert server.generations == []


async def test_the_answer_shrinks_to_what_is_left(serve, roles_for):
    server = await serve(n_ctx=1000)
    prompt = Prompt("", (Turn("user", "x" * 3000),))
    await roles_for(server).start_job().complete("coder", prompt)
    assert server.generations[0].body["max_tokens"] == 1000 - 763


async def test_a_server_that_cannot_be_asked_has_the_default_window_at_three_characters_a_token(serve, roles_for):
    server = await serve(props=False, tokenize=False, apply_template=False)
    job = roles_for(server, fallback_n_ctx=2000).start_job()
    await job.complete("coder", Prompt("", (Turn("user", "x" * 3 * 1800),)))
    assert server.generations[0].body["max_tokens"] == 200
    with pytest.raises(ContextOverflow) as caught:
        await job.complete("coder", Prompt("", (Turn("user", "x" * 3 * 1900),)))
    assert (caught.value.tokens_over, caught.value.n_ctx) == (28, 2000)


async def test_the_servers_own_overflow_is_the_same_error_and_teaches_the_window(serve, roles_for):
    server = await serve(props=False, tokenize=False, n_ctx=500)
    job = roles_for(server).start_job()
    prompt = Prompt("", (Turn("user", "x" * 4000),))
    with pytest.raises(ContextOverflow) as caught:
        await job.complete("coder", prompt)
    assert (caught.value.n_prompt_tokens, caught.value.n_ctx) == (1013, 500)
    with pytest.raises(ContextOverflow):
        await job.complete("coder", prompt)
    assert len(server.generations) == 1
