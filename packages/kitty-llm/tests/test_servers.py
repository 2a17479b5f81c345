"""Several servers of one role, driven through `JobModels.complete`, over real HTTP."""

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from kitty_llm import AT_JOB_START, MID_JOB, Endpoint, ModelUnavailable, Patience
from kitty_llm.testing import Reply, ScriptedModel

AT_ONCE_SEC = 5
"""Far below what the contract gives a lost server, and room for a busy machine."""
AS_OPERATED = {"at_start": AT_JOB_START, "mid_job": MID_JOB}
LONG = {"script": "a long answer", "chunk_chars": 4, "delay_sec": 0.05}


async def ask(job, prompt, role="coder"):
    return (await job.complete(role, prompt)).endpoint.base_url


async def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def under_way(calls, servers):
    """These calls, begun and at work at the servers, which answer nothing meanwhile."""
    for server in servers:
        server.script = Reply("never", hang_after=0)
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        await until(lambda: sum(server.hanging for server in servers) == len(tasks))
        for server in servers:
            server.script = "ok"
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: not any(server.hanging for server in servers))


def calls_at(roles, prompt, *servers):
    """One call under way for each server named, of a job that wants just that one."""
    calls = [ask(roles.start_job(server.base_url), prompt) for server in servers]
    return under_way(calls, list({server.port: server for server in servers}.values()))


async def test_ten_jobs_at_once_are_spread_evenly(serve, roles_for, asked):
    one, two = await serve(), await serve()
    roles = roles_for([one, two], **AS_OPERATED)
    async with under_way([ask(roles.start_job(), asked) for _ in range(10)], [one, two]):
        assert (one.hanging, two.hanging) == (5, 5)


async def test_a_server_with_more_slots_gets_more_of_the_jobs(serve, roles_for, asked):
    small, large = await serve(), await serve(slots=4)
    roles = roles_for([small, large], **AS_OPERATED)
    async with under_way([ask(roles.start_job(), asked) for _ in range(10)], [small, large]):
        assert (small.hanging, large.hanging) == (2, 8)


async def test_a_job_stays_with_its_server_over_its_calls(serve, roles_for, asked):
    one, two = await serve(), await serve()
    roles = roles_for([one, two])
    jobs = [roles.start_job(), roles.start_job()]
    homes = [await ask(job, asked) for job in jobs]
    assert homes == [one.base_url, two.base_url]
    for _ in range(4):
        assert await asyncio.gather(*(ask(job, asked) for job in jobs)) == homes
        assert await ask(jobs[1], asked) == two.base_url


async def test_a_job_stays_while_its_server_has_a_free_slot_and_leaves_it_when_another_has(serve, roles_for, asked):
    one, two = await serve(slots=2), await serve(slots=2)
    roles = roles_for([one, two], **AS_OPERATED)
    job = roles.start_job()
    assert await ask(job, asked) == one.base_url
    async with calls_at(roles, asked, one):
        assert await ask(job, asked) == one.base_url
    async with calls_at(roles, asked, one, one, two, two):
        assert await ask(job, asked) == one.base_url
    async with calls_at(roles, asked, one, one, two):
        assert await ask(job, asked) == two.base_url
    assert await ask(job, asked) == two.base_url


async def test_jobs_that_follow_each_other_go_to_the_first_of_the_list(serve, roles_for, asked):
    one, two = await serve(), await serve()
    roles = roles_for([one, two])
    assert {await ask(roles.start_job(), asked) for _ in range(4)} == {one.base_url}


async def test_the_calls_of_one_job_at_once_are_spread_too(serve, roles_for, asked):
    one, two = await serve(), await serve()
    job = roles_for([one, two], **AS_OPERATED).start_job()
    async with under_way([ask(job, asked) for _ in range(2)], [one, two]):
        assert (one.hanging, two.hanging) == (1, 1)


async def test_a_server_killed_between_two_calls_is_replaced_at_once_and_used_again_later(serve, roles_for, asked):
    one, two, f16 = await serve("same"), await serve("same"), await serve("other")
    roles = roles_for([one, two], f16=f16, **AS_OPERATED)
    job = roles.start_job()
    assert await ask(job, asked) == one.base_url
    await one.stop()
    began = time.monotonic()
    assert await ask(job, asked) == two.base_url
    assert time.monotonic() - began < AT_ONCE_SEC
    await one.start()
    deadline = time.monotonic() + 20
    while await ask(roles.start_job(), asked) != one.base_url:
        assert time.monotonic() < deadline, "the server that came back is not used"
    assert await ask(job, asked) == two.base_url
    assert not f16.generations


async def test_a_server_that_failed_is_not_tried_first_by_the_next_jobs(serve, roles_for, asked):
    one, two = await serve(), await serve()
    roles = roles_for([one, two], at_start=Patience(lost_sec=3))
    job = roles.start_job()
    assert await ask(job, asked) == one.base_url
    await one.stop()
    assert await ask(job, asked) == two.base_url
    began = time.monotonic()
    assert {await ask(roles.start_job(), asked) for _ in range(3)} == {two.base_url}
    assert time.monotonic() - began < 3


async def test_a_server_killed_in_the_middle_of_an_answer_is_replaced_and_no_word_is_told_twice(
    serve, roles_for, asked
):
    one, two = await serve(Reply("a whole answer", hang_after=1)), await serve("a whole answer")
    heard: list[str] = []
    job = roles_for([one, two], **AS_OPERATED).start_job()
    call = asyncio.create_task(job.complete("coder", asked, on_delta=heard.append))
    await until(lambda: heard)
    began = time.monotonic()
    await one.stop()
    completion = await call
    assert time.monotonic() - began < AT_ONCE_SEC
    assert (completion.text, completion.endpoint.base_url) == ("a whole answer", two.base_url)
    assert "".join(heard) == "a whole answer"


async def test_of_ten_jobs_none_fails_when_one_server_dies_under_them(serve, roles_for, asked):
    one, two = await serve(**LONG), await serve(**LONG)
    roles = roles_for([one, two], **AS_OPERATED)
    calls = [asyncio.create_task(ask(roles.start_job(), asked)) for _ in range(10)]
    await until(lambda: one.streams_open == two.streams_open == 5)
    await one.stop()
    assert Counter(await asyncio.gather(*calls)) == {two.base_url: 10}


async def test_the_last_server_of_a_role_is_awaited_before_the_next_role(serve, roles_for, refused, asked):
    one, f16 = await serve("coder"), await serve("f16")
    job = roles_for([refused(), one], f16=f16, mid_job=Patience(lost_sec=20)).start_job()
    assert await ask(job, asked) == one.base_url
    await one.stop()
    call = asyncio.create_task(ask(job, asked))
    await asyncio.sleep(0.7)
    assert not call.done()
    await one.start()
    assert await call == one.base_url
    assert not f16.generations


async def test_a_role_lost_for_good_is_followed_by_the_next_after_one_wait(serve, roles_for, asked):
    one, two, f16 = await serve(), await serve(), await serve()
    job = roles_for([one, two], f16=f16, mid_job=Patience(lost_sec=1.0)).start_job()
    assert await ask(job, asked) == one.base_url
    await asyncio.gather(one.stop(), two.stop())
    began = time.monotonic()
    assert await ask(job, asked) == f16.base_url
    assert 1.0 < time.monotonic() - began < AT_ONCE_SEC


async def test_a_role_that_refuses_is_followed_by_the_next_at_once(serve, roles_for, refused, asked):
    f16 = await serve()
    began = time.monotonic()
    assert await ask(roles_for([refused(), refused()], f16=f16, **AS_OPERATED).start_job(), asked) == f16.base_url
    assert time.monotonic() - began < AT_ONCE_SEC


async def test_nobody_there_names_every_server_once(roles_for, refused, asked):
    urls = [refused() for _ in range(4)]
    roles = roles_for([urls[0], urls[1], urls[0] + "/v1"], f16=[urls[1], urls[2]], q4=urls[3], **AS_OPERATED)
    began = time.monotonic()
    with pytest.raises(ModelUnavailable) as caught:
        await roles.start_job().complete("coder", asked)
    assert caught.value.urls_tried == tuple(urls)
    assert time.monotonic() - began < AT_ONCE_SEC


async def test_a_loading_server_is_not_waited_for_while_another_is_well(serve, roles_for, asked):
    loading, well = await serve(loading_sec=60), await serve()
    roles = roles_for([loading, well], **AS_OPERATED)
    began = time.monotonic()
    assert await ask(roles.start_job(), asked) == well.base_url
    assert time.monotonic() - began < AT_ONCE_SEC
    assert not loading.generations


async def test_a_loading_server_is_waited_for_where_no_other_is_well(serve, roles_for, refused, asked):
    loading, f16 = await serve(loading_sec=1.0), await serve()
    assert await ask(roles_for([refused(), loading], f16=f16).start_job(), asked) == loading.base_url
    assert not f16.generations


async def test_servers_that_are_all_started_again_are_waited_for_by_a_new_job_too(serve, roles_for, asked):
    one, two, f16 = await serve(), await serve(), await serve()
    roles = roles_for([one, two], f16=f16)
    await ask(roles.start_job(), asked)
    for server in (one, two):
        await server.stop()
        server.loading_sec = 1.5
        await server.start()
    assert await ask(roles.start_job(), asked) in {one.base_url, two.base_url}
    assert not f16.generations


async def test_servers_that_only_seem_to_be_down_are_asked_before_any_is_waited_for(serve, roles_for, refused, asked):
    class Shy(ScriptedModel):
        def is_loading(self, path):
            if path == "/health":
                raise ConnectionError
            return False

    async with Shy() as shy:
        assert await ask(roles_for([refused(), shy]).start_job(), asked) == shy.base_url
        one = await serve()
        job = roles_for([one, shy], **AS_OPERATED).start_job()
        assert await ask(job, asked) == one.base_url
        await one.stop()
        began = time.monotonic()
        assert await ask(job, asked) == shy.base_url
        assert time.monotonic() - began < AT_ONCE_SEC


async def test_a_silent_server_gives_way_to_the_next_of_its_role(serve, roles_for, asked):
    silent, well = await serve(Reply("never", hang_after=0)), await serve()
    roles = roles_for([silent, well], at_start=Patience(stall_sec=0.3))
    assert await ask(roles.start_job(), asked) == well.base_url


async def test_an_alias_means_all_servers_of_its_role_and_an_address_that_one(serve, roles_for, asked):
    one, two, q4 = await serve(), await serve(), await serve()
    coders = [Endpoint(server.base_url, alias="kitty-coder") for server in (one, two)]
    roles = roles_for(coders, q4=Endpoint(q4.base_url, alias="kitty-q4"), **AS_OPERATED)
    for alias in ("kitty-coder", "another"):
        async with under_way([ask(roles.start_job(alias), asked) for _ in range(2)], [one, two]):
            assert (one.hanging, two.hanging) == (1, 1)
        assert one.generations[-1].body["model"] == two.generations[-1].body["model"] == alias
    assert {await ask(roles.start_job(two.base_url), asked) for _ in range(3)} == {two.base_url}


async def test_the_health_of_a_role_is_its_best_server_s(serve, roles_for, refused):
    ok, loading, gone = await serve(), await serve(loading_sec=60), refused()
    roles = roles_for([gone, ok], f16=[loading, gone], q4=[gone, gone])
    assert await roles.health() == {"coder": "ok", "f16": "loading", "q4": "down"}
    by_server = await roles.health_by_server()
    assert by_server["coder"] == {gone: "down", ok.base_url: "ok"}
    assert list(by_server["f16"]) == [loading.base_url, gone]


async def test_slots_are_those_of_the_first_role_that_is_well(serve, roles_for, refused):
    two, three, unsaid = await serve(slots=2), await serve(slots=3), await serve(props=False)
    assert await roles_for([two, refused(), three], f16=unsaid).slots() == 5
    assert await roles_for([two, unsaid], q4=three).slots() == 3
    assert await roles_for(refused(), f16=refused(), q4=[three, two]).slots() == 5
    assert await roles_for(refused(), q4=refused()).slots() == 1
    assert await roles_for().slots() == 1


async def test_slots_are_kept_a_while_and_told_soon_whatever_the_servers_do(serve, roles_for):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    deaf = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{deaf.sockets[0].getsockname()[1]}"
    server = await serve(slots=4)
    roles = roles_for([url, server])
    began = time.monotonic()
    assert await roles.slots() == 4
    assert time.monotonic() - began < 1
    asked_so_far = len(server.requests)
    assert await asyncio.gather(*(roles.slots() for _ in range(5))) == [4] * 5
    assert len(server.requests) == asked_so_far
    deaf.close()
    assert await roles_for(await serve(html=True)).slots() == 1
