"""The coder-agent: `python -m coder_agent.main`. The one place where its real parts are chosen.

settings → backends (models) ─┐
           sandbox ───────────┼─> runner (graph) ─> engine (database) ─> api
           metrics ───────────┘                       │                   │
audit trail → recorder ───────────────────────────────┴─> calls ──────────┘
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy import URL

from coder_agent import jobs_api
from coder_agent.api import create_router
from coder_agent.audit_rows import write_row
from coder_agent.backends import Backends, backends_of
from coder_agent.calls import Calls
from coder_agent.coding_job import CodingJob, unattended_endings
from coder_agent.engine.database import JobDatabase
from coder_agent.engine.engine import EngineSettings, JobEngine
from coder_agent.engine.tables import OWNER
from coder_agent.metrics import MeteredSandbox, Metrics
from coder_agent.runner import Runner
from coder_agent.settings import DAY_SEC, Settings
from kitty_core.audit import Recorder, SpooledAuditLog
from kitty_core.audit.late import LateAuditLog
from kitty_core.database import database_url, open_database
from kitty_core.errors import ConfigurationError
from kitty_core.logs import configure_logs
from kitty_core.service import LOOPBACK_HOSTS, Guard, create_service
from kitty_core.service_token import service_token
from kitty_core.serving import server_for
from kitty_core.settings import environment, read_settings
from kitty_models.errors import ModelsError
from kitty_sandbox import BubblewrapSandbox, Sandbox

log = structlog.get_logger()
IDLE_LOOK_SEC = 1.0
SWEEP_EVERY_SEC = 5.0


def create_app(
    settings: Settings,
    *,
    backends: Backends | None = None,
    sandbox: Sandbox | None = None,
    open_trail: Callable[[], SpooledAuditLog] | None = None,
    jobs_url: URL | None = None,
) -> FastAPI:
    """The service with its real parts; the last four are for tests that bring their own.

    Raises:
        ConfigurationError, ModelsError: a setting is wrong.
    """
    if not settings.is_loopback and not settings.kitty_service_token:
        raise ConfigurationError(
            f"KITTY_BIND={settings.kitty_bind} can be reached from other machines: set KITTY_SERVICE_TOKEN as well."
        )
    metrics = Metrics()
    models = backends or backends_of(settings, environment())
    own = BubblewrapSandbox(python=settings.sandbox_py_path or None, tier=settings.sandbox_tier)
    isolated = MeteredSandbox(sandbox or own, metrics)
    trail = LateAuditLog(open_trail or _open_trail)
    metrics.spool_rows.set_function(lambda: trail.waiting)
    recorder = Recorder(trail)
    calls = Calls(recorder)
    runner = Runner(models, isolated, settings, metrics)

    async def room() -> int:
        return settings.coder_jobs_at_once or await models.slots()

    engine = JobEngine(
        JobDatabase(open_database(jobs_url or database_url(environment(), OWNER))),
        EngineSettings(
            queue=settings.jobs_queue,
            queue_limit=settings.jobs_queue_limit,
            kept_sec=settings.jobs_kept_days * DAY_SEC,
            kept_jobs=settings.jobs_kept,
            lease_sec=settings.jobs_lease_sec,
        ),
        begin=lambda claim: CodingJob(claim, runner, settings),
        room=room,
        endings=unattended_endings(),
        on_end=lambda job: write_row(
            recorder, job, "service_stopped" if app.state.is_stopping() else "client_disconnected"
        ),
    )
    metrics.jobs_running.set_function(lambda: engine.worker.running)
    metrics.jobs_queued.set_function(lambda: engine.queued)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await models.start()
        trail.begin()
        engine.start()
        warming, sweep = asyncio.create_task(isolated.probe()), asyncio.create_task(_sweep(trail))
        try:
            yield
        finally:
            warming.cancel()
            sweep.cancel()
            await engine.stop()
            await recorder.finish()
            trail.close()
            own.close()
            await models.stop()

    hosts = {name.strip().lower() for name in settings.kitty_allowed_hosts.split(",") if name.strip()}
    app = create_service(
        "coder-agent",
        guard=Guard(
            allowed_hosts=LOOPBACK_HOSTS | hosts,
            service_token=service_token(settings.kitty_service_token),
            open_to_this_machine="/api/coding/" if settings.is_loopback else None,
        ),
        registry=metrics.registry,
        lifespan=lifespan,
        version=version("kitty-coder-agent"),
    )
    app.include_router(create_router(engine, models, isolated, settings, calls, trail))
    app.include_router(jobs_api.create_router(engine, settings, calls))
    app.state.engine = engine
    app.state.is_stopping = lambda: False
    app.state.trail = trail
    return app


def _open_trail() -> SpooledAuditLog:
    from kitty_core.audit.opening import open_audit  # half a second, which no answer waits for

    return open_audit(environment())


async def _sweep(trail: LateAuditLog) -> None:
    """Writes rows that wait, also where no further job comes."""
    while True:
        await asyncio.sleep(SWEEP_EVERY_SEC)
        await asyncio.to_thread(trail.drain)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, or until nothing was asked for `kitty_idle_stop_sec`."""
    app = create_app(settings)
    server = server_for(app, settings.kitty_bind, settings.coder_port)
    app.state.is_stopping = lambda: server.should_exit
    watcher = asyncio.create_task(_stop_when_idle(server, app.state.engine, settings.kitty_idle_stop_sec))
    opening = asyncio.create_task(_stop_where_closed(server, app))
    try:
        await server.serve()
    finally:
        watcher.cancel()
    if opening.done():
        opening.result()
    opening.cancel()


async def _stop_when_idle(server: uvicorn.Server, engine: JobEngine, idle_sec: float | None) -> None:
    while idle_sec is not None:
        await asyncio.sleep(min(IDLE_LOOK_SEC, idle_sec))
        if engine.is_idle and time.monotonic() - engine.worker.last_active > idle_sec:
            log.info("idle_stop", seconds=idle_sec)
            server.should_exit = True
            return


async def _stop_where_closed(server: uvicorn.Server, app: FastAPI) -> None:
    """Ends the service where a database is not for it. Raises: ConfigurationError: wrong settings, newer tables."""
    try:
        await asyncio.gather(app.state.trail.opened(), app.state.engine.opened())
    except ConfigurationError:
        server.should_exit = True
        raise


def main() -> None:
    """Start the service as the environment says. Exit code 3: a setting is wrong."""
    try:
        settings = read_settings(Settings)
        configure_logs("coder-agent")
        asyncio.run(serve(settings))
    except (ConfigurationError, ModelsError) as error:
        print(f"coder-agent: {error}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
