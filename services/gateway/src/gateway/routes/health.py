"""`/healthz` and `/readyz`: how the gateway and what is behind it are."""

import asyncio
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from gateway.door import Door
from gateway.proxy import Upstreams
from gateway.settings import Settings
from kitty_core.audit import SpooledAuditLog
from kitty_core.audit.recorder import Recorder
from kitty_core.database import reading
from kitty_core.errors import ConfigurationError
from kitty_core.registry import LiveRegistry
from kitty_core.wire import JsonResponse

ASKED_WITHIN_SEC = 0.8
OPEN = "open: without a key every program of this machine is the user `local` (GATEWAY_OPEN_LOOPBACK=false closes it)"
CLOSED = "an API key is needed"


def create_router(
    door: Door,
    live: LiveRegistry,
    upstreams: Upstreams,
    recorder: Recorder,
    engine: Engine,
    audit: SpooledAuditLog,
    settings: Settings,
) -> APIRouter:
    """The two routes."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """How the gateway is, in under a second. `degraded`: the database, or a service that a tool needs, is away."""
        needed = _needed(door, live, upstreams)
        names = list(upstreams.bases)
        asked = asyncio.gather(*(upstreams.health(name, ASKED_WITHIN_SEC) for name in names))
        states, has_database = await asyncio.gather(asked, _answers(engine))
        services = dict(zip(names, states, strict=True))
        is_well = has_database and not recorder.rows_lost and all(services[name] != "down" for name in needed)
        return {
            "service": "gateway",
            "status": "ok" if is_well else "degraded",
            "access": OPEN if settings.is_open else CLOSED,
            "services": {name: {"status": state, "needed": name in needed} for name, state in services.items()},
            "tools": sum(tool.enabled for tool in live.current.tools.values()),
            "database": "ok" if has_database else "down",
            "audit": {"spooled_rows": await asyncio.to_thread(lambda: audit.waiting), "lost_rows": recorder.rows_lost},
        }

    @router.get("/readyz", responses={503: {"description": "Not ready; the body says why"}})
    async def readyz() -> Response:
        """200 when every enabled tool could be called now; else 503."""
        health = await healthz()
        return JsonResponse(health, status_code=200 if health["status"] == "ok" else 503)

    return router


def _needed(door: Door, live: LiveRegistry, upstreams: Upstreams) -> set[str]:
    """The services of the house that an enabled tool is at."""
    names = set()
    for tool in live.current.tools.values():
        if tool.enabled:
            try:
                names.add(upstreams.name_of(door.url_of(tool)))
            except ConfigurationError:
                continue  # told to whoever calls it
    return names & set(upstreams.bases)


async def _answers(engine: Engine) -> bool:
    try:
        async with asyncio.timeout(ASKED_WITHIN_SEC):
            await asyncio.to_thread(_ask, engine)
    except (SQLAlchemyError, TimeoutError):
        return False
    return True


def _ask(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
