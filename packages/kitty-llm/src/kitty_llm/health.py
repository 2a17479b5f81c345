"""Is a model server there, what does it have, how much can it do at once? Answered without generating anything."""

import asyncio
from collections.abc import Iterable
from typing import Literal

import httpx

from kitty_llm.endpoint import Endpoint

Health = Literal["ok", "loading", "unauthorized", "down", "not_started"]
"""`not_started`: its address is not known before a job asks for it."""
BEST_FIRST: tuple[Health, ...] = ("ok", "loading", "unauthorized", "down", "not_started")

PROBE_SEC = 0.5


async def probe(http: httpx.AsyncClient, endpoint: Endpoint) -> Health:
    """At most half a second."""
    try:
        async with asyncio.timeout(PROBE_SEC):
            status = (await _get(http, endpoint, "/health")).status_code
            if status in (404, 405, 501):
                status = (await _get(http, endpoint, "/v1/models")).status_code
    except (TimeoutError, httpx.RequestError, httpx.InvalidURL):
        return "down"
    if status == 503:
        return "loading"
    if status in (401, 403):
        return "unauthorized"
    return "ok" if status < 500 else "down"


async def listed_models(http: httpx.AsyncClient, endpoints: Iterable[Endpoint]) -> frozenset[str] | None:
    """The names of models that these servers list, within half a second; None where one of them does not say."""
    unique = {endpoint.root: endpoint for endpoint in endpoints}
    told = await asyncio.gather(*(_listed(http, endpoint) for endpoint in unique.values()))
    known = [names for names in told if names is not None]
    return frozenset().union(*known) if len(known) == len(told) else None


async def _listed(http: httpx.AsyncClient, endpoint: Endpoint) -> frozenset[str] | None:
    try:
        async with asyncio.timeout(PROBE_SEC):
            answer = await _get(http, endpoint, "/v1/models")
        entries = answer.json()["data"] if answer.is_success else None
        return None if entries is None else frozenset(str(entry["id"]) for entry in entries)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None


async def probe_all(http: httpx.AsyncClient, endpoints: Iterable[Endpoint]) -> dict[str, Health]:
    """By `Endpoint.root`, all at once; two roles on one server are one probe."""
    unique = {endpoint.root: endpoint for endpoint in endpoints}
    found = await asyncio.gather(*(probe(http, endpoint) for endpoint in unique.values()))
    return dict(zip(unique, found, strict=True))


def best_of(states: Iterable[Health]) -> Health:
    """`ok` if any is."""
    return min(states, key=BEST_FIRST.index, default="not_started")


async def ask_slots(http: httpx.AsyncClient, endpoint: Endpoint) -> int | None:
    """Calls that the server works on at once, as `total_slots` of its `/props`; None where it does not say.

    At most half a second.
    """
    try:
        async with asyncio.timeout(PROBE_SEC):
            props = (await _get(http, endpoint, "/props")).json()
    except (TimeoutError, httpx.RequestError, httpx.InvalidURL, ValueError):
        return None
    slots = props.get("total_slots") if isinstance(props, dict) else None
    return slots if isinstance(slots, int) and slots > 0 else None


async def _get(http: httpx.AsyncClient, endpoint: Endpoint, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    return await http.get(endpoint.root + path, headers=headers, timeout=PROBE_SEC)
