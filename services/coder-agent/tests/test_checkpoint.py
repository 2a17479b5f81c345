"""The state of a job as text: what comes back is what went in, after each step of a real workflow."""

import asyncio
import json
from dataclasses import asdict

import pytest

from coder_agent.checkpoint import restored, saved
from coder_agent.coding_job import CodingJob
from coder_agent.decision import TIERS
from coder_agent.engine.records import Claim, Job
from coder_agent.gathering import evidence_of
from coder_agent.graph import build_graph, first_step, run_graph
from coder_agent.means import Means
from coder_agent.settings import Settings
from coder_agent.state import CodingState, Earlier, Task
from kitty_llm import Endpoint, ModelRoles
from kitty_llm.testing import ScriptedModel

WRONG = "```python\ndef add(a, b):\n    return a + c  # é\n```"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
CHECKS = "1, 2) == 3\nassert add(0, 5) == 5\nassert add(-1, 1) == 0\nassert add(10, 20) == 30\n"
REQUEST = "Write add(a, b) that returns the sum of two numbers"


def answer(messages):
    if "checks of" in messages[-2 if messages[-1]["role"] == "assistant" else -1]["content"]:
        return CHECKS
    return RIGHT if "Running it showed" in str(messages) else WRONG


async def states_of(task, sandbox):
    """The states that a job of `task` goes through."""
    seen = []

    async def on_state(state):
        seen.append(state)

    async with ScriptedModel(answer) as model:
        roles = ModelRoles({"coder": Endpoint(model.base_url)})
        means = Means(
            roles.start_job(), sandbox, Settings(_env_file=None), lambda event: None, lambda step, seconds: None
        )
        await run_graph(build_graph(), CodingState(task=task), means, on_state)
        await roles.aclose()
    return seen


async def test_after_each_step_what_comes_back_is_what_went_in(sandbox):
    earlier = Earlier("before", "x = 1\n", "solution.py", "def test(): pass\n")
    task = Task(REQUEST, TIERS["standard"], files={"a.txt": "é\u2028"}, deadline_sec=9.5, earlier=earlier)
    states = await states_of(task, sandbox)
    steps = [first_step(state) for state in states]
    assert steps[0] == "plan"
    assert {"write_code", "write_tests", "run_tests", "refine", "verify", "summarize"} <= set(steps)
    told_by_a_guest = states[-1] | CodingState(summary="\ud800\x00")
    for state in (*states, told_by_a_guest):
        text = saved(state)
        assert text.isascii()
        back = restored(text)
        assert back == state
        # Equality of candidates leaves out what their runs showed.
        assert [asdict(one) for one in back.get("candidates", ())] == [
            asdict(one) for one in state.get("candidates", ())
        ]
        assert first_step(back) == first_step(state)
        assert evidence_of(back) == evidence_of(state)


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"version": 0, "state": {}}', '{"version": 1, "state": 7}'])
async def test_what_another_version_wrote_is_refused_and_the_job_begins_again(text):
    with pytest.raises(ValueError, match=r"."):
        restored(text)
    body = json.dumps({"request": REQUEST, "tier": "fast"})
    claim = Claim(Job("j", "ann", "running", body, 0.0, started_at=5.0), "worker", taken_at=9.0, state=text)
    progress = await asyncio.to_thread(CodingJob(claim, None, Settings(_env_file=None))._begun)
    assert (progress.goes_on, progress.state["task"].request, progress.state["task"].tier) == (False, REQUEST, "fast")
    assert progress.seconds_before == 4.0
