"""`python -m kitty_cli.supervising`: keeps the programs of the stack running until it is told to stop.

plan on stdin → model server → programs, all at once ─┐
                   ↑                ↑                 │ one that ends is started again, after a pause that doubles
                   └────────────────┴─────────────────┘
SIGTERM → the programs in reverse order → model server

What runs is on record (`stack.json`) at each change, so that `status` can show it, and `down` can end what a supervisor
that was killed has left behind. Exit status 3: a program ended before it ever answered, or at a later start because a
setting is wrong; a program whose process cannot even be made ends the stack as well, unless it ran before: then that is
tried again like any other start.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_cli.exit_codes import ExitCode
from kitty_cli.stack_children import EngineChild, ServiceChild
from kitty_cli.stack_plan import StackPlan
from kitty_cli.stack_record import FAILED, ProgramRecord, StackRecord, write_stack
from kitty_models.errors import ModelsError

FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC = 0.5, 30.0
STEADY_AFTER_SEC = 60.0
"""A program that ran so long begins again with the first pause."""
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


class Supervisor:
    """Keeps `children` running."""

    def __init__(
        self,
        children: Sequence[Child],
        tell: Callable[[StackRecord], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` is given the whole record at each change; `sleep` waits so many seconds; `clock` counts them."""
        self._children = children
        self._tell = tell
        self._sleep = sleep
        self._clock = clock
        me = psutil.Process()
        self._record = StackRecord(pid=me.pid, created=me.create_time(), programs=())
        self.failed: str | None = None
        """The program that did not come up, if that ended the stack."""

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set, or a program does not come up, and everything is gone.

        Raises:
            OSError, ModelsError: a program cannot be started at all. Everything is gone then, too.
        """
        self._tell(self._record)
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
        for keeper in keepers:
            keeper.add_done_callback(lambda _: stop.set())
        try:
            await stop.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            results = await asyncio.gather(*keepers, return_exceptions=True)
            for child in reversed(self._children):
                await child.stop()
                if child.name != self.failed:
                    self._note(child.name, state="stopped")
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _keep(self, child: Child) -> None:
        restarts, pause = 0, FIRST_PAUSE_SEC
        while True:
            began = self._clock()
            try:
                self._put(replace(await child.start(), restarts=restarts))
            except (OSError, ModelsError) as error:
                if not restarts:
                    raise
                how = f"could not be started ({error})"
            else:
                status, was_ready = await self._life_of(child)
                if not was_ready and (status == ExitCode.CONFIGURATION or not restarts):
                    self.failed = child.name
                    self._note(child.name, state=failed_with(status))
                    return
                how = f"ended with {status}"
            if self._clock() - began > STEADY_AFTER_SEC:
                pause = FIRST_PAUSE_SEC
            restarts += 1
            self._note(child.name, state=f"{how}, starts again in {pause:g} s", restarts=restarts)
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SEC)

    async def _life_of(self, child: Child) -> tuple[int, bool]:
        """Its exit status, and whether it had been ready."""
        watcher = asyncio.create_task(self._watch(child))
        try:
            return await child.ended(), watcher.done()
        finally:
            watcher.cancel()

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


def failed_with(status: int) -> str:
    """The state of a program that did not come up; without its status where that says that a setting is wrong."""
    if status == ExitCode.CONFIGURATION:
        return FAILED
    return f"{FAILED} by signal {-status}" if status < 0 else f"{FAILED} with status {status}"


def children_of(plan: StackPlan) -> list[Child]:
    """What is to be kept running, in the order in which it is needed."""
    engine: list[Child] = [EngineChild(plan.engine)] if plan.engine else []
    return [*engine, *map(ServiceChild, plan.programs)]


async def supervise(plan: StackPlan) -> ExitCode:
    """Runs the stack until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def tell(record: StackRecord) -> None:
        put_on_record(replace(record, workspace=plan.workspace, bind=plan.bind))

    supervisor = Supervisor(children_of(plan), tell)
    await supervisor.run(stop)
    return ExitCode.CONFIGURATION if supervisor.failed else ExitCode.VERIFIED


def put_on_record(record: StackRecord) -> None:
    """A disk that is full must not end what runs: the record is then an old one, and the log says so."""
    try:
        write_stack(record)
    except OSError as error:
        with contextlib.suppress(OSError):  # the log may lie on the same disk
            print(f"The record of the stack cannot be written: {error}", file=sys.stderr, flush=True)


def main() -> None:
    plan = StackPlan.from_json(sys.stdin.read())
    sys.exit(asyncio.run(supervise(plan)))


if __name__ == "__main__":
    main()
