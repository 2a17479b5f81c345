"""Asking the model: what the prompts share, how answers are drawn, and the answer with what it cost."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from coder_agent import prompts
from coder_agent.means import Means
from coder_agent.prompts import Brief
from coder_agent.reading.examples import Reading
from coder_agent.reading.naming import signature
from coder_agent.settings import Settings
from coder_agent.state import CodingState, Task
from kitty_llm import Completion, ContextOverflow, Prompt, Sampling, Usage

MOST_EXAMPLE_CHARS = 160
"""Of an example that the code may begin with explaining."""
LATER_TEMPERATURE = 0.8
"""Of all samples but the first: where one of many is to be right, they must differ (Codex, arXiv 2107.03374)."""

HOT_TEMPERATURE = 1.3
"""Of samples after others were in vain. llama.cpp cuts unlikely tokens off before it applies it (top-p, min-p), so that
the code stays code (min-p sampling, arXiv 2407.01082)."""


def brief_of(task: Task, reading: Reading) -> Brief:
    """What the prompts of this job share."""
    simple = [(case.call, case.expected) for case in reading.examples if case.call and case.expected]
    example = next(((call, gives) for call, gives in simple if len(call) + len(gives) <= MOST_EXAMPLE_CHARS), None)
    return Brief(task.wanted, task.module, _to_define(task, reading), task.caller_tests, task.files, example)


def _to_define(task: Task, reading: Reading) -> str | None:
    """What the module must define, as code: all of it where more than one thing is asked for."""
    if reading.kind == "class":
        return f"class {reading.entry}"
    if len(reading.to_define) > 1:
        return "`, `".join(signature(task.whole_request, name) or name for name in reading.to_define)
    return reading.signature or reading.entry


async def ask(
    state: CodingState,
    means: Means,
    step: str,
    role: str,
    prompt: Prompt,
    sampling: Sampling,
    *,
    continues: bool = True,
) -> tuple[Completion, Mapping[str, Usage]]:
    """The model's answer (continued once when it was cut off) and the usage so far."""

    def on_delta(delta: str) -> None:
        means.emit({"type": f"{step}_chunk", "delta": delta})

    def on_progress(done: int, total: int) -> None:
        means.emit({"type": "prefill", "done": done, "total": total})

    answer = await means.writer.complete(role, prompt, sampling, on_delta, on_progress)
    if answer.finish_reason == "length" and continues:
        more = replace(prompt, prefill=prompt.prefill + answer.text)
        with suppress(ContextOverflow):  # no room to go on: the first part is the answer
            rest = await means.writer.complete(role, more, sampling, on_delta, on_progress)
            answer = replace(rest, text=answer.text + rest.text, usage=answer.usage + rest.usage)
    before = state.get("usage", {})
    return answer, {**before, step: before.get(step, Usage()) + answer.usage}


async def model_plan(brief: Brief, means: Means, usage: dict[str, Usage]) -> list[str]:
    sampling = Sampling(max_tokens=200, json_schema=prompts.PLAN_SCHEMA)
    state = CodingState(usage=usage)
    answer, after = await ask(state, means, "plan", "q4", prompts.plan_prompt(brief), sampling, continues=False)
    usage.update(after)
    try:
        steps = json.loads(answer.text)
    except json.JSONDecodeError:
        return []
    return [str(step) for step in steps] if isinstance(steps, list) else []


def sampling_of(
    settings: Settings, attempt: int, reading: Reading, *, is_drawn: bool, is_hot: bool = False
) -> Sampling:
    """`is_drawn`: at a temperature at which answers differ; `is_hot`: a good deal."""
    first = settings.coder_temperature or 0.0
    temperature = max(first, HOT_TEMPERATURE if is_hot else LATER_TEMPERATURE) if is_drawn else first
    stop = prompts.STOP_AFTER_MODULE if reading.entry else prompts.STOP
    return Sampling(temperature=temperature, seed=attempt, max_tokens=settings.coder_max_tokens, stop=stop)


def with_lead(text: str, lead: str) -> str:
    """`text` with the prefilled beginning of its first line, unless the model wrote that itself."""
    starts_anew = text.lstrip().startswith((lead, "```", "assert ", "def ", "import ", "from "))
    return text if starts_anew or "```" in text.split("\n", 1)[0] else lead + text
