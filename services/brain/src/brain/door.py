"""The brain's way to every tool: the gateway's one door.

offers  GET  /api/tools?for=model       what there is, and its digest
invoke  POST /api/tools/{name}          one call: done, waiting for a person, or failed

The brain decides nothing about hazard: it says who asks (as the gateway told it) and that a model calls.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

import httpx

from brain.errors import GatewayIsUnavailable

CONNECT_SEC = 2.0
ASK_SEC = 10.0
LOOK_SEC = 0.5
MOST_OF_A_DETAIL = 2000


@dataclass(frozen=True)
class Caller:
    """For whom the brain asks, in the words of the gateway that let the message in."""

    user_id: str
    request_id: str
    role: str | None = None
    is_read_only: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with every request. Calls are a model's, whoever it works for."""
        headers = {"X-Kitty-Surface": "model", "X-Kitty-User": self.user_id, "X-Request-Id": self.request_id}
        if self.role:
            headers["X-Kitty-Role"] = self.role
        if self.is_read_only:
            headers["X-Remote-Mode"] = "read-only"
        return headers


@dataclass(frozen=True)
class Offer:
    """A tool as a model sees it."""

    name: str
    """With underscores."""
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"}, hash=False)

    @property
    def dotted(self) -> str:
        """`coding.generate`: as people and the audit trail call it."""
        return self.name.replace("_", ".", 1)


@dataclass(frozen=True)
class Offers:
    """All enabled tools."""

    tools: tuple[Offer, ...] = ()
    digest: str = ""

    def find(self, name: str) -> Offer | None:
        """The tool of that name in its dotted or its underscore spelling."""
        return next((tool for tool in self.tools if name.replace(".", "_") == tool.name), None)


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    kind: Literal["done", "waiting", "failed"]
    tool: str
    status: str
    """`ok`, `failed`, `timeout`, `error` …: the gateway's word, or the code of its refusal."""
    decision: str | None = None
    result: Any = None
    """The service's answer; the problem document where it failed; the confirmation shape where it waits."""
    detail: str = ""


class Door:
    """One gateway. Made once a service; `close` it at the end."""

    def __init__(self, base_url: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(ASK_SEC, connect=CONNECT_SEC)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=2.0)
        self.base_url = base_url.rstrip("/")
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits, trust_env=False)

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        await self._http.aclose()

    async def is_there(self) -> bool:
        """Whether something listens at the gateway's address, in half a second.

        Its `/healthz` is not asked: that asks ours, which would ask it again, without an end.
        """
        url = httpx.URL(self.base_url)
        try:
            async with asyncio.timeout(LOOK_SEC):
                _, writer = await asyncio.open_connection(url.host, url.port or (443 if url.scheme == "https" else 80))
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def offers(self, caller: Caller) -> Offers:
        """The tools there are now.

        Raises:
            GatewayIsUnavailable
        """
        try:
            response = await self._http.get(
                f"{self.base_url}/api/tools", params={"for": "model"}, headers=caller.headers
            )
        except httpx.HTTPError as error:
            raise self._away(error) from error
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.status_code != httpx.codes.OK or not isinstance(body, dict):
            raise GatewayIsUnavailable(f"The gateway at {self.base_url} does not tell its tools: {_told(response)}")
        tools = tuple(_offer(tool) for tool in body.get("tools", ()) if isinstance(tool, dict) and tool.get("name"))
        return Offers(tools, str(body.get("digest", "")))

    async def invoke(
        self, caller: Caller, tool: Offer, arguments: Mapping[str, Any], conversation_id: str | None
    ) -> Outcome:
        """One call. Takes as long as the tool does: the gateway has the deadline. Cancelling it cancels the tool.

        Raises:
            GatewayIsUnavailable
        """
        body = {"arguments": dict(arguments), "conversation_id": conversation_id}
        return await self._post(f"/api/tools/{quote(tool.name, safe='')}", body, caller, tool.dotted)

    async def _post(self, path: str, body: Mapping[str, Any], caller: Caller, tool: str) -> Outcome:
        timeout = httpx.Timeout(None, connect=CONNECT_SEC)
        try:
            response = await self._http.post(self.base_url + path, json=body, headers=caller.headers, timeout=timeout)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        return _outcome(response, tool)

    def _away(self, error: httpx.HTTPError) -> GatewayIsUnavailable:
        return GatewayIsUnavailable(
            f"The gateway at {self.base_url} does not answer ({type(error).__name__}), and every tool is behind it. "
            "Is it running? Start it, or set GATEWAY_BASE."
        )


def _offer(told: Mapping[str, Any]) -> Offer:
    schema = told.get("schema")
    name = str(told["name"]).replace(".", "_")
    return Offer(name, str(told.get("description") or ""), schema if isinstance(schema, dict) else {"type": "object"})


def _outcome(response: httpx.Response, tool: str) -> Outcome:
    try:
        body = response.json()
    except ValueError:
        body = None
    said = body if isinstance(body, dict) else {}
    tool = str(said.get("tool") or said.get("pendingTool") or tool)
    decision = said.get("decision")
    if response.status_code == httpx.codes.ACCEPTED and said.get("requiresConfirmation"):
        return Outcome("waiting", tool, "needs_confirmation", decision, said, str(said.get("hint") or ""))
    if response.is_success and "result" in said:
        return Outcome("done", tool, str(said.get("status") or decision or "ok"), decision, said["result"])
    code = said.get("error_code") or said.get("code") or f"http_{response.status_code}"
    return Outcome("failed", tool, str(code), decision, said or None, _told(response))


def _told(response: httpx.Response) -> str:
    try:
        detail = response.json().get("detail")
    except (ValueError, AttributeError):
        detail = None
    return str(detail or f"it answered {response.status_code}")[:MOST_OF_A_DETAIL]
