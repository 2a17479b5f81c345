"""Model calls by way of the brain (`CODER_LLM_ROUTE=brain`): raw completions of its `/api/query/stream`, tools off.

complete ─> POST ─> events ─┬─ complete ───────> Completion
             ↑              ├─ error ──────────> the LLMError that it was in the brain
             └──────────────┴─ lost, in vain ──> ModelUnavailable

To the jobs it is what `kitty_llm.ModelRoles` is. Which server answers, how long it is waited for, and what fits its
window is the brain's to find out, with that same client.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import httpx
import structlog

from coder_agent.brain_messages import body_of, completion_of, failure_of, refusal_of
from coder_agent.errors import UnknownModel
from kitty_llm import (
    AT_JOB_START,
    MID_JOB,
    BackendAnsweredNonsense,
    Completion,
    ModelUnavailable,
    Patience,
    Prompt,
    Role,
    Sampling,
    Stalled,
)
from kitty_llm.backend import open_client
from kitty_llm.echo import Replay
from kitty_llm.sse import FrameReader
from kitty_llm.stream import Waiting

ROLES: tuple[Role, ...] = ("q4", "f16", "coder")
HEALTH_SEC = 0.8
SLOTS_KEPT_SEC = 5.0
ATTEMPTS = 3
"""How often the brain may be lost in the middle of the same answer."""
AWAY = (502, 503, 504)
"""What stands in front of a brain that is not there says so."""

OnDelta = Callable[[str], None]
OnProgress = Callable[[int, int], None]


class Lost(Exception):
    """The brain was not there, or went away before the end of its answer."""


class BrainRoute:
    """One brain. Made once a service; `aclose` it at the end.

    Args:
        base_url: its address, `BRAIN_BASE`.
        token: the one that all services share.
        at_start: for a brain that has not answered in this job yet.
        mid_job: for one that has.
    """

    def __init__(
        self, base_url: str, token: str, *, at_start: Patience = AT_JOB_START, mid_job: Patience = MID_JOB
    ) -> None:
        self.base_url = base_url
        self.at_start = at_start
        self.mid_job = mid_job
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http = open_client()
        self._slots = 1
        self._ask_slots_at = 0.0

    def start_job(self, model: str | None = None) -> "BrainJob":
        """The models for one job; `model` is an alias.

        Raises:
            UnknownModel: it is an address or a path.
        """
        if model is not None and "/" in model:
            raise UnknownModel(
                "With CODER_LLM_ROUTE=brain the brain chooses the model server: name an alias such as kitty-coder, "
                f"not {model!r}."
            )
        return BrainJob(self, model)

    async def health(self) -> dict[Role, str]:
        """What the brain says of its model servers, within `HEALTH_SEC`; starts and generates nothing.

        Its list of models is asked, not its `/healthz`, which is open to all: a wrong token would not show there.
        """
        response = await self._listed()
        if response is None:
            return dict.fromkeys(ROLES, "down")
        if response.status_code in (401, 403):
            return dict.fromkeys(ROLES, "unauthorized")
        states = _states(response)
        return {role: states.get(role, "down") for role in ROLES}

    async def slots(self) -> int:
        """How many calls the brain says its servers can work on at once; 1 where it does not, and at least.

        Within a second, and what it said is good for `SLOTS_KEPT_SEC`; never raises.
        """
        if time.monotonic() >= self._ask_slots_at:
            self._slots = _slots(await self._listed())
            self._ask_slots_at = time.monotonic() + SLOTS_KEPT_SEC
        return self._slots

    async def _listed(self) -> httpx.Response | None:
        """What the brain tells of its models; None: nothing, within `HEALTH_SEC`."""
        try:
            async with asyncio.timeout(HEALTH_SEC):
                return await self._http.get(f"{self.base_url}/api/routing/models", headers=self._headers)
        except (TimeoutError, httpx.RequestError):
            return None

    async def aclose(self) -> None:
        """Close the connections; calls under way fail."""
        await self._http.aclose()

    async def events(self, body: Mapping[str, Any], patience: Patience) -> AsyncGenerator[dict[str, Any], None]:
        """The events of one query. Closing it ends the generation.

        Raises:
            Lost: no connection, or it broke.
            LLMError: refused, silent, or no brain.
        """
        url = f"{self.base_url}/api/query/stream"
        timeout = httpx.Timeout(patience.stall_sec, connect=patience.connect_sec, pool=None)
        headers = {**self._headers, **_request_id()}
        try:
            async with self._http.stream("POST", url, json=dict(body), headers=headers, timeout=timeout) as response:
                if response.status_code in AWAY:
                    raise Lost(f"status {response.status_code}")
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    raise refusal_of(response, self.base_url)
                reader = FrameReader()
                async for piece in response.aiter_bytes():
                    for frame in reader.feed(piece):
                        yield _event(frame.value, self.base_url)
        except httpx.ReadTimeout as error:
            raise Stalled(f"The brain at {self.base_url} sent nothing for {patience.stall_sec:g} s.") from error
        except httpx.TransportError as error:
            raise Lost(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    def gone(self, reason: Lost) -> ModelUnavailable:
        """Nothing more to wait for."""
        return ModelUnavailable(
            [self.base_url],
            message=f"The brain, by which CODER_LLM_ROUTE=brain sends model calls, does not answer ({reason}).",
            hint=f"Start it (./kitty up), set BRAIN_BASE (now {self.base_url}), or set CODER_LLM_ROUTE=direct.",
        )


class BrainJob:
    """One job's calls. To the brain they are one conversation, of which it keeps no history."""

    def __init__(self, route: BrainRoute, model: str | None) -> None:
        self._route = route
        self._model = model
        self._id = uuid4().hex
        self._has_answered = False

    async def complete(
        self,
        role: Role,
        prompt: Prompt,
        sampling: Sampling | None = None,
        on_delta: OnDelta | None = None,
        on_progress: OnProgress | None = None,
    ) -> Completion:
        """One answer, as `kitty_llm.JobModels.complete` gives it. Cancelling ends the generation.

        Raises:
            ModelUnavailable: no brain, or no model server behind it.
            LLMError: see `kitty_llm.errors`.
        """
        body = body_of(role, prompt, sampling or Sampling(), self._model, self._id)
        listener = _Listener(on_delta, on_progress)
        broken_off = 0
        waiting: Waiting | None = None
        while True:
            patience = self._route.mid_job if self._has_answered else self._route.at_start
            try:
                completion = await self._answer(body, patience, listener)
            except Lost as reason:
                if listener.has_heard:
                    self._has_answered, broken_off, waiting = True, broken_off + 1, None
                    if broken_off == ATTEMPTS:
                        raise self._route.gone(reason) from reason
                    continue
                waiting = waiting or Waiting(patience.lost_sec)
                if not await waiting.pause():
                    raise self._route.gone(reason) from reason
            else:
                self._has_answered = True
                return completion

    async def _answer(self, body: Mapping[str, Any], patience: Patience, listener: "_Listener") -> Completion:
        listener.restart()
        async with aclosing(self._route.events(body, patience)) as events:
            async for event in events:
                match event.get("type"):
                    case "complete":
                        return completion_of(event.get("result"), self._route.base_url)
                    case "error":
                        raise failure_of(event, self._route.base_url)
                    case _:
                        listener.hear(event)
        raise Lost("the stream ended before the answer did")


class _Listener:
    """Passes on what an answer tells on its way; what is told again after a loss is not repeated."""

    def __init__(self, on_delta: OnDelta | None, on_progress: OnProgress | None) -> None:
        self._on_delta = on_delta
        self._on_progress = on_progress
        self._replay = Replay()
        self.has_heard = False
        """Whether this attempt has brought any word."""

    def restart(self) -> None:
        self.has_heard = False
        self._replay.restart()

    def hear(self, event: Mapping[str, Any]) -> None:
        if event.get("type") == "prefill" and self._on_progress:
            self._on_progress(int(event.get("done", 0)), int(event.get("total", 0)))
        piece = str(event.get("delta") or "")
        self.has_heard = self.has_heard or bool(piece)
        fresh = self._replay.feed(piece) if piece else ""
        if fresh and self._on_delta:
            self._on_delta(fresh)


def _event(text: str, base_url: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise BackendAnsweredNonsense(f"{base_url} sent an event that is none of a brain's: {text[:120]!r}")
    return event


def _states(response: httpx.Response) -> Mapping[str, str]:
    try:
        return {str(model["tier"]): str(model["state"]) for model in response.json()["models"]}
    except (ValueError, KeyError, TypeError):
        return {}


def _slots(response: httpx.Response | None) -> int:
    try:
        return max(1, int(response.json()["slots"])) if response is not None else 1
    except (ValueError, KeyError, TypeError):
        return 1


def _request_id() -> dict[str, str]:
    """Of the request that the job is for, so that the logs of both say the same."""
    known = structlog.contextvars.get_contextvars().get("request_id")
    return {"X-Request-Id": str(known)} if known else {}
