"""Does a llama.cpp (or OpenAI-compatible) server answer? A quick look without any generation."""

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx

from kitty_models.discover import any_explicit, distinct_servers

State = Literal["ok", "loading", "refused", "unauthorized", "error"]

REACH_TIMEOUT_SEC = 0.5


@dataclass(frozen=True)
class Reach:
    """How a server answered."""

    state: State
    detail: str = ""

    @property
    def answers(self) -> bool:
        """Whether a server is there, ready or not."""
        return self.state in ("ok", "loading", "unauthorized")


def open_client(base_url: str, api_key: str | None, timeout_sec: float) -> httpx.AsyncClient:
    """A client for one server. A proxy from the environment is not used for this machine's own servers.

    Each request has its own connection: llama.cpp's server now and then closes a kept one just as it is used again.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    own = is_loopback(base_url)
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=base_url, headers=headers, timeout=timeout_sec, trust_env=not own, limits=limits)


def is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def reachable(base_url: str, api_key: str | None = None, timeout_sec: float = REACH_TIMEOUT_SEC) -> Reach:
    """Asks `/health`, then `/v1/models`. Never raises for what the server does.

    `loading` is a 503; a server without `/health` that answers at all is `ok`; `error` says what was odd.
    """
    try:
        async with open_client(base_url, api_key, timeout_sec) as client:
            health = _judge((await client.get("/health")).status_code)
            return health if health.state != "ok" else _judge((await client.get("/v1/models")).status_code)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return Reach("refused", f"nothing answers at {base_url} ({error or type(error).__name__})")
    except httpx.TimeoutException:
        return Reach("error", f"{base_url} took the connection but did not answer within {timeout_sec:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Reach("error", f"{base_url}: {error or type(error).__name__}")


def _judge(status: int) -> Reach:
    match status:
        case 503:
            return Reach("loading", "the model is being loaded (503)")
        case 401 | 403:
            return Reach("unauthorized", f"an API key is wanted ({status})")
        case _ if status < 300 or status in (404, 405, 501):
            return Reach("ok")
        case _:
            return Reach("error", f"answered {status}")


async def embedded_wanted(env: Mapping[str, str], timeout_sec: float = REACH_TIMEOUT_SEC) -> bool:
    """Whether to use the embedded model: the environment names no server, and none answers on the default ports."""
    if any_explicit(env):
        return False
    bases = {endpoint.base_url: endpoint.api_key for endpoint in distinct_servers(env)}
    reaches = await asyncio.gather(*(reachable(base, key, timeout_sec) for base, key in bases.items()))
    return not any(reach.answers for reach in reaches)
