"""What is asked: plain data, no LangChain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Part:
    """A piece of a turn. A trimmable one may lose its middle, or all of it, when the window is too small."""

    text: str
    trimmable: bool = False


@dataclass(frozen=True)
class Turn:
    """One message: its parts in order, then `text`, with nothing put between them."""

    role: Literal["user", "assistant"]
    text: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def pieces(self) -> tuple[Part, ...]:
        return (*self.parts, Part(self.text)) if self.text or not self.parts else self.parts


@dataclass(frozen=True)
class Prompt:
    """A conversation. The answer continues `prefill`, which is not part of the answer."""

    system: str
    turns: tuple[Turn, ...]
    prefill: str = ""


@dataclass(frozen=True)
class Sampling:
    """How the answer is drawn. The same seed and prompt give the same answer on the same server."""

    temperature: float = 0.0
    top_p: float = 0.95
    seed: int = 0
    max_tokens: int = 768
    least_tokens: int = 128
    """Room the answer must have. Where the prompt leaves less, the call is a ContextOverflow and not made."""
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    grammar: str | None = None
    """GBNF; llama.cpp only."""
    top_logprobs: int = 0
    """So many alternatives are told for each token, where the server tells them (`Completion.tokens`)."""
