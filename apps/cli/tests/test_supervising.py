"""Keeping programs running, with a scripted child and a clock that is not waited for."""

import asyncio
import subprocess
import sys
from dataclasses import replace

import pytest

from kitty_cli import stack_children
from kitty_cli.stack_children import EngineChild, ServiceChild
from kitty_cli.stack_plan import KINDS, EnginePlan, Program, StackPlan, plan_programs, with_engine
from kitty_cli.stack_record import ProgramRecord, StackRecord, log_of
from kitty_cli.supervising import STEADY_AFTER_SEC, Supervisor, children_of, put_on_record


class ScriptedChild:
    """Ends with each of `statuses` in turn, then stays."""

    name = "brain"

    def __init__(self, *statuses: int, answers: bool = True, refuses: tuple[int, ...] = ()) -> None:
        """`refuses`: the starts that fail, counted from 1."""
        self.statuses = list(statuses)
        self.refuses = refuses
        self.is_ready = answers
        self.starts = 0
        self.stopped = False

    async def start(self) -> ProgramRecord:
        self.starts += 1
        if self.starts in self.refuses:
            raise OSError("no memory")
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


async def test_a_program_that_ran_long_begins_again_with_the_first_pause():
    child, pauses, now = ScriptedChild(*[1] * 6), Pauses(), [0.0]

    async def ended() -> int:
        now[0] += STEADY_AFTER_SEC + 1 if child.starts == 4 else 1
        return await ScriptedChild.ended(child)

    child.ended = ended
    supervisor = Supervisor([child], lambda record: None, pauses.sleep, lambda: now[0])
    await run_until(supervisor, lambda: child.starts == 7)
    assert pauses == [0.5, 1, 2, 0.5, 1, 2]


async def test_programs_are_stopped_in_reverse_order():
    stopped, children = [], [ScriptedChild() for _ in range(3)]
    for name, child in zip("abc", children, strict=True):
        child.name = name

        async def stop(name: str = name) -> None:
            stopped.append(name)

        child.stop = stop
    await run_until(Supervisor(children, lambda record: None, Pauses().sleep), lambda: all(c.starts for c in children))
    assert stopped == ["c", "b", "a"]


async def test_one_that_ended_is_not_said_to_run_before_it_is_started_again():
    told, child = [], ScriptedChild(1, 1)

    async def sleep(seconds: float) -> None:
        child.is_ready = child.starts == 2 and "ended" in told[-1].programs[0].state
        for _ in range(5):
            await asyncio.sleep(0)

    await run_until(Supervisor([child], told.append, sleep), lambda: child.starts == 3 and told[-1].is_ready)
    states = [record.programs[0].state for record in told if record.programs]
    first = ["starting", "running", "ended with 1, starts again in 0.5 s"]
    assert states == [*first, "starting", "ended with 1, starts again in 1 s", "starting", "running", "stopped"]


async def test_a_start_that_fails_later_on_is_tried_again():
    told, pauses, child = [], Pauses(), ScriptedChild(1, refuses=(2, 3))
    await run_until(Supervisor([child], told.append, pauses.sleep), lambda: child.starts == 4 and told[-1].is_ready)
    assert pauses == [0.5, 1, 2]
    assert "could not be started (no memory), starts again in 1 s" in [record.programs[0].state for record in told[1:]]
    assert told[-1].programs[0].restarts == 3


async def test_a_program_that_cannot_be_started_at_all_ends_the_stack():
    child, other = ScriptedChild(refuses=(1,)), ScriptedChild()
    other.name = "gateway"
    async with asyncio.timeout(10):
        with pytest.raises(OSError, match="no memory"):
            await Supervisor([other, child], lambda record: None, Pauses().sleep).run(asyncio.Event())
    assert other.stopped


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


@pytest.mark.parametrize(("status", "state"), [(1, "failed with status 1"), (-9, "failed by signal 9")])
async def test_a_program_that_ends_before_it_ever_answered_ends_the_stack(status, state):
    child, other, told = ScriptedChild(status, answers=False), ScriptedChild(), []
    other.name = "gateway"
    supervisor = Supervisor([other, child], told.append, Pauses().sleep)
    async with asyncio.timeout(10):
        await supervisor.run(asyncio.Event())
    assert (supervisor.failed, child.starts, other.stopped) == ("brain", 1, True)
    assert {program.name: program.state for program in told[-1].programs} == {"brain": state, "gateway": "stopped"}


async def test_status_3_after_it_answered_is_an_end_like_any_other():
    child = ScriptedChild(3)
    await run_until(Supervisor([child], lambda record: None, Pauses().sleep), lambda: child.starts == 2)


async def test_a_service_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(stack_children, "STOP_WITHIN_SEC", 0.2)
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\nsignal.pause()\n"
    (tmp_path / "stubborn.py").write_text(f"import signal\n{deaf}")
    child = ServiceChild(Program("brain", "stubborn", 1, {"PYTHONPATH": str(tmp_path)}))
    started = await child.start()
    async with asyncio.timeout(20):
        while "deaf" not in log_of("brain").read_text():  # noqa: ASYNC110 -- another process writes it
            await asyncio.sleep(0.02)
        await child.stop()
        assert await child.ended() == -9
    assert not started.runs


def test_the_supervisor_says_by_its_exit_status_that_a_setting_is_wrong(tmp_path):
    (tmp_path / "refuses.py").write_text("raise SystemExit(3)")
    plan = StackPlan((Program("brain", "refuses", 1, {"PYTHONPATH": str(tmp_path)}),))
    command, env = [sys.executable, "-m", "kitty_cli.supervising"], {"XDG_STATE_HOME": str(tmp_path)}
    assert subprocess.run(command, input=plan.to_json().encode(), env=env, timeout=60, check=False).returncode == 3


def test_a_record_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "kitty" / "stack.json").mkdir(parents=True)
    put_on_record(StackRecord(1, 0.0, ()))
    assert "cannot be written" in capsys.readouterr().err


def test_the_model_server_is_kept_running_too_and_comes_first():
    programs = plan_programs({"KITTY_IDLE_STOP_SEC": "900", "KITTY_BIND": "0.0.0.0"}, "token")
    plan = with_engine(programs, "/m.gguf", "kitty-coder")
    assert [child.name for child in children_of(plan)] == ["model", *(kind.name for kind in KINDS)]
    assert len(children_of(plan)) == plan.size


def test_every_program_is_told_all_addresses_and_all_but_the_gateway_listen_here_alone():
    programs = plan_programs({"KITTY_IDLE_STOP_SEC": "900", "KITTY_BIND": "0.0.0.0", "BRAIN_PORT": "81"}, "token")
    plan = with_engine(programs, "/m.gguf", "kitty-coder")
    engine = plan.engine
    for program in plan.programs:
        env = program.env
        assert (env["BRAIN_BASE"], env["GATEWAY_BASE"]) == ("http://127.0.0.1:81", "http://127.0.0.1:8080")
        assert (env["CODER_AGENT_BASE"], env["BROKER_BASE"]) == ("http://127.0.0.1:8092", "http://127.0.0.1:8777")
        bind = "0.0.0.0" if program.name == "gateway" else "127.0.0.1"  # the one door is the person's to open
        assert (env["KITTY_BIND"], env["KITTY_SERVICE_TOKEN"]) == (bind, "token")
        assert "KITTY_IDLE_STOP_SEC" not in env
        bases = {env[f"LLAMACPP_{role}_BASE"] for role in ("Q4", "F16", "CODER")}
        assert (bases, env["LLAMACPP_API_KEY"]) == ({f"http://127.0.0.1:{engine.port}"}, engine.api_key)
    assert engine.api_key != with_engine(programs, "/m.gguf", "kitty-coder").engine.api_key


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
