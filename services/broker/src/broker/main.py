"""The broker: `python -m broker.main`. The one place where its real parts are chosen.

settings ─┬─> allow-list ─┐
          ├─> workspaces ─┼─> runner ─> attempts ─> api
          └─> account ────┘               └─> metrics
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import structlog
from fastapi import FastAPI

from broker.account import chosen_account
from broker.api import create_router
from broker.attempts import Attempts
from broker.entries import load_commands
from broker.metrics import Metrics
from broker.runner import Runner, search_path
from broker.settings import Settings
from broker.workspace import read_workspaces
from kitty_core.errors import ConfigurationError
from kitty_core.logs import configure_logs
from kitty_core.service import LOOPBACK_HOSTS, Guard, create_service
from kitty_core.service_token import service_token
from kitty_core.serving import server_for
from kitty_core.settings import read_settings

log = structlog.get_logger()


def create_app(settings: Settings) -> FastAPI:
    """The service with its real parts.

    Raises:
        ConfigurationError: a setting or a line of the allow-list is wrong.
    """
    if not settings.is_loopback and not settings.kitty_service_token:
        raise ConfigurationError(
            f"KITTY_BIND={settings.kitty_bind} can be reached from other machines: set KITTY_SERVICE_TOKEN as well."
        )
    commands = load_commands(Path(settings.broker_allow_list), search_path(settings.broker_path))
    workspaces = read_workspaces(settings.broker_workspace)
    account = chosen_account(settings.broker_user)
    metrics = Metrics()
    attempts = Attempts(
        commands,
        Runner(workspaces, account),
        metrics,
        has_workspaces=bool(workspaces),
        most_at_once=settings.broker_most_at_once,
        runs_as=account.name if account else "the broker's own user",
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for name, command in commands.items():
            if reason := attempts.why_not(command):
                log.warning("command_unavailable", command=name, reason=reason)
        yield

    hosts = {name.strip().lower() for name in settings.kitty_allowed_hosts.split(",") if name.strip()}
    app = create_service(
        "broker",
        guard=Guard(allowed_hosts=LOOPBACK_HOSTS | hosts, service_token=service_token(settings.kitty_service_token)),
        registry=metrics.registry,
        lifespan=lifespan,
        version=version("kitty-broker"),
    )
    app.include_router(create_router(attempts))
    return app


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = create_app(settings)
    await server_for(app, settings.kitty_bind, settings.broker_port).serve()


def main() -> None:
    """Start the service as the environment says. Exit code 3: a setting is wrong."""
    try:
        settings = read_settings(Settings)
        configure_logs("broker")
        asyncio.run(serve(settings))
    except ConfigurationError as error:
        print(f"broker: {error}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
