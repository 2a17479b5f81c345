"""Which model servers answer, asked all at once and soon: also when a name server does not."""

import asyncio
import socket
import threading
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

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
