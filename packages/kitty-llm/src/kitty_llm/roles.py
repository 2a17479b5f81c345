"""Which server answers for which role: in order, remembered for one job, tried anew by the next.

role ─> its servers ─┬─ those that are well: the least loaded, shortly ──────────────────┐
        ↑            └─ none is: the others once, and one of them as long as it is due ──┤
        └─ the next role's <── all failed ──────────────────────────────────────────────┘
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from langchain_core.messages import AIMessageChunk

from kitty_llm.answer import Listener, OnDelta, OnProgress, completion_of
from kitty_llm.backend import UNAUTHORIZED, open_client
from kitty_llm.chat_model import LlamaChatModel
from kitty_llm.completion import Completion
from kitty_llm.endpoint import AT_JOB_START, FALL_BACK, MID_JOB, Endpoint, Patience, Role
from kitty_llm.errors import LLMError, ModelUnavailable, ServerLost, Stalled
from kitty_llm.groups import Group, each_address_once, for_model, groups_of, in_order
from kitty_llm.health import Health, best_of, listed_models, probe_all
from kitty_llm.messages import messages_of
from kitty_llm.prompt import Prompt, Sampling
from kitty_llm.servers import Servers

Resolve = Callable[[Role, str | None], Awaitable[Sequence[Endpoint]]]
"""The servers to try for a role, in order; `model` is what the job asked for. May start a server: it is asked
before every call and answers quickly when the server is up."""

_ATTEMPTS = 3
"""How often one server may be lost in the middle of the same answer."""
_SLOTS_SEC = 0.6
"""How long the servers may be looked at for `ModelRoles.slots`."""


class ModelRoles:
    """Built once per service.

    Args:
        endpoints: one or several per role (missing roles fall back), or a function that finds them, see `Resolve`.
            The servers of one role serve the same model: a job goes to the least loaded, and stays there.
        at_start: for a server that has not answered in this job yet.
        mid_job: for one that has.
        fallback_n_ctx: the window of a server that cannot be asked (`LLAMACPP_N_CTX`).
        unauthorized_message: may name `{url}` and `{variable}`.
        hint: what a person can do when no server answers.
    """

    def __init__(
        self,
        endpoints: Mapping[Role, Endpoint | Sequence[Endpoint]] | Resolve,
        *,
        at_start: Patience = AT_JOB_START,
        mid_job: Patience = MID_JOB,
        fallback_n_ctx: int = 4096,
        unauthorized_message: str = UNAUTHORIZED,
        hint: str = "",
    ) -> None:
        self.at_start = at_start
        self.mid_job = mid_job
        self.brief = replace(at_start, loading_sec=at_start.lost_sec)
        """For one beside which another is well."""
        self.once = replace(at_start, lost_sec=0.0, loading_sec=0.0)
        """For one that seems to be down, while another is waited for."""
        self.hint = hint
        self._resolve = endpoints if callable(endpoints) else None
        self._groups = {} if callable(endpoints) else groups_of(endpoints)
        self._known: dict[Role, Group] = {role: next(iter(in_order(self._groups, role)), ()) for role in FALL_BACK}
        self._fallback_n_ctx = fallback_n_ctx
        self._unauthorized_message = unauthorized_message
        self._http = open_client()
        self.servers = Servers(self._http)
        self._models: dict[Endpoint, LlamaChatModel] = {}

    def start_job(self, model: str | None = None) -> "JobModels":
        """`model` is an alias (that endpoint first; an alias nobody has is sent to the preferred one) or a base URL."""
        return JobModels(self, model)

    async def health(self) -> dict[Role, Health]:
        """The best state of each role's servers, within half a second; starts and generates nothing."""
        return {role: best_of(states.values()) for role, states in (await self.health_by_server()).items()}

    async def health_by_server(self) -> dict[Role, dict[str, Health]]:
        """The same for each server, by `Endpoint.base_url` in the order of the role."""
        found = await probe_all(self._http, [endpoint for group in self._known.values() for endpoint in group])
        return {role: {end.base_url: found[end.root] for end in group} for role, group in self._known.items()}

    async def slots(self) -> int:
        """How many calls the servers of the first role (coder, f16, q4) that has any which is well can work on at once.

        1 at least. Within a second, and what is known for some seconds is not asked again; never raises.
        """
        groups = [self._known[role] for role in FALL_BACK["coder"]]
        with suppress(TimeoutError):
            async with asyncio.timeout(_SLOTS_SEC):
                await self.servers.look(endpoint for group in groups for endpoint in group)
        return next(filter(None, map(self.servers.slots, groups)), 1)

    async def listed(self) -> frozenset[str] | None:
        """Names of models that the servers list, within half a second; None where one does not say, or is not known."""
        known = [endpoint for group in self._known.values() for endpoint in group]
        return await listed_models(self._http, known) if known else None

    async def aclose(self) -> None:
        """Closes the connections; calls under way fail."""
        await self._http.aclose()

    async def candidates(self, role: Role, model: str | None) -> list[Group]:
        """In the order to try, each address once. Any server of a group does; the next group is another role's."""
        if self._resolve is None:
            return each_address_once(for_model(in_order(self._groups, role), model))
        found = each_address_once((endpoint,) for endpoint in await self._resolve(role, model))
        if found and model is None:
            self._known[role] = found[0]
        return found

    def model(self, endpoint: Endpoint) -> LlamaChatModel:
        """The chat model of an endpoint; all jobs share what it has learnt about its server."""
        if endpoint not in self._models:
            self._models[endpoint] = LlamaChatModel(
                endpoint=endpoint,
                http=self._http,
                fallback_n_ctx=self._fallback_n_ctx,
                unauthorized_message=self._unauthorized_message,
            )
        return self._models[endpoint]


class JobModels:
    """One job's view: a server that was given up stays so until the job ends, or until no other is left."""

    def __init__(self, roles: ModelRoles, model: str | None) -> None:
        self._roles = roles
        self._wanted = model
        self._answered: set[str] = set()
        self._given_up: set[str] = set()
        self._last_used: dict[str, int] = {}
        self._models_used: dict[str, None] = {}

    @property
    def models_used(self) -> tuple[str, ...]:
        """Names of the models that answered, in order of their first answer."""
        return tuple(self._models_used)

    async def complete(
        self,
        role: Role,
        prompt: Prompt,
        sampling: Sampling | None = None,
        on_delta: OnDelta | None = None,
        on_progress: OnProgress | None = None,
    ) -> Completion:
        """One answer. Cancelling closes the connection, which frees the server's slot.

        Args:
            on_delta: gets the text as it arrives, without the prefill. After a lost connection the answer begins
                again; what was delivered is not repeated.
            on_progress: gets `(done, total)` prompt tokens while the server reads the prompt.

        Raises:
            ModelUnavailable: no server for this role or the roles after it; names every URL tried.
            LLMError: see `kitty_llm.errors`.
        """
        answer = Listener(on_delta, on_progress)
        failures: dict[str, ModelUnavailable | Stalled] = {}
        groups = await self._roles.candidates(role, self._wanted)
        for group in self._still_trusted(groups):
            async with aclosing(self._turns(group, failures)) as turns:
                async for endpoint, patience in turns:
                    try:
                        return await self._complete_on(endpoint, prompt, sampling or Sampling(), patience, answer)
                    except (ModelUnavailable, Stalled) as failure:
                        self._given_up.add(endpoint.root)
                        self._roles.servers.failed(endpoint)
                        failures[endpoint.root] = failure
        raise self._nobody(groups, list(failures.values()))

    def _still_trusted(self, groups: list[Group]) -> list[Group]:
        """Those of which one was not given up; all of them again when none is left."""
        return [group for group in groups if any(end.root not in self._given_up for end in group)] or groups

    async def _turns(
        self, group: Group, failures: Mapping[str, LLMError]
    ) -> AsyncGenerator[tuple[Endpoint, Patience | None], None]:
        """Whom of a role to ask; the next one is for when the one before has failed. None: as patiently as is due.

        None is waited for while another is well, for that does as well. Then at most one is.
        """
        if len(group) == 1:
            yield group[0], None
            return
        servers, left = self._roles.servers, list(group)
        await servers.look(group)
        while well := servers.well(left):
            endpoint = servers.least_loaded(well, self._last_used)
            left.remove(endpoint)
            yield endpoint, self._roles.brief
        if len(left) < len(group):
            await servers.look(group, anew=True)
        awaited = self._worth_waiting_for(group, left, failures)
        for endpoint in left:
            if endpoint is not awaited:
                yield endpoint, self._roles.once
        if awaited is not None:
            yield awaited, None

    def _worth_waiting_for(
        self, group: Group, left: list[Endpoint], failures: Mapping[str, LLMError]
    ) -> Endpoint | None:
        """One that loads or is busy, else the one that this job lost, else one of those `left`."""
        hopeless = {root for root, failure in failures.items() if isinstance(failure, ServerLost | Stalled)}
        others = [endpoint for endpoint in group if endpoint.root not in hopeless]
        there = [endpoint for endpoint in others if self._roles.servers.state(endpoint) in ("ok", "loading")]
        lost = [endpoint for endpoint in others if endpoint.root in self._answered]
        return max(there or lost or left, key=lambda end: self._last_used.get(end.root, 0), default=None)

    async def _complete_on(
        self, endpoint: Endpoint, prompt: Prompt, sampling: Sampling, patience: Patience | None, answer: Listener
    ) -> Completion:
        self._last_used[endpoint.root] = 1 + max(self._last_used.values(), default=0)
        with self._roles.servers.at_work(endpoint, self):
            for _ in range(_ATTEMPTS - 1):
                with suppress(ServerLost):
                    return await self._stream(endpoint, prompt, sampling, patience, answer)
            return await self._stream(endpoint, prompt, sampling, patience, answer)

    async def _stream(
        self, endpoint: Endpoint, prompt: Prompt, sampling: Sampling, patience: Patience | None, answer: Listener
    ) -> Completion:
        answer.restart()
        last = AIMessageChunk(content="")
        due = self._roles.mid_job if endpoint.root in self._answered else self._roles.at_start
        chunks = self._roles.model(endpoint).astream(messages_of(prompt), sampling=sampling, patience=patience or due)
        try:
            async with aclosing(chunks):  # type: ignore[type-var]  # an async generator, typed as an iterator
                async for chunk in chunks:
                    answer.hear(chunk)
                    last = chunk if chunk.usage_metadata else last
        except ServerLost:
            self._answered.add(endpoint.root)
            raise
        return self._noted(completion_of(answer, last, endpoint))

    def _noted(self, completion: Completion) -> Completion:
        root = completion.endpoint.root
        self._roles.servers.answered(completion.endpoint)
        self._answered.add(root)
        self._given_up.discard(root)
        self._models_used.setdefault(completion.model)
        return completion

    def _nobody(self, groups: list[Group], failures: Sequence[ModelUnavailable | Stalled]) -> LLMError:
        if failures and all(isinstance(failure, Stalled) for failure in failures):
            return failures[-1]
        reasons = " ".join(dict.fromkeys(getattr(failure, "hint", "") or str(failure) for failure in failures))
        urls = [endpoint.base_url for group in groups for endpoint in group]
        return ModelUnavailable(urls, f"{reasons} {self._roles.hint}".strip())
