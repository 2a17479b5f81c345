"""The shapes of the answers, for the API's document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """`output` is markdown; `data` the result of the tool that was delivered, as it came."""

    output: str
    data: Any = None


class CompletionFacts(BaseModel):
    """What came of a raw call, but for its text, which is the output."""

    finish_reason: str
    model: str
    usage: dict[str, float]
    """`prefill_tokens`, `cached_tokens`, `completion_tokens`, `calls`, `seconds`."""
    prefilled: bool
    """false: the server cannot go on from a prefill; it was asked for in words."""
    timings: dict[str, float]
    """llama.cpp's own numbers, empty elsewhere."""
    tokens: list[dict[str, Any]] | None = None
    """`text` and `alternatives` (log probabilities) of each, with `top_logprobs` where the server tells them."""


class Metadata(BaseModel):
    """How the answer came about."""

    iterations: int
    tools_used: list[str]
    agent_steps: list[dict[str, Any]]
    finish_reason: str | None
    stopped: str | None
    """Why no more tools were called."""
    remembered: int | None = None
    """Exchanges of the conversation that were remembered before this one; 0: it begins here."""
    completion: CompletionFacts | None = None
    """Of a query with `completion`."""


class Routing(BaseModel):
    """Who answered (`rules`, `q4`, `f16`, `coder`, `cache`, `gateway`), and how sure the routing was."""

    tier: str
    confidence: float
    latencyMs: int  # noqa: N815 - the contract's spelling
    cached: bool
    metadata: Metadata


class QueryResponse(BaseModel):
    """The answer to a message."""

    model_config = ConfigDict(extra="allow")

    conversationId: str  # noqa: N815
    intent: str
    result: Result
    routing: Routing
    requiresConfirmation: bool  # noqa: N815


class ModelList(BaseModel):
    """The roles and their servers."""

    models: list[dict[str, Any]]
    default: str
    slots: int


class Health(BaseModel):
    """How the service is."""

    service: str
    status: Literal["ok", "degraded", "error"]
    llm_servers: dict[str, str]
    gateway: Literal["ok", "down"]
