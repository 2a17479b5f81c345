"""Where the models are: several servers of one role, and how many calls all of them can work on at once."""

from contextlib import asynccontextmanager

import pytest

from coder_agent.backends import Backends
from coder_agent.testing import running_agent
from kitty_llm import Prompt, Turn
from kitty_llm.testing import ScriptedModel
from kitty_models.errors import BadSetting

NOBODY = "http://127.0.0.1:9"


@asynccontextmanager
async def started(env, **options):
    backends = Backends(env, **options)
    await backends.start()
    try:
        yield backends
    finally:
        await backends.stop()


async def test_a_variable_may_name_several_servers_whose_slots_add_up():
    async with ScriptedModel("one", slots=2) as one, ScriptedModel("two", slots=3) as two:
        env = {"LLAMACPP_CODER_BASE": f"{one.base_url}, {two.base_url},{NOBODY}", "LLAMACPP_API_KEY": "k"}
        async with started(env) as backends:
            assert await backends.slots() == 5
            assert (await backends.health())["coder"] == "ok"
            job = backends.roles.start_job()
            answer = await job.complete("coder", Prompt("", (Turn("user", "Say one."),)), None)
        assert answer.text == "one"
        assert one.generations[0].headers["authorization"] == "Bearer k"
        assert one.generations[0].body["model"] == "kitty-coder"


async def test_where_nobody_answers_one_call_is_what_there_is_room_for():
    async with started({"LLAMACPP_CODER_BASE": NOBODY, "LLAMACPP_Q4_BASE": NOBODY}) as backends:
        assert await backends.slots() == 1


async def test_the_embedded_server_has_the_slots_it_is_started_with(tmp_path):
    async with started({"KITTY_MODEL_DIR": str(tmp_path)}, wanted="kitty-coder-small") as backends:
        assert backends.embedded is not None
        assert await backends.slots() == 1


async def test_one_bad_address_of_several_stops_the_start():
    with pytest.raises(BadSetting, match="LLAMACPP_F16_BASE: 'two words' is not an address"):
        await Backends({"LLAMACPP_F16_BASE": f"{NOBODY},two words"}).start()


def test_a_service_is_well_while_one_server_of_a_role_is():
    with ScriptedModel("unused").threaded() as model:
        env = {"LLAMACPP_CODER_BASE": f"{NOBODY},{model.base_url}"}
        with running_agent(NOBODY, env=env) as agent:
            health = agent.get("/healthz").json()
    assert health["llm_servers"] == {"q4": "down", "f16": "down", "coder": "ok"}
