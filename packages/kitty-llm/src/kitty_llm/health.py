"""Is a model server there, and what does it have? Answered without generating anything."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Literal

import httpx

from kitty_llm.endpoint import Endpoint, Role

Health = Literal["ok", "loading", "unauthorized", "down", "not_started"]
"""`not_started`: its address is not known before a job asks for it."""

PROBE_SEC = 0.5


async def probe(http: httpx.AsyncClient, endpoint: Endpoint) -> Health:
    """At most half a second."""
    try:
        async with asyncio.timeout(PROBE_SEC):
            status = await _status(http, endpoint, "/health")
            if status in (404, 405, 501):
                status = await _status(http, endpoint, "/v1/models")
    except (TimeoutError, httpx.TransportError, httpx.InvalidURL):
        return "down"
    if status == 503:
        return "loading"
    if status in (401, 403):
        return "unauthorized"
    return "ok" if status < 500 else "down"


async def _status(http: httpx.AsyncClient, endpoint: Endpoint, path: str) -> int:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    return (await http.get(endpoint.root + path, headers=headers, timeout=PROBE_SEC)).status_code


async def listed_models(http: httpx.AsyncClient, endpoints: Iterable[Endpoint]) -> frozenset[str] | None:
    """The names of models that these servers list, within half a second; None where one of them does not say."""
    unique = {endpoint.root: endpoint for endpoint in endpoints}
    told = await asyncio.gather(*(_listed(http, endpoint) for endpoint in unique.values()))
    known = [names for names in told if names is not None]
    return frozenset().union(*known) if len(known) == len(told) else None


async def _listed(http: httpx.AsyncClient, endpoint: Endpoint) -> frozenset[str] | None:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    try:
        async with asyncio.timeout(PROBE_SEC):
            answer = await http.get(f"{endpoint.root}/v1/models", headers=headers)
        entries = answer.json()["data"] if answer.is_success else None
        return None if entries is None else frozenset(str(entry["id"]) for entry in entries)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None


async def probe_all(http: httpx.AsyncClient, endpoints: Mapping[Role, Endpoint]) -> dict[Role, Health]:
    """All at once; two roles on one server are one probe."""
    unique = {endpoint.root: endpoint for endpoint in endpoints.values()}
    found = await asyncio.gather(*(probe(http, endpoint) for endpoint in unique.values()))
    by_root = dict(zip(unique, found, strict=True))
    return {role: by_root[endpoint.root] for role, endpoint in endpoints.items()}
