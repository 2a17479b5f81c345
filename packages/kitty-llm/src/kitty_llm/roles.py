"""Which server answers for which role: in order, remembered for one job, tried anew by the next."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from langchain_core.messages import AIMessageChunk

from kitty_llm.backend import UNAUTHORIZED, open_client
from kitty_llm.chat_model import LlamaChatModel
from kitty_llm.completion import Completion, Token, Usage
from kitty_llm.echo import Replay
from kitty_llm.endpoint import AT_JOB_START, FALL_BACK, MID_JOB, Endpoint, Patience, Role
from kitty_llm.errors import LLMError, ModelUnavailable, ServerLost, Stalled
from kitty_llm.health import Health, listed_models, probe_all
from kitty_llm.messages import messages_of
from kitty_llm.prompt import Prompt, Sampling

Resolve = Callable[[Role, str | None], Awaitable[Sequence[Endpoint]]]
"""The servers to try for a role, in order; `model` is what the job asked for. May start a server: it is asked
before every call and answers quickly when the server is up."""

OnDelta = Callable[[str], None]
OnProgress = Callable[[int, int], None]

_ATTEMPTS = 3
"""How often one server may be lost in the middle of the same answer."""


class ModelRoles:
    """Built once per service.

    Args:
        endpoints: one per role (missing roles fall back), or a function that finds them, see `Resolve`.
        at_start: for a server that has not answered in this job yet.
        mid_job: for one that has.
        fallback_n_ctx: the window of a server that cannot be asked (`LLAMACPP_N_CTX`).
        unauthorized_message: may name `{url}` and `{variable}`.
        hint: what a person can do when no server answers.
    """

    def __init__(
        self,
        endpoints: Mapping[Role, Endpoint] | Resolve,
        *,
        at_start: Patience = AT_JOB_START,
        mid_job: Patience = MID_JOB,
        fallback_n_ctx: int = 4096,
        unauthorized_message: str = UNAUTHORIZED,
        hint: str = "",
    ) -> None:
        self.at_start = at_start
        self.mid_job = mid_job
        self.hint = hint
        self._resolve = endpoints if callable(endpoints) else _resolver(endpoints)
        self._known: dict[Role, Endpoint | None] = dict.fromkeys(FALL_BACK)
        if not callable(endpoints):
            self._known.update({role: _for_role(endpoints, role)[0] for role in FALL_BACK if endpoints})
        self._fallback_n_ctx = fallback_n_ctx
        self._unauthorized_message = unauthorized_message
        self._http = open_client()
        self._models: dict[Endpoint, LlamaChatModel] = {}

    def start_job(self, model: str | None = None) -> "JobModels":
        """`model` is an alias (that endpoint first; an alias nobody has is sent to the preferred one) or a base URL."""
        return JobModels(self, model)

    async def health(self) -> dict[Role, Health]:
        """Within half a second; starts and generates nothing."""
        known = {role: endpoint for role, endpoint in self._known.items() if endpoint is not None}
        found = await probe_all(self._http, known)
        return {role: found.get(role, "not_started") for role in self._known}

    async def listed(self) -> frozenset[str] | None:
        """Names of models that the servers list, within half a second; None where one does not say, or is not known."""
        known = [endpoint for endpoint in self._known.values() if endpoint is not None]
        return await listed_models(self._http, known) if known else None

    async def aclose(self) -> None:
        """Closes the connections; calls under way fail."""
        await self._http.aclose()

    async def candidates(self, role: Role, model: str | None) -> list[Endpoint]:
        """In the order to try, each address once."""
        unique: dict[str, Endpoint] = {}
        for endpoint in await self._resolve(role, model):
            unique.setdefault(endpoint.root, endpoint)
        if unique and model is None:
            self._known[role] = next(iter(unique.values()))
        return list(unique.values())

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
    """One job's view: a server that was given up stays so until the job ends."""

    def __init__(self, roles: ModelRoles, model: str | None) -> None:
        self._roles = roles
        self._wanted = model
        self._answered: set[str] = set()
        self._given_up: set[str] = set()
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
        answer = _Listener(on_delta, on_progress)
        failures: list[ModelUnavailable | Stalled] = []
        candidates = await self._roles.candidates(role, self._wanted)
        for endpoint in self._still_trusted(candidates):
            try:
                completion = await self._complete_on(endpoint, prompt, sampling or Sampling(), answer)
            except (ModelUnavailable, Stalled) as failure:
                self._given_up.add(endpoint.root)
                failures.append(failure)
            else:
                self._models_used.setdefault(completion.model)
                return completion
        raise self._nobody(candidates, failures)

    def _still_trusted(self, candidates: list[Endpoint]) -> list[Endpoint]:
        """Those not given up; all of them again when none is left."""
        return [endpoint for endpoint in candidates if endpoint.root not in self._given_up] or candidates

    async def _complete_on(
        self, endpoint: Endpoint, prompt: Prompt, sampling: Sampling, answer: "_Listener"
    ) -> Completion:
        attempt = 1
        while True:
            known = endpoint.root in self._answered
            patience = self._roles.mid_job if known else self._roles.at_start
            try:
                completion = await self._stream(endpoint, prompt, sampling, patience, answer)
            except ServerLost:
                self._answered.add(endpoint.root)
                if attempt == _ATTEMPTS:
                    raise
                attempt += 1
            else:
                self._answered.add(endpoint.root)
                return completion

    async def _stream(
        self, endpoint: Endpoint, prompt: Prompt, sampling: Sampling, patience: Patience, answer: "_Listener"
    ) -> Completion:
        answer.restart()
        last = AIMessageChunk(content="")
        chunks = self._roles.model(endpoint).astream(messages_of(prompt), sampling=sampling, patience=patience)
        async with aclosing(chunks):  # type: ignore[type-var]  # an async generator, typed as an iterator
            async for chunk in chunks:
                answer.hear(chunk)
                last = chunk if chunk.usage_metadata else last
        return replace(_completion(answer.text, last, endpoint), tokens=tuple(answer.tokens))

    def _nobody(self, candidates: list[Endpoint], failures: Sequence[ModelUnavailable | Stalled]) -> LLMError:
        if failures and all(isinstance(failure, Stalled) for failure in failures):
            return failures[-1]
        reasons = " ".join(dict.fromkeys(getattr(failure, "hint", "") or str(failure) for failure in failures))
        urls = [endpoint.base_url for endpoint in candidates]
        return ModelUnavailable(urls, f"{reasons} {self._roles.hint}".strip())


class _Listener:
    """Collects one answer's text and tells the caller about it."""

    def __init__(self, on_delta: OnDelta | None, on_progress: OnProgress | None) -> None:
        self._on_delta = on_delta
        self._on_progress = on_progress
        self._replay = Replay()
        self.text = ""
        self.tokens: list[Token] = []

    def restart(self) -> None:
        self.text = ""
        self.tokens.clear()
        self._replay.restart()

    def hear(self, chunk: AIMessageChunk) -> None:
        progress = chunk.response_metadata.get("prompt_progress")
        if progress and self._on_progress:
            self._on_progress(progress.get("processed", 0), progress.get("total", 0))
        self.tokens += chunk.response_metadata.get("tokens", ())
        piece = cast(str, chunk.content)
        self.text += piece
        fresh = self._replay.feed(piece) if piece else ""
        if fresh and self._on_delta:
            self._on_delta(fresh)


def _completion(text: str, last: AIMessageChunk, endpoint: Endpoint) -> Completion:
    about, counts = last.response_metadata, last.usage_metadata
    usage = Usage(calls=1, seconds=about["seconds"])
    if counts is not None:
        cached = counts["input_token_details"]["cache_read"]
        usage = replace(
            usage,
            prefill_tokens=counts["input_tokens"] - cached,
            cached_tokens=cached,
            completion_tokens=counts["output_tokens"],
        )
    return Completion(
        text=text,
        finish_reason=about["finish_reason"],
        usage=usage,
        model=about["model"],
        endpoint=endpoint,
        timings=about["timings"],
        prefilled=about["prefilled"],
    )


def _for_role(endpoints: Mapping[Role, Endpoint], role: Role) -> list[Endpoint]:
    return [endpoints[name] for name in FALL_BACK[role] if name in endpoints]


def _resolver(endpoints: Mapping[Role, Endpoint]) -> Resolve:
    async def resolve(role: Role, model: str | None) -> list[Endpoint]:
        order = _for_role(endpoints, role)
        if model is None or not order:
            return order
        if "://" in model:
            same = [endpoint for endpoint in order if endpoint.root == Endpoint(model).root]
            return same or [Endpoint(model, alias=order[0].alias)]
        named = [endpoint for endpoint in order if endpoint.alias == model]
        if named:
            return named + [endpoint for endpoint in order if endpoint.alias != model]
        return [replace(endpoint, alias=model) for endpoint in order]

    return resolve
