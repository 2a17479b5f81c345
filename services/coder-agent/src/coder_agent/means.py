"""What a job works with, handed to every step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from coder_agent.settings import Settings
from kitty_llm import Completion, Prompt, Sampling
from kitty_sandbox import Sandbox

Emit = Callable[[dict[str, Any]], None]


class Writer(Protocol):
    """What the steps need of a model: `kitty_llm.JobModels` is one."""

    async def complete(
        self,
        role: Any,
        prompt: Prompt,
        sampling: Sampling,
        on_delta: Callable[[str], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Completion:
        """Answer `prompt`, streaming what comes."""
        ...


@dataclass(frozen=True)
class Means:
    """What a job works with."""

    writer: Writer
    sandbox: Sandbox
    settings: Settings
    emit: Emit
    observe: Callable[[str, float], None]
    """Told the name and the seconds of each step."""
