"""What the steps work with, handed to each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from brain.door import Caller, Offer, Outcome
from brain.metrics import Metrics
from kitty_llm import Completion, Endpoint, Prompt, Role, Sampling

Emit = Callable[[dict[str, Any]], None]


class Writer(Protocol):
    """What the steps need of a model: `kitty_llm.JobModels` is one."""

    async def complete(
        self,
        role: Role,
        prompt: Prompt,
        sampling: Sampling | None = None,
        on_delta: Callable[[str], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Completion:
        """Answer `prompt`, streaming what comes."""
        ...


class Invoker(Protocol):
    """The one door: `brain.door.Door` is one."""

    async def invoke(
        self, caller: Caller, tool: Offer, arguments: Mapping[str, Any], conversation_id: str | None
    ) -> Outcome:
        """Call a tool."""
        ...


@dataclass(frozen=True)
class Means:
    """What one message is answered with."""

    writer: Writer
    door: Invoker
    emit: Emit
    metrics: Metrics
    max_tokens: int
    max_iterations: int
    has_second_opinion: bool
    """Whether the F16 role is another server than Q4."""
    tier_of: Callable[[Role, Endpoint], Role]
    """The role whose server answered, where this one was asked: an alias or a server that is down leads to another."""
