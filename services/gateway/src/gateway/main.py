"""The gateway: `python -m gateway.main`. The one place where its real parts are chosen.

settings ─┬─> database ─┬─> keys ──> doorman ──> gatekeeper
          │             └─> confirmations ─┐
          ├─> registry ────────────────────┼─> door ─> replies ─> routes
          ├─> upstreams ─> broker commands ┤
          └─> audit ─> recorder ─┬─────────┘
                                 └─> denials (of gatekeeper and routes)
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware

from gateway.auth import Doorman
from gateway.commands import BrokerCommands
from gateway.confirmations import Confirmations
from gateway.database import open_keys
from gateway.denials import Denials
from gateway.door import Door
from gateway.gatekeeper import Gatekeeper
from gateway.key_store import KeyStore
from gateway.limits import Concurrency, RateLimit
from gateway.metrics import Counting, Metrics
from gateway.overrides import Overrides
from gateway.proxy import Upstreams
from gateway.replies import Replies
from gateway.routes import audit as audit_routes
from gateway.routes import coding, confirmations, health, jobs, query, tools
from gateway.routes.talk import Talk
from gateway.settings import Settings
from kitty_core.audit import SpooledAuditLog, open_audit
from kitty_core.audit.recorder import Recorder
from kitty_core.confirmation import LEAST_KEY_BYTES, read_reply
from kitty_core.errors import ConfigurationError, KittyError, RegistryProblem
from kitty_core.logs import configure_logs
from kitty_core.registry import LiveRegistry, install_reload_signal
from kitty_core.service import LOOPBACK_HOSTS, Guard, create_service, warn_of_short_token
from kitty_core.service_token import service_token
from kitty_core.serving import server_for
from kitty_core.settings import environment, read_settings
from kitty_core.tools import Registry

log = structlog.get_logger()
SWEEP_EVERY_SEC = 5.0


def create_app(
    settings: Settings,
    env: Mapping[str, str] | None = None,
    *,
    audit: SpooledAuditLog | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The service with its real parts; the last two are for tests that bring their own.

    Args:
        env: where `DATABASE_URL`, `AUDIT_KEY` and the variables of the registry are read; None: the environment.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: a setting or a line of the registry is wrong, or a key is needed and there is none.
    """
    env = environment() if env is None else env
    _check_words(settings)
    token = service_token(settings.kitty_service_token)
    warn_of_short_token(token)
    engine, keys = open_keys(env, clock)
    _check_access(settings, keys)
    metrics = Metrics()
    trail = audit or open_audit(env)
    metrics.spool_rows.set_function(lambda: trail.waiting)
    upstreams = Upstreams(settings, token)
    bases = {f"{name.upper().replace('-', '_')}_BASE": base for name, base in upstreams.bases.items()}
    live = LiveRegistry(Path(settings.tool_registry_path), {**env, **bases})
    recorder = Recorder(trail, clock, metrics.count_decision)
    pending = Confirmations(engine, clock, settings.gateway_confirm_within_sec)
    commands = BrokerCommands(upstreams, time.monotonic)
    door = Door(live, upstreams, commands, pending, recorder, settings)
    live.require(lambda registry: _check_addresses(registry, door, live.path))
    denials = Denials(recorder, live, coding.PATHS)
    replies = Replies(door, pending, recorder, clock, settings.hazard_signing_key)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweep = asyncio.create_task(_sweep(replies, trail))
        try:
            yield
        finally:
            sweep.cancel()
            await recorder.finish()
            await upstreams.close()
            trail.close()
            engine.dispose()

    app = create_service(
        "gateway",
        guard=Guard(allowed_hosts=LOOPBACK_HOSTS | settings.allowed_hosts),
        registry=metrics.registry,
        lifespan=lifespan,
        version=version("kitty-gateway"),
    )
    app.add_middleware(Counting, metrics=metrics)
    # The innermost layer: the guard and the request log stand in front of it.
    app.user_middleware.append(
        Middleware(
            Gatekeeper,
            doorman=Doorman(keys, token, settings.is_open),
            rate=RateLimit(settings.gateway_rate_per_min, time.monotonic),
            failures=RateLimit(settings.gateway_failures_per_min, time.monotonic),
            concurrency=Concurrency(settings.gateway_concurrency),
            on_refusal=denials.note,
        )
    )
    app.include_router(coding.create_router(door, denials))
    app.include_router(jobs.create_router(jobs.Jobs(upstreams, settings.gateway_deadline_sec)))
    overrides = Overrides()
    word = settings.api_override_password
    app.include_router(tools.create_router(door, live, commands, overrides, word, denials))
    app.include_router(confirmations.create_router(replies))
    talk = Talk(upstreams, replies, overrides, settings.api_override_password, settings.gateway_deadline_sec)
    app.include_router(query.create_router(talk))
    app.include_router(audit_routes.create_router(trail))
    app.include_router(health.create_router(door, live, upstreams, recorder, engine, trail, settings))
    app.state.live = live
    app.state.keys = keys
    return app


def _check_words(settings: Settings) -> None:
    phrase, key = settings.hazard_confirmation_phrase, settings.hazard_signing_key
    if read_reply(phrase, phrase) != "confirm":
        raise ConfigurationError(
            f"HAZARD_CONFIRMATION_PHRASE={phrase!r} can confirm nothing: it is a word that cancels."
        )
    if key and len(key.encode()) < LEAST_KEY_BYTES:
        raise ConfigurationError(f"HAZARD_SIGNING_KEY: needs {LEAST_KEY_BYTES} bytes or more.")


def _check_addresses(registry: Registry, door: Door, path: Path) -> None:
    problems = []
    for tool in registry.tools.values():
        try:
            if tool.enabled:
                door.url_of(tool)
        except ConfigurationError as error:
            problems.append(f"{path}: {tool.name}.url: {error.message}")
    if problems:
        raise RegistryProblem(problems)


def _check_access(settings: Settings, keys: KeyStore) -> None:
    if settings.is_open:
        log.warning("open_loopback", user="local", note="every program of this machine is served without a key; "
                    "GATEWAY_OPEN_LOOPBACK=false closes it")  # fmt: skip
    elif not keys.has_any():
        where = f"KITTY_BIND={settings.kitty_bind}" + ("" if settings.gateway_open_loopback else ", not open,")
        raise ConfigurationError(f"{where} needs an API key and there is none. Make one: {MAKE_A_KEY}")


MAKE_A_KEY = "`./kitty keys create --role admin --user NAME` (`kitty-cli keys`)."


async def _sweep(replies: Replies, audit: SpooledAuditLog) -> None:
    """Ends calls that nobody confirmed in time, so that each has its row soon, and writes rows that wait."""
    while True:
        try:
            if audit.waiting:
                await asyncio.to_thread(audit.drain)
            await replies.expire_overdue()
        except KittyError as error:
            log.warning("pending_calls_not_swept", code=error.code)
        await asyncio.sleep(SWEEP_EVERY_SEC)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the registry again."""
    app = create_app(settings)
    take_off = install_reload_signal(asyncio.get_running_loop(), app.state.live)
    try:
        await server_for(app, settings.kitty_bind, settings.gateway_port).serve()
    finally:
        take_off()


def main() -> None:
    """Start the service as the environment says. Exit code 3: a setting is wrong, or a key is missing."""
    try:
        settings = read_settings(Settings)
        configure_logs("gateway")
        asyncio.run(serve(settings))
    except ConfigurationError as error:
        print(f"gateway: {error}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
