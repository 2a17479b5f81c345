"""What came back, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kitty_llm.endpoint import Endpoint


@dataclass(frozen=True)
class Usage:
    """`prefill_tokens` were computed, `cached_tokens` were found in the server's KV cache. Usages add up."""

    prefill_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prefill_tokens + other.prefill_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.calls + other.calls,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class Token:
    """One token of an answer, and the likeliest in its place, itself mostly among them: text to log probability."""

    text: str
    alternatives: Mapping[str, float]


@dataclass(frozen=True)
class Completion:
    """`text` comes without the prefill."""

    text: str
    finish_reason: str
    """`stop`, or `length` when the token budget cut the answer; otherwise the server's own word."""
    usage: Usage
    model: str
    """As the server names it; the alias where it does not."""
    endpoint: Endpoint
    timings: Mapping[str, Any] = field(default_factory=dict)
    """llama.cpp's own numbers, empty elsewhere."""
    prefilled: bool = True
    """False: this server cannot continue an assistant message; the prefill was asked for in words."""
    tokens: tuple[Token, ...] = ()
    """With `Sampling.top_logprobs`, where the server tells them; else empty."""
