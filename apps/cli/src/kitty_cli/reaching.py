"""Which model servers answer, asked all at once and soon: also when a name server does not."""

import asyncio
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from kitty_models.discover import backends_from_env, distinct_servers
from kitty_models.errors import BadSetting
from kitty_models.reach import Reach, reachable

WITHIN_SEC = 1.2
NAME_WITHIN_SEC = 1.0


def ask_servers(servers: Mapping[str, str | None]) -> dict[str, Reach]:
    """How each base URL (with its API key) answers."""
    unnamed = _unresolved({urlsplit(url).hostname or "" for url in servers})
    known = [url for url in servers if urlsplit(url).hostname not in unnamed]
    answers = dict(zip(known, asyncio.run(_ask(known, servers)), strict=True))
    lost = Reach("refused", f"its name is not known within {NAME_WITHIN_SEC:g} s")
    return {url: answers.get(url, lost) for url in servers}


def describe_servers(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """For `status`: how each server that `env` names answers, where a role has several; else nothing.

    A variable that cannot be read is told in the place of them.
    """
    try:
        if all(len(servers) == 1 for servers in backends_from_env(env).values()):
            return []
    except BadSetting as error:
        return [{"error": str(error)}]
    named = {server: roles for server, roles in distinct_servers(env).items() if server.explicit}
    answers = ask_servers({server.base_url: server.api_key for server in named})
    return [
        {"base_url": server.base_url, "roles": list(roles), "state": answers[server.base_url].state}
        for server, roles in named.items()
    ]


async def _ask(urls: Sequence[str], keys: Mapping[str, str | None]) -> list[Reach]:
    return list(await asyncio.gather(*(_ask_one(url, keys[url]) for url in urls)))


async def _ask_one(url: str, key: str | None) -> Reach:
    try:
        async with asyncio.timeout(WITHIN_SEC):
            return await reachable(url, key, timeout_sec=WITHIN_SEC)
    except TimeoutError:
        return Reach("error", f"{url} did not answer within {WITHIN_SEC:g} s")


def _unresolved(hosts: set[str]) -> set[str]:
    """Names that resolve to nothing in time. A look-up cannot be stopped, so it runs in a thread nobody waits for."""
    found: set[str] = set()

    def look_up(host: str) -> None:
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            return
        found.add(host)

    threads = [threading.Thread(target=look_up, args=(host,), daemon=True) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(NAME_WITHIN_SEC)
    return hosts - set(found)
