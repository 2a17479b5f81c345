"""The programs of the stack as processes: the services, each with a log of its own, and the embedded model server."""

import asyncio
import contextlib
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_cli.stack_plan import EnginePlan, Program
from kitty_cli.stack_record import ProgramRecord, log_of
from kitty_cli.tail import fresh

STOP_WITHIN_SEC = 10.0
POLL_SEC = 0.1


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


def record_of(name: str, pid: int, base_url: str, log: Path) -> ProgramRecord:
    """What is known of a program that was just started."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        created = time.time()  # it has ended already; its exit status will tell
    return ProgramRecord(name, pid, created, base_url, str(log), "starting", 0)
