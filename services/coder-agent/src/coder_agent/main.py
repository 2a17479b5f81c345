"""The coder-agent: `python -m coder_agent.main`. The one place where its real parts are chosen.

settings → backends (models) ─┐
           sandbox ───────────┼─> jobs (graph) ─> api
           metrics ───────────┘
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
import uvicorn
from fastapi import FastAPI

from coder_agent.api import create_router
from coder_agent.backends import Backends, backends_of
from coder_agent.jobs import Jobs
from coder_agent.metrics import MeteredSandbox, Metrics
from coder_agent.settings import Settings
from kitty_core.errors import ConfigurationError
from kitty_core.logs import configure_logs
from kitty_core.service import LOOPBACK_HOSTS, Guard, create_service
from kitty_core.serving import server_for
from kitty_core.settings import environment, read_settings
from kitty_models.errors import ModelsError
from kitty_sandbox import BubblewrapSandbox, Sandbox

log = structlog.get_logger()
IDLE_LOOK_SEC = 1.0


def create_app(settings: Settings, *, backends: Backends | None = None, sandbox: Sandbox | None = None) -> FastAPI:
    """The service with its real parts; the last two are for tests that bring their own.

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
    jobs = Jobs(models, isolated, settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await models.start()
        warming = asyncio.create_task(isolated.probe())
        try:
            yield
        finally:
            warming.cancel()
            own.close()
            await models.stop()

    hosts = {name.strip().lower() for name in settings.kitty_allowed_hosts.split(",") if name.strip()}
    app = create_service(
        "coder-agent",
        guard=Guard(allowed_hosts=LOOPBACK_HOSTS | hosts, service_token=settings.kitty_service_token),
        registry=metrics.registry,
        lifespan=lifespan,
        version=version("kitty-coder-agent"),
    )
    app.include_router(create_router(jobs, models, isolated, settings))
    app.state.jobs = jobs
    return app


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, or until nothing was asked for `kitty_idle_stop_sec`."""
    app = create_app(settings)
    server = server_for(app, settings.kitty_bind, settings.coder_port)
    watcher = asyncio.create_task(_stop_when_idle(server, app.state.jobs, settings.kitty_idle_stop_sec))
    try:
        await server.serve()
    finally:
        watcher.cancel()


async def _stop_when_idle(server: uvicorn.Server, jobs: Jobs, idle_sec: float | None) -> None:
    while idle_sec is not None:
        await asyncio.sleep(min(IDLE_LOOK_SEC, idle_sec))
        if jobs.is_idle and time.monotonic() - jobs.last_active > idle_sec:
            log.info("idle_stop", seconds=idle_sec)
            server.should_exit = True
            return


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
