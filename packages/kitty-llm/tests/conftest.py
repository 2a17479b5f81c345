import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from kitty_llm import Endpoint, ModelRoles, Patience, Prompt, Turn
from kitty_llm.testing import ScriptedModel

QUICK = Patience(connect_sec=0.5, lost_sec=0.2, loading_sec=3.0, stall_sec=3.0)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[ScriptedModel]]]:
    servers: list[ScriptedModel] = []

    async def start(script: object = "ok", **options: object) -> ScriptedModel:
        server = ScriptedModel(script, **options)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def roles_for() -> AsyncIterator[Callable[..., ModelRoles]]:
    """Roles for servers, endpoints or URLs (or lists of them) by role; a single one is the coder."""
    made: list[ModelRoles] = []

    def build(coder: object = None, **others: object) -> ModelRoles:
        options = {name: others.pop(name) for name in list(others) if name not in ("q4", "f16", "coder")}
        servers = {"coder": coder, **others} if coder else others
        options.setdefault("at_start", QUICK)
        options.setdefault("mid_job", QUICK)
        roles = ModelRoles({role: endpoints_of(server) for role, server in servers.items()}, **options)
        made.append(roles)
        return roles

    yield build
    for roles in made:
        await roles.aclose()


def endpoints_of(servers: object) -> Endpoint | list[Endpoint]:
    return [endpoint_of(server) for server in servers] if isinstance(servers, list) else endpoint_of(servers)


def endpoint_of(server: object) -> Endpoint:
    if isinstance(server, Endpoint):
        return server
    return Endpoint(server if isinstance(server, str) else server.base_url)


@pytest.fixture
def refused() -> Callable[[], str]:
    """A URL that refuses connections."""

    def url() -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{free.getsockname()[1]}"

    return url


@pytest.fixture
def asked() -> Prompt:
    return Prompt("You write Python.", (Turn("user", "Write add."),))
