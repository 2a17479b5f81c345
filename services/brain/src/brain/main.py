"""The brain: `python -m brain.main`. The one place where its real parts are chosen.

settings → models ──┐
           door ────┼─> queries (react) ─> api
           metrics ─┘
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from brain.api import create_router
from brain.door import Door
from brain.metrics import Metrics
from brain.models import ModelServers
from brain.queries import Queries
from brain.settings import Settings
from kitty_core.errors import ConfigurationError
from kitty_core.logs import configure_logs
from kitty_core.service import LOOPBACK_HOSTS, Guard, create_service
from kitty_core.service_token import service_token
from kitty_core.serving import server_for
from kitty_core.settings import environment, read_settings
from kitty_models.errors import ModelsError

MOST_OF_A_BODY = 2 * 1024 * 1024
"""Bytes: a completion may hold whatever the coder-agent was given, and more."""


def create_app(settings: Settings, env: Mapping[str, str] | None = None) -> FastAPI:
    """The service with its real parts. `env`: where `LLAMACPP_*` are read; default the environment over `.env`.

    Raises:
        ConfigurationError, ModelsError: a setting is wrong.
    """
    if not settings.is_loopback and not settings.kitty_service_token:
        raise ConfigurationError(
            f"KITTY_BIND={settings.kitty_bind} can be reached from other machines: set KITTY_SERVICE_TOKEN as well."
        )
    token = service_token(settings.kitty_service_token)
    metrics = Metrics()
    models = ModelServers(environment() if env is None else env, settings.llamacpp_n_ctx)
    door = Door(settings.gateway_base, token)
    queries = Queries(models, door, settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await door.close()
            await models.stop()

    hosts = {name.strip().lower() for name in settings.kitty_allowed_hosts.split(",") if name.strip()}
    app = create_service(
        "brain",
        guard=Guard(allowed_hosts=LOOPBACK_HOSTS | hosts, max_body_bytes=MOST_OF_A_BODY, service_token=token),
        registry=metrics.registry,
        lifespan=lifespan,
        version=version("kitty-brain"),
    )
    app.include_router(create_router(queries, models, door))
    return app


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    await server_for(create_app(settings), settings.kitty_bind, settings.brain_port).serve()


def main() -> None:
    """Start the service as the environment says. Exit code 3: a setting is wrong."""
    try:
        settings = read_settings(Settings)
        configure_logs("brain")
        asyncio.run(serve(settings))
    except (ConfigurationError, ModelsError) as error:
        print(f"brain: {error}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
