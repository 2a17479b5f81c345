import asyncio
import time

import pytest

from kitty_llm import Endpoint, ModelRoles, ModelUnavailable, Patience, Prompt, Sampling, Turn
from kitty_llm.testing import Reply, ScriptedModel

AT_ONCE_SEC = 5
"""Without any waiting of ours, and room for a busy machine."""


async def test_a_refused_role_falls_back_and_the_answer_says_who_gave_it(serve, roles_for, refused, asked):
    f16 = await serve("from f16", model="the-f16")
    job = roles_for(refused(), f16=f16, q4=refused()).start_job()
    completion = await job.complete("coder", asked)
    assert (completion.text, completion.endpoint.base_url) == ("from f16", f16.base_url)
    assert job.models_used == ("the-f16",)


async def test_nobody_there_is_said_at_once_with_every_url(roles_for, refused, asked):
    urls = [refused(), refused(), refused()]
    roles = roles_for(urls[0], f16=urls[1], q4=urls[2], at_start=Patience(), hint="Run ./kitty up.")
    began = time.monotonic()
    with pytest.raises(ModelUnavailable) as caught:
        await roles.start_job().complete("coder", asked)
    assert time.monotonic() - began < AT_ONCE_SEC
    assert caught.value.urls_tried == tuple(urls)
    assert all(url in str(caught.value) for url in urls)
    assert "Run ./kitty up." in str(caught.value)


async def test_two_roles_on_one_server_are_one_attempt(roles_for, refused, asked):
    url = refused()
    with pytest.raises(ModelUnavailable) as caught:
        await roles_for(url, f16=url + "/", q4=url + "/v1").start_job().complete("q4", asked)
    assert len(caught.value.urls_tried) == 1


async def test_the_preferred_server_is_tried_again_by_the_next_job(serve, roles_for, asked):
    coder, f16 = await serve("coder"), await serve("f16")
    roles = roles_for(coder, f16=f16)
    await coder.stop()
    first = roles.start_job()
    assert [(await first.complete("coder", asked)).text for _ in range(2)] == ["f16", "f16"]
    await coder.start()
    assert (await first.complete("coder", asked)).text == "f16"
    assert (await roles.start_job().complete("coder", asked)).text == "coder"


async def test_a_server_lost_in_the_middle_of_an_answer_is_awaited_and_asked_again(serve, roles_for, asked):
    server = await serve([Reply("a whole answer", drop_after=1), "a whole answer"])
    heard: list[str] = []
    begun = asyncio.Event()

    def hear(piece: str) -> None:
        heard.append(piece)
        begun.set()

    job = roles_for(server, mid_job=Patience(lost_sec=5)).start_job()
    call = asyncio.create_task(job.complete("coder", asked, on_delta=hear))
    await asyncio.wait_for(begun.wait(), 5)
    await server.stop()
    await asyncio.sleep(0.3)
    await server.start()
    assert (await call).text == "".join(heard) == "a whole answer"


async def test_a_server_lost_for_good_is_followed_by_the_next_role(serve, roles_for, asked):
    coder, f16 = await serve("coder"), await serve("f16")
    job = roles_for(coder, f16=f16, mid_job=Patience(lost_sec=0.3)).start_job()
    await job.complete("coder", asked)
    await coder.stop()
    assert (await job.complete("coder", asked)).text == "f16"
    assert job.models_used == ("scripted",)


async def test_a_server_that_always_drops_this_answer_is_not_asked_for_ever(serve, roles_for, asked):
    server = await serve(Reply("a whole answer", drop_after=1))
    with pytest.raises(ModelUnavailable):
        await roles_for(server).start_job().complete("coder", asked)
    assert len(server.generations) == 3


async def test_two_concurrent_jobs_do_not_mix(serve, roles_for):
    server = await serve(lambda messages: messages[-1]["content"] * 50, chunk_chars=5, delay_sec=0.001)
    roles = roles_for(server)

    async def run(word: str) -> str:
        heard: list[str] = []
        prompt = Prompt("", (Turn("user", word),))
        completion = await roles.start_job().complete("coder", prompt, on_delta=heard.append)
        assert completion.text == "".join(heard)
        return completion.text

    assert await asyncio.gather(run("left "), run("right ")) == ["left " * 50, "right " * 50]


async def test_a_job_may_name_an_alias_or_a_base_url(serve, roles_for, asked):
    coder, q4 = await serve("coder"), await serve("q4")
    roles = roles_for(Endpoint(coder.base_url, alias="kitty-coder"), q4=Endpoint(q4.base_url, alias="kitty-q4"))
    assert (await roles.start_job("kitty-q4").complete("coder", asked)).text == "q4"
    assert (await roles.start_job(q4.base_url).complete("coder", asked)).text == "q4"
    assert (await roles.start_job("another").complete("coder", asked)).text == "coder"
    assert coder.generations[-1].body["model"] == "another"


async def test_endpoints_may_be_found_when_they_are_needed(serve, asked):
    server = await serve("started late")
    wanted: list[tuple[str, str | None]] = []

    async def resolve(role: str, model: str | None) -> list[Endpoint]:
        wanted.append((role, model))
        return [Endpoint(server.base_url)]

    roles = ModelRoles(resolve)
    assert (await roles.health())["coder"] == "not_started"
    assert wanted == []
    assert (await roles.start_job().complete("coder", asked)).text == "started late"
    assert (await roles.health())["coder"] == "ok"
    assert wanted == [("coder", None)]
    await roles.aclose()


async def test_no_endpoint_at_all_is_unavailable(roles_for, asked):
    with pytest.raises(ModelUnavailable, match="Configure one"):
        await roles_for(hint="Configure one.").start_job().complete("coder", asked)


async def test_health_is_quick_and_generates_nothing(serve, roles_for, refused):
    ok, loading = await serve(), await serve(loading_sec=60)
    roles = roles_for(ok, f16=loading, q4=refused())
    began = time.monotonic()
    assert await roles.health() == {"coder": "ok", "f16": "loading", "q4": "down"}
    assert time.monotonic() - began < AT_ONCE_SEC
    assert ok.generations == loading.generations == []


async def test_a_silent_server_is_soon_down(roles_for):
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    began = time.monotonic()
    found = await roles_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}").health()
    assert time.monotonic() - began < AT_ONCE_SEC
    assert set(found.values()) == {"down"}
    server.close()


def test_the_scripted_model_runs_beside_synchronous_code(asked):
    with ScriptedModel("yes").threaded() as server:

        async def once() -> str:
            roles = ModelRoles({"coder": Endpoint(server.base_url)})
            try:
                return (await roles.start_job().complete("coder", asked)).text
            finally:
                await roles.aclose()

        assert asyncio.run(once()) == "yes"


@pytest.mark.parametrize("dialect", ["openai", "completion"])
async def test_what_else_a_token_could_have_been_is_told_where_it_is_asked_for(serve, roles_for, asked, dialect):
    others = {"yes": -0.1, "no": -2.5}
    server = await serve(Reply("yes", alternatives={"yes": others}), openai=dialect == "openai")
    job = roles_for(server).start_job()
    [token] = (await job.complete("coder", asked, Sampling(top_logprobs=5))).tokens
    assert (token.text, token.alternatives) == ("yes", others)
    assert (await job.complete("coder", asked)).tokens == ()
