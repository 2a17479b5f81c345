"""`python -m kitty_cli.supervising`: keeps the programs of the stack running until it is told to stop.

plan on stdin → model server → programs, all at once ─┐
                   ↑                ↑                 │ one that ends is started again, after a pause that doubles
                   └────────────────┴─────────────────┘
SIGTERM → the programs in reverse order → model server

What runs is on record (`stack.json`) at each change, so that `status` can show it, and `down` can end what a supervisor
that was killed has left behind. Exit status 3: a program ended at its start because a setting is wrong.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_cli.exit_codes import ExitCode
from kitty_cli.stack_plan import EnginePlan, Program, StackPlan
from kitty_cli.stack_record import ProgramRecord, StackRecord, log_of, write_stack
from kitty_cli.tail import fresh

FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC = 0.5, 30.0
STEADY_AFTER_SEC = 60.0
"""A program that ran so long begins again with the first pause."""
STOP_WITHIN_SEC = 10.0
POLL_SEC = 0.1


class Child(Protocol):
    """Something that is started, ends, and is started again."""

    name: str

    async def start(self) -> ProgramRecord:
        """Returns when it was started, not when it answers."""

    async def answers(self) -> bool:
        """Whether it is ready for work."""

    async def ended(self) -> int:
        """Returns its exit status once it has ended."""

    async def stop(self) -> None:
        """Returns when it is gone."""


class ServiceChild:
    """A service: `python -m module`, its output in a log file of its own."""

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self._program = program
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> ProgramRecord:
        log = fresh(log_of(self.name))
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                self._program.module,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=dict(self._program.env),
                start_new_session=True,  # Ctrl-C is for the supervisor, which then stops them in order
            )
        return record_of(self.name, self._process.pid, self._program.base_url, log)

    async def answers(self) -> bool:
        from kitty_cli.client import healthz

        return await asyncio.to_thread(healthz, self._program.base_url) is not None

    async def ended(self) -> int:
        assert self._process is not None, "start() comes first"
        return await self._process.wait()

    async def stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_WITHIN_SEC)
            except TimeoutError:
                process.kill()
                await process.wait()


class EngineChild:
    """The embedded model server. Started again it has the same address and key, so that the programs need not know."""

    name = "model"

    def __init__(self, plan: EnginePlan) -> None:
        from kitty_models.machine import Machine, choose
        from kitty_models.serve import EmbeddedServer

        advice = choose(Machine.inspect())
        self._plan = plan
        self._server = EmbeddedServer(
            Path(plan.model_path),
            plan.alias,
            threads=advice.threads,
            n_ctx=advice.n_ctx,
            port=plan.port,
            api_key=plan.api_key,
            log=log_of(self.name),
        )

    async def start(self) -> ProgramRecord:
        await self._server.stop()  # what one that ended has left open
        log = fresh(log_of(self.name))
        await self._server.start(wait=False)
        assert self._server.pid is not None, "it was just started"
        return record_of(self.name, self._server.pid, f"http://127.0.0.1:{self._plan.port}", log)

    async def answers(self) -> bool:
        from kitty_models.reach import reachable

        return (await reachable(f"http://127.0.0.1:{self._plan.port}", self._plan.api_key)).state == "ok"

    async def ended(self) -> int:
        while self._server.alive:  # noqa: ASYNC110 -- a process of another thread's: there is no event to wait for
            await asyncio.sleep(POLL_SEC)
        return 1

    async def stop(self) -> None:
        await self._server.stop()


class Supervisor:
    """Keeps `children` running."""

    def __init__(
        self,
        children: Sequence[Child],
        tell: Callable[[StackRecord], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`tell` is given the whole record at each change; `sleep` waits so many seconds."""
        self._children = children
        self._tell = tell
        self._sleep = sleep
        me = psutil.Process()
        self._record = StackRecord(pid=me.pid, created=me.create_time(), programs=())
        self.failed: str | None = None
        """The program whose settings are wrong, if that ended the stack."""

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set, or a program cannot be started at all, and everything is gone."""
        self._tell(self._record)
        keepers = [asyncio.create_task(self._keep(child, stop)) for child in self._children]
        try:
            await stop.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            for child in reversed(self._children):
                await child.stop()
                if child.name != self.failed:
                    self._note(child.name, state="stopped")

    async def _keep(self, child: Child, stop: asyncio.Event) -> None:
        restarts, pause = 0, FIRST_PAUSE_SEC
        while True:
            began = time.monotonic()
            self._put(replace(await child.start(), restarts=restarts))
            watcher = asyncio.create_task(self._watch(child))
            try:
                status = await child.ended()
                was_ready = watcher.done()
            finally:
                watcher.cancel()
            if status == ExitCode.CONFIGURATION and not was_ready:
                self.failed = child.name
                self._note(child.name, state="failed")
                stop.set()
                return
            if time.monotonic() - began > STEADY_AFTER_SEC:
                pause = FIRST_PAUSE_SEC
            restarts += 1
            self._note(child.name, state=f"ended with {status}, starts again in {pause:g} s", restarts=restarts)
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SEC)

    async def _watch(self, child: Child) -> None:
        while not await child.answers():
            await self._sleep(POLL_SEC)
        self._note(child.name, state="running")

    def _put(self, program: ProgramRecord) -> None:
        others = {other.name: other for other in self._record.programs}
        self._record = replace(self._record, programs=tuple((others | {program.name: program}).values()))
        self._tell(self._record)

    def _note(self, name: str, **changes: object) -> None:
        for program in self._record.programs:
            if program.name == name:
                self._put(replace(program, **changes))  # type: ignore[arg-type]  # the callers name its fields


def record_of(name: str, pid: int, base_url: str, log: Path | None) -> ProgramRecord:
    """What is known of a program that was just started."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        created = time.time()  # it has ended already; its exit status will tell
    return ProgramRecord(name, pid, created, base_url, str(log) if log else None, "starting", 0)


async def supervise(plan: StackPlan) -> ExitCode:
    """Runs the stack until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine: list[Child] = [EngineChild(plan.engine)] if plan.engine else []

    def tell(record: StackRecord) -> None:
        write_stack(replace(record, workspace=plan.workspace, bind=plan.bind))

    supervisor = Supervisor([*engine, *map(ServiceChild, plan.programs)], tell)
    await supervisor.run(stop)
    return ExitCode.CONFIGURATION if supervisor.failed else ExitCode.VERIFIED


def main() -> None:
    plan = StackPlan.from_json(sys.stdin.read())
    sys.exit(asyncio.run(supervise(plan)))


if __name__ == "__main__":
    main()
