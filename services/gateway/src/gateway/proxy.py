"""HTTP to the services behind the gateway: one client, answers passed on as they come.

caller ──> gateway ──> Upstreams.open ──> service
   ^                        │ raw bytes, nothing collected, nothing unpacked
   └────────────────────────┘ and closed at once when the caller goes: that is what frees a model's slot

The caller's own credentials never reach a service. The service token, and the caller's name and role, do where the
service is one of the house; an address that only the tool registry names does not get them.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from gateway.auth import Caller
from gateway.errors import ServiceAnsweredBadly, ServiceIsDown, ServiceIsTooSlow
from gateway.settings import Settings

CONNECT_WITHIN_SEC = 1.0
MOST_ANSWER_BYTES = 32 * 1024 * 1024
PASSED_TO_CALLERS = frozenset({"cache-control", "content-type", "retry-after", "x-accel-buffering"})
"""Of a service's answer: everything else (cookies, CORS, Location, what is between two neighbours) stops here."""
PASSED_TO_SERVICES = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "last-event-id"})
"""Of a caller's request: everything else (keys, cookies, addresses, X-Kitty-…) stops here."""
OF_A_JOB = ("X-Kitty-Job-Id", "X-Kitty-Decision", "X-Kitty-Hazard-Class", "X-Kitty-Args-Sha256")
"""What the job that comes of a call is known by, and what its audit row will say: it writes the row when it ends."""
OF_THE_HOUSE = frozenset({"X-Kitty-User", "X-Kitty-Role"})
"""Of what `headers_for` says: who asks is no matter of an address that is none of the house's."""


class Upstreams:
    """The services. Made once; `close` it at the end."""

    def __init__(self, settings: Settings, service_token: str | None) -> None:
        self.bases: Mapping[str, str] = {
            "coder-agent": settings.coder_agent_base.rstrip("/"),
            "brain": settings.brain_base.rstrip("/"),
            "memory": settings.memory_base.rstrip("/"),
            "broker": settings.broker_base.rstrip("/"),
        }
        self._token = service_token
        self._http = httpx.AsyncClient(
            trust_env=False,  # a proxy of the environment is not for loopback
            timeout=httpx.Timeout(None, connect=CONNECT_WITHIN_SEC),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._http.aclose()

    def headers_for(self, caller: Caller, request_id: str, given: Mapping[str, str]) -> dict[str, str]:
        """What a service is told: who asks and under which id, and of the caller's headers the harmless ones.

        `open` takes out again what is only for services of the house.
        """
        harmless = ((name, value) for name, value in given.items() if name.lower() in PASSED_TO_SERVICES)
        headers = {name: value for name, value in harmless if value.isascii()}
        headers |= {"X-Request-Id": request_id, "X-Kitty-User": caller.user_id, "X-Kitty-Role": caller.role}
        headers["Accept-Encoding"] = "identity"
        if caller.is_remote_read_only:
            headers["X-Remote-Mode"] = "read-only"
        return headers

    @asynccontextmanager
    async def open(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None, query: str = ""
    ) -> AsyncIterator[httpx.Response]:
        """The answer of a service, its body not yet read. Leaving the block closes it, read or not.

        Raises:
            ServiceIsDown: it does not take the connection (within a second), or breaks it.
            ServiceIsTooSlow: it takes it and the client's own time-out strikes.
            ServiceAnsweredBadly: what it says is not HTTP, leads elsewhere, is packed although nobody asked for that (a
                few bytes could become gigabytes), or it does not know the service token.
        """
        is_ours = self.name_of(url) in self.bases
        if not is_ours:
            headers = {name: value for name, value in headers.items() if name not in OF_THE_HOUSE}
        elif self._token:
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        try:
            request = self._http.build_request(method, url, headers=headers, content=content, params=query or None)
            response = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self.failure(url, error) from error
        try:
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise ServiceAnsweredBadly(
                    f"{self.name_of(url)} at {_origin(url)} does not accept the gateway's service token. "
                    "KITTY_SERVICE_TOKEN has to be the same for both."
                    if is_ours
                    else f"{_origin(url)} wants a key of its own, and the gateway's token is not for it."
                )
            if response.is_redirect or response.headers.get("content-encoding", "identity").lower() != "identity":
                what = "a redirect" if response.is_redirect else "a packed body"
                raise ServiceAnsweredBadly(f"{self.name_of(url)} at {_origin(url)} answered with {what}.")
            yield response
        finally:
            await response.aclose()

    async def health(self, name: str, within_sec: float) -> str:
        """`ok`, `degraded`, `error` as the service says of itself; `down` where it says nothing in time."""
        try:
            answer = await self._http.get(f"{self.bases[name]}/healthz", timeout=within_sec)
            status = answer.json().get("status") if answer.status_code == httpx.codes.OK else "error"
        except (httpx.HTTPError, httpx.InvalidURL):
            return "down"
        except (ValueError, AttributeError):
            return "error"
        return status if status in ("ok", "degraded") else "error"

    def failure(self, url: str, error: httpx.HTTPError) -> ServiceIsDown | ServiceIsTooSlow:
        """What the client's `error` means to the caller."""
        name, origin = self.name_of(url), _origin(url)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            if name not in self.bases:
                return ServiceIsDown(f"Nothing answers at {origin}, which the tool registry names.", service=name)
            variable = f"{name.upper().replace('-', '_')}_BASE"
            return ServiceIsDown(
                f"{name} does not answer at {origin}. Start it, or set {variable} to where it is.", service=name
            )
        if isinstance(error, httpx.TimeoutException):
            return ServiceIsTooSlow(f"{name} at {origin} did not answer in time.", service=name)
        reason = type(error).__name__
        return ServiceAnsweredBadly(
            f"{name} at {origin} broke the connection off ({reason}). See its log.", service=name
        )

    def name_of(self, url: str) -> str:
        """The service behind `url`; its address where it is none of ours."""
        behind = [name for name, base in self.bases.items() if url.startswith(f"{base}/")]
        return max(behind, key=lambda name: len(self.bases[name]), default=_origin(url))


async def whole_of(response: httpx.Response, name: str) -> bytes:
    """The content of an answer of the service `name`. Raises: ServiceAnsweredBadly: it is too long."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MOST_ANSWER_BYTES:
            raise ServiceAnsweredBadly(f"{name} answered with more than {MOST_ANSWER_BYTES} bytes.")
    return bytes(content)


def passed_on(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Of a service's headers those that go to the caller, as ASGI wants them."""
    kept = [(name.lower(), value) for name, value in headers if name.lower() in PASSED_TO_CALLERS]
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in kept]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
