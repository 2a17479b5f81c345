"""The two dialects: what is sent, and one shape for what comes back.

`chat` is OpenAI's `/v1/chat/completions` (with llama.cpp's own fields unless the server is strict),
`completion` is llama.cpp's native `/completion` on a prompt that was rendered before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kitty_llm.completion import Token
from kitty_llm.errors import BackendAnsweredNonsense
from kitty_llm.prompt import Part, Sampling

Dialect = Literal["chat", "completion"]

# The server's own defaults differ between its two endpoints, so nothing is left to them.
_PINNED = {"repeat_penalty": 1.0, "top_k": 40, "min_p": 0.05}
_HOTTEST_ELSEWHERE = 1.0
_LLAMA_FIELDS = {**_PINNED, "cache_prompt": True, "return_progress": True, "timings_per_token": True}


@dataclass(frozen=True)
class Message:
    role: str
    pieces: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def as_json(self) -> dict[str, str]:
        return {"role": self.role, "content": self.text}


@dataclass(frozen=True)
class Call:
    """One request, before it is known how the server wants it."""

    messages: tuple[Message, ...]
    prefill: str
    sampling: Sampling
    model: str


@dataclass(frozen=True)
class Variant:
    """How a server wants to be asked. Found by trying, remembered for the endpoint."""

    dialect: Dialect = "chat"
    strict: bool = False
    """Without the fields only llama.cpp knows."""
    continues: bool = True
    """A last message of the assistant is continued."""


@dataclass(frozen=True)
class Delta:
    """A piece of the answer, from either dialect."""

    text: str = ""
    reasoning: str = ""
    progress: Mapping[str, int] | None = None
    finish_reason: str | None = None
    timings: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    tokens: tuple[Token, ...] = ()
    prefilled: bool | None = None
    """Said once, at the end: was the prefill really continued?"""


def chat_body(call: Call, variant: Variant) -> dict[str, Any]:
    """The body for `/v1/chat/completions`."""
    sampling = call.sampling
    messages = [message.as_json() for message in call.messages]
    if call.prefill:
        messages.append({"role": "assistant", "content": call.prefill})
    body: dict[str, Any] = {
        "model": call.model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "max_tokens": sampling.max_tokens,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": dict(sampling.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if variant.strict:
        # Unlike llama.cpp, others draw at the temperature first and cut unlikely tokens off after that.
        body["temperature"] = min(sampling.temperature, _HOTTEST_ELSEWHERE)
    else:
        body |= _LLAMA_FIELDS
        if sampling.grammar is not None:
            body["grammar"] = sampling.grammar
        if sampling.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
    return body


def native_body(call: Call, prompt: str) -> dict[str, Any]:
    """The body for `/completion`. `prompt` ends where the answer begins."""
    sampling = call.sampling
    body: dict[str, Any] = {
        "model": call.model,
        "prompt": prompt,
        "stream": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "n_predict": sampling.max_tokens,
        # A server without a template does not know that ChatML's end mark ends the turn.
        "stop": [*sampling.stop, "<|im_end|>"],
        **_LLAMA_FIELDS,
    }
    if sampling.json_schema is not None:
        body["json_schema"] = dict(sampling.json_schema)
    if sampling.grammar is not None:
        body["grammar"] = sampling.grammar
    if sampling.top_logprobs:
        body["n_probs"] = sampling.top_logprobs
    return body


def chatml(messages: Sequence[Message]) -> str:
    """The prompt for a server that has no `/apply-template`."""
    turns = "".join(f"<|im_start|>{message.role}\n{message.text}<|im_end|>\n" for message in messages)
    return f"{turns}<|im_start|>assistant\n"


def ask_for_prefill_in_words(call: Call) -> Call:
    """For a server that does not continue an assistant message: the last message says how to begin."""
    if not call.prefill:
        return call
    *before, last = call.messages
    wish = f"\n\nYour answer begins with exactly this text; go on right after it:\n{call.prefill}"
    return replace(call, messages=(*before, replace(last, pieces=(*last.pieces, Part(wish)))), prefill="")


def delta_of(payload: Any) -> Delta:
    """Reads a frame of either dialect.

    Raises:
        BackendAnsweredNonsense: the frame has another shape.
    """
    try:
        return _chat_delta(payload) if "choices" in payload else _native_delta(payload)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise BackendAnsweredNonsense(f"The model server sent a frame of an unknown shape: {payload!r:.200}") from error


def _chat_delta(payload: Mapping[str, Any]) -> Delta:
    choice = payload["choices"][0] if payload["choices"] else {}
    piece = choice.get("delta") or choice.get("message") or {}
    return Delta(
        text=piece.get("content") or "",
        reasoning=piece.get("reasoning_content") or "",
        progress=_progress(payload),
        finish_reason=choice.get("finish_reason"),
        timings=payload.get("timings") or {},
        usage=payload.get("usage") or {},
        model=payload.get("model") or "",
        tokens=_tokens((choice.get("logprobs") or {}).get("content")),
    )


def _native_delta(payload: Mapping[str, Any]) -> Delta:
    text = payload["content"]
    if not isinstance(text, str):
        raise TypeError("content is not text")
    progress = _progress(payload)
    tokens = _tokens(payload.get("completion_probabilities"))
    if not payload.get("stop"):
        return Delta(text=text, progress=progress, timings=payload.get("timings") or {}, tokens=tokens)
    cut = payload.get("stop_type") == "limit" or bool(payload.get("stopped_limit"))
    counts = {"prompt_tokens": payload.get("tokens_evaluated"), "completion_tokens": payload.get("tokens_predicted")}
    return Delta(
        text=text,
        progress=progress,
        finish_reason="length" if cut else "stop",
        timings=payload.get("timings") or {},
        usage={name: count for name, count in counts.items() if count is not None},
        model=payload.get("model") or "",
        tokens=tokens,
    )


def _tokens(entries: Any) -> tuple[Token, ...]:
    """llama.cpp and OpenAI tell alternatives alike. What is told otherwise counts as not told: nothing rests on it."""
    try:
        return tuple(
            Token(str(entry["token"]), {str(top["token"]): float(top["logprob"]) for top in entry["top_logprobs"]})
            for entry in entries or ()
        )
    except (KeyError, TypeError, ValueError):
        return ()


def _progress(payload: Mapping[str, Any]) -> Mapping[str, int] | None:
    progress = payload.get("prompt_progress")
    return {name: int(number) for name, number in progress.items()} if progress else None
