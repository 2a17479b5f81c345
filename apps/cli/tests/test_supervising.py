"""Keeping programs running, with a scripted child and a clock that is not waited for."""

import asyncio
from dataclasses import replace

from kitty_cli.stack_plan import EnginePlan, Program, StackPlan
from kitty_cli.stack_record import ProgramRecord
from kitty_cli.supervising import EngineChild, Supervisor


class ScriptedChild:
    """Ends with each of `statuses` in turn, then stays."""

    name = "brain"

    def __init__(self, *statuses: int, answers: bool = True) -> None:
        self.statuses = list(statuses)
        self.is_ready = answers
        self.starts = 0
        self.stopped = False

    async def start(self) -> ProgramRecord:
        self.starts += 1
        return ProgramRecord(self.name, 1, 0.0, "http://127.0.0.1:1", None, "starting", 0)

    async def answers(self) -> bool:
        return self.is_ready

    async def ended(self) -> int:
        await asyncio.sleep(0)  # lets the watcher ask once
        await asyncio.sleep(0)
        return self.statuses.pop(0) if self.statuses else await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True


class Pauses(list[float]):
    """Every pause that was asked for, none of which is waited for."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)


async def run_until(supervisor: Supervisor, holds) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(supervisor.run(stop))
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 -- the condition is the test's own
            await asyncio.sleep(0)
    stop.set()
    await running


async def test_the_pause_before_another_start_doubles_up_to_a_bound():
    child, pauses = ScriptedChild(*[1] * 9), Pauses()
    await run_until(Supervisor([child], lambda record: None, pauses.sleep), lambda: child.starts == 10)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert child.stopped


async def test_each_change_is_told():
    told = []
    child = ScriptedChild(1)
    await run_until(Supervisor([child], told.append, Pauses().sleep), lambda: child.starts == 2 and told[-1].is_ready)
    states = [record.programs[0].state for record in told if record.programs]
    assert states == ["starting", "running", "ended with 1, starts again in 0.5 s", "starting", "running", "stopped"]
    assert told[-1].programs[0].restarts == 1


async def test_a_configuration_that_is_wrong_is_not_tried_again():
    child, other, told = ScriptedChild(3, answers=False), ScriptedChild(), []
    other.name = "gateway"
    supervisor = Supervisor([other, child], told.append, Pauses().sleep)
    async with asyncio.timeout(10):
        await supervisor.run(asyncio.Event())
    assert supervisor.failed == "brain"
    assert child.starts == 1
    assert other.stopped
    assert {program.name: program.state for program in told[-1].programs} == {"brain": "failed", "gateway": "stopped"}


async def test_status_3_after_it_answered_is_an_end_like_any_other():
    child = ScriptedChild(3)
    await run_until(Supervisor([child], lambda record: None, Pauses().sleep), lambda: child.starts == 2)


def test_a_plan_survives_the_pipe():
    program = Program("brain", "brain.main", 8000, {"KITTY_SERVICE_TOKEN": "t", "A": "ä\n"})
    plan = StackPlan((program, replace(program, name="gateway")), EnginePlan("/m.gguf", "kitty-coder", 8087, "k"))
    assert StackPlan.from_json(plan.to_json()) == plan
    assert StackPlan.from_json(StackPlan((program,)).to_json()).engine is None


def test_secrets_are_not_shown_by_a_plan():
    plan = StackPlan((Program("a", "a.main", 1, {"T": "secret"}),), EnginePlan("/m", "m", 2, "secret"))
    assert "secret" not in repr(plan)


async def test_the_model_server_logs_where_the_others_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "fake.gguf").write_bytes(b"GGUF and nothing else")
    child = EngineChild(EnginePlan(str(tmp_path / "fake.gguf"), "kitty-coder", 0, "the key of the model"))
    started = await child.start()
    log = tmp_path / "kitty" / "logs" / "model.log"
    assert started.log == str(log)
    async with asyncio.timeout(60):
        assert await child.ended() == 1
    await child.stop()
    assert "fake.gguf" in log.read_text()
    assert "the key of the model" not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
