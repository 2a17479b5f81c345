"""Raw calls of the model, as their caller words them: no history, no cache, no words of our own.

The calls that name one conversation are one job of the model client: a server that answered in it is waited for when
it is lost, and one that was given up stays so (docs/decisions/0018-the-brain-as-a-route-to-the-model.md).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from brain.errors import of_model
from brain.models import ModelServers
from kitty_llm import Completion, JobModels, LLMError, Prompt, Role, Sampling

MOST_JOBS = 256
KEPT_SEC = 600.0
"""Since its last call; then the preferred server is tried again."""


@dataclass(frozen=True)
class RawCall:
    """What the model is sent, and how its answer is drawn."""

    prompt: Prompt
    sampling: Sampling


@dataclass(frozen=True)
class Job:
    """Whose calls belong together, and the model they want."""

    user_id: str
    conversation_id: str
    model: str | None


class Completions:
    """Makes raw calls, and remembers for each job which servers answered, and nothing else."""

    def __init__(self, models: ModelServers, clock: Callable[[], float] = time.monotonic) -> None:
        self._models = models
        self._clock = clock
        self._jobs: OrderedDict[Job, tuple[float, JobModels]] = OrderedDict()

    async def complete(
        self, call: RawCall, role: Role, job: Job, listener: Callable[[dict[str, Any]], None], *, is_named: bool
    ) -> Completion:
        """The answer as it came; `delta` and `prefill` events meanwhile. Cancelling stops the model.

        Args:
            is_named: whether the caller named the job; one that was made up has no other calls.

        Raises:
            KittyError: see `brain.errors`.
        """
        models = self._of(job) if is_named else self._models.start(job.model)
        try:
            return await models.complete(
                role,
                call.prompt,
                call.sampling,
                lambda delta: listener({"type": "delta", "delta": delta}),
                lambda done, total: listener({"type": "prefill", "done": done, "total": total}),
            )
        except LLMError as failure:
            raise of_model(failure) from failure

    def _of(self, job: Job) -> JobModels:
        at, models = self._jobs.pop(job, (0.0, None))
        if models is None or self._clock() - at > KEPT_SEC:
            models = self._models.start(job.model)
        self._jobs[job] = (self._clock(), models)
        while len(self._jobs) > MOST_JOBS:
            self._jobs.popitem(last=False)
        return models


def facts_of(completion: Completion) -> dict[str, Any]:
    """All of it but the text, as JSON can carry it."""
    facts: dict[str, Any] = {
        "finish_reason": completion.finish_reason,
        "model": completion.model,
        "usage": asdict(completion.usage),
        "prefilled": completion.prefilled,
        "timings": _finite(completion.timings),
    }
    if completion.tokens:
        facts["tokens"] = [
            {"text": token.text, "alternatives": _finite(token.alternatives)} for token in completion.tokens
        ]
    return facts


def _finite(numbers: Mapping[str, Any]) -> dict[str, float]:
    """JSON knows no infinity: what is as unlikely as that is left out."""
    return {
        name: number for name, number in numbers.items() if isinstance(number, int | float) and math.isfinite(number)
    }
