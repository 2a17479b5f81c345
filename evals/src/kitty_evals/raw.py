"""The raw arm: the model server, asked once for each task and without any help.

Greedy, with the beginning of the answer given, and the text up to the closing fence taken as it stands. That is how
EvalPlus asks a chat model (https://github.com/evalplus/evalplus, `make_raw_chat_prompt`), without its further stop
words and without its sanitizing, which cuts text that is not code.
"""

import asyncio

from kitty_evals.errors import ModelLost
from kitty_evals.records import ArmName, Spent
from kitty_evals.solver import ATTEMPTS, PAUSE_SEC, Answer
from kitty_evals.tasks import Task
from kitty_llm import Completion, Endpoint, LLMError, ModelRoles, ModelUnavailable, Prompt, Sampling, Turn

SYSTEM = "You are a helpful assistant."
QUESTION = "Solve this in Python. Answer with one self-contained Python code block.\n\n{request}\n"
BEGINNING, FENCE = "```python\n", "\n```"
GREEDY = Sampling(temperature=0.0, max_tokens=768, stop=(FENCE,))


def roles_of(base_url: str, api_key: str | None, alias: str) -> ModelRoles:
    """The model client of one server; close it."""
    return ModelRoles({"coder": Endpoint(base_url, api_key, alias)})


class RawSolver:
    """Implements `Solver`."""

    arm: ArmName = "raw"
    tier: str | None = None

    def __init__(self, roles: ModelRoles) -> None:
        self._roles = roles

    async def solve(self, task: Task) -> Answer:
        """Raises `ModelLost` where the server does not answer, asked three times."""
        question = QUESTION.replace("{request}", task.request)
        prompt = Prompt(SYSTEM, (Turn("user", question),), prefill=BEGINNING)
        try:
            completion = await self._complete(prompt)
        except LLMError as error:
            return Answer(error=str(error), error_code=error.code)
        used = completion.usage
        counts = (used.prefill_tokens, used.cached_tokens, used.completion_tokens, used.calls)
        spent = Spent(*counts, total_seconds=used.seconds, seconds={"code": used.seconds})
        return Answer(code=completion.text.partition(FENCE)[0], usage=spent, model=completion.model)

    async def _complete(self, prompt: Prompt) -> Completion:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._roles.start_job().complete("coder", prompt, GREEDY)
            except ModelUnavailable as error:
                if attempt == ATTEMPTS:
                    raise ModelLost(str(error)) from error
                await asyncio.sleep(PAUSE_SEC)
        raise AssertionError("unreachable")
