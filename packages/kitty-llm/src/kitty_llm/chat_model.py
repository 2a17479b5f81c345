"""The LangChain chat model for llama.cpp servers and whatever else speaks OpenAI's chat completions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from kitty_llm.backend import UNAUTHORIZED, Backend, open_client
from kitty_llm.budget import estimate
from kitty_llm.dialects import Call, Delta
from kitty_llm.endpoint import AT_JOB_START, Endpoint, Patience
from kitty_llm.messages import conversation_of
from kitty_llm.prompt import Sampling
from kitty_llm.stream import stream_answer
from kitty_llm.tally import Tally


class LlamaChatModel(BaseChatModel):
    """Always streams, also for `ainvoke`: closing a streaming request frees the server's slot at once.

    `sampling=` and `patience=` may be given with a call, and so may each field of `Sampling` by its name. A last
    `AIMessage` is continued. A text block with `"trimmable": True` may be cut when the window is too small.

    `astream` yields text in chunks, prefill progress as chunks without content and with
    `response_metadata={"prompt_progress": {"total", "cache", "processed", "time_ms"}}`, what is told of a piece's
    tokens under `response_metadata["tokens"]`, and a last chunk whose `response_metadata` has `finish_reason`,
    `model`, `timings`, `prefilled`, `seconds`, and whose `usage_metadata` has the counts, those from the cache under
    `input_token_details["cache_read"]`.

    Raises:
        LLMError: see `kitty_llm.errors`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    endpoint: Endpoint
    sampling: Sampling = Sampling()
    patience: Patience = AT_JOB_START
    fallback_n_ctx: int = 4096
    """The context window of a server that cannot be asked."""
    supports_prefill: bool = True
    unauthorized_message: str = UNAUTHORIZED
    """May name `{url}` and `{variable}`."""
    http: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)
    """Shared and closed by its owner; without it the model opens its own and `aclose` closes it."""

    _own_http: httpx.AsyncClient | None = PrivateAttr(default=None)
    _backend: Backend | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "kitty-llama"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"base_url": self.endpoint.base_url, "model": self.endpoint.alias}

    async def aclose(self) -> None:
        """Closes the model's own HTTP client, if it has one."""
        http, self._own_http, self._backend = self._own_http, None, None
        if http is not None:
            await http.aclose()

    def get_num_tokens(self, text: str) -> int:
        """An estimate without a request; every call counts exactly for itself."""
        return estimate(text)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call, patience = self._call(messages, stop, kwargs)
        tally = Tally(call)
        async with aclosing(stream_answer(self._server(), call, patience)) as deltas:
            async for delta in deltas:
                tally.add(delta)
                if delta.text or delta.reasoning or delta.progress or delta.tokens:
                    yield ChatGenerationChunk(message=_chunk(delta))
        last = AIMessageChunk(
            content="", response_metadata=_about(tally), usage_metadata=_counts(tally), chunk_position="last"
        )
        yield ChatGenerationChunk(message=last)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call, patience = self._call(messages, stop, kwargs)
        tally, text = Tally(call), []
        async with aclosing(stream_answer(self._server(), call, patience)) as deltas:
            async for delta in deltas:
                tally.add(delta)
                text.append(delta.text)
        message = AIMessage(content="".join(text), response_metadata=_about(tally), usage_metadata=_counts(tally))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Runs in a loop and a thread of its own, so that it works in every program."""

        async def once() -> ChatResult:
            model = self.model_copy(update={"http": None})
            model._own_http = model._backend = None
            try:
                return await model._agenerate(messages, stop, None, **kwargs)
            finally:
                await model.aclose()

        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(asyncio.run, once()).result()

    def _server(self) -> Backend:
        if self._backend is None:
            if self.http is None:
                self._own_http = open_client()
            self._backend = Backend(
                self.endpoint,
                self.http or self._own_http or open_client(),
                fallback_n_ctx=self.fallback_n_ctx,
                supports_prefill=self.supports_prefill,
                unauthorized_message=self.unauthorized_message,
            )
        return self._backend

    def _call(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> tuple[Call, Patience]:
        sampling: Sampling = options.get("sampling") or self.sampling
        named = {name: options[name] for name in vars(sampling) if name in options}
        if stop is not None:
            named["stop"] = tuple(stop)
        said, prefill = conversation_of(messages)
        call = Call(said, prefill, replace(sampling, **named), self.endpoint.alias)
        return call, options.get("patience") or self.patience


def _chunk(delta: Delta) -> AIMessageChunk:
    metadata: dict[str, Any] = {"prompt_progress": dict(delta.progress)} if delta.progress else {}
    if delta.tokens:
        metadata["tokens"] = list(delta.tokens)
    reasoning = {"reasoning_content": delta.reasoning} if delta.reasoning else {}
    return AIMessageChunk(content=delta.text, response_metadata=metadata, additional_kwargs=reasoning)


def _about(tally: Tally) -> dict[str, Any]:
    return {
        "finish_reason": tally.finish_reason,
        "model": tally.model,
        "timings": tally.timings,
        "prefilled": tally.prefilled,
        "seconds": tally.usage.seconds,
    }


def _counts(tally: Tally) -> UsageMetadata:
    usage = tally.usage
    read = usage.prefill_tokens + usage.cached_tokens
    return UsageMetadata(
        input_tokens=read,
        output_tokens=usage.completion_tokens,
        total_tokens=read + usage.completion_tokens,
        input_token_details=InputTokenDetails(cache_read=usage.cached_tokens),
    )
