"""A tier's arm: a coder-agent, asked over its public API as every other client asks it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from kitty_evals.errors import NotConfigured, ServiceLost, UsageProblem
from kitty_evals.records import ArmName, Spent
from kitty_evals.solver import ATTEMPTS, PAUSE_SEC, Answer
from kitty_evals.tasks import Task

ANSWER_WITHIN_SEC = 3600.0
"""A deep job on a small machine takes many minutes; what hangs for an hour is out of time."""
CONNECT_WITHIN_SEC = 5.0


class TierSolver:
    """Implements `Solver`."""

    arm: ArmName = "tier"

    def __init__(self, http: httpx.AsyncClient, tier: str, model: str | None) -> None:
        """`http` knows the address and the token; `model` is the request's, where it names one."""
        self.tier: str | None = tier
        self._http = http
        self._model = {"model": model} if model else {}

    async def solve(self, task: Task) -> Answer:
        """Raises `ServiceLost`, or what `read_answer` does."""
        body = {"request": task.request, "module": task.module, "tier": self.tier, **self._model}
        try:
            response = await self._post(body)
        except httpx.TimeoutException:
            return Answer(error=f"There was no answer within {ANSWER_WITHIN_SEC:g} s.", error_code="timeout")
        except httpx.TransportError as error:
            return Answer(error=f"The connection broke: {error or type(error).__name__}", error_code="connection_lost")
        return read_answer(response)

    async def _post(self, body: Mapping[str, Any]) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._http.post("/api/coding/generate", json=body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if attempt == ATTEMPTS:
                    raise ServiceLost(f"Nothing answers at {self._http.base_url} (asked {ATTEMPTS} times).") from error
                await asyncio.sleep(PAUSE_SEC)
        raise AssertionError("unreachable")


def open_client(base_url: str, token: str | None) -> httpx.AsyncClient:
    """For one coder-agent. Each task has its own connection: a kept one may be closed just as it is used again."""
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=httpx.Timeout(ANSWER_WITHIN_SEC, connect=CONNECT_WITHIN_SEC),
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,
    )


def read_answer(response: httpx.Response) -> Answer:
    """A response of `/api/coding/generate`, or a problem document.

    Raises:
        NotConfigured: the token is refused, or it is no coder-agent. UsageProblem: it does not know the model.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"detail": f"The service answered {response.status_code} without a JSON object.", "code": "nonsense"}
    if response.status_code == httpx.codes.OK and "verdict" in body:
        return _judged(body)
    code = str(body.get("error_code") or body.get("code") or "nonsense")
    detail = str(body.get("detail") or body.get("error") or f"The service answered {response.status_code}.")
    if response.status_code in (401, 403):
        raise NotConfigured(f"{detail} Set KITTY_SERVICE_TOKEN.")
    if response.status_code == httpx.codes.NOT_FOUND:
        raise NotConfigured(f"{response.url} is not there: it is not a coder-agent.")
    if code == "unknown_model":
        raise UsageProblem(detail)
    return Answer(usage=Spent.read(body.get("usage")), error=detail, error_code=code)


def _judged(body: Mapping[str, Any]) -> Answer:
    evidence, confidence = body.get("evidence"), body.get("confidence")
    return Answer(
        code=str(body.get("code") or ""),
        job_id=body.get("job_id"),
        verdict=str(body["verdict"]),
        confidence=float(confidence) if isinstance(confidence, int | float) else None,
        evidence=evidence if isinstance(evidence, dict) else {},
        usage=Spent.read(body.get("usage")),
        model=body.get("model"),
        model_sha256=body.get("model_sha256"),
    )
