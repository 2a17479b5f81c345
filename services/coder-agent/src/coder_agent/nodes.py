"""The steps of the workflow. Each takes the state and the job's means, and returns only what it changed.

The means (`Means`) are handed in: who writes (a model, by role), who runs (the sandbox), where events go.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from coder_agent import prompts
from coder_agent.candidates import Candidate, Origin, passed_of
from coder_agent.decision import Evidence, comparable, refine_target
from coder_agent.entry import settled, with_tested_name
from coder_agent.examples import Reading, read_request
from coder_agent.extraction import Module, extract_module
from coder_agent.prompts import Brief
from coder_agent.runs import caller_ids, compare_candidates, run_candidate
from coder_agent.settings import Settings
from coder_agent.state import CodingState, Task
from coder_agent.tests_gate import Suite, read_cases
from coder_agent.variation import varied_calls
from coder_agent.verdict import reach_verdict, write_summary
from kitty_llm import Completion, ContextOverflow, LLMError, Prompt, Sampling, Usage
from kitty_sandbox import Sandbox

Emit = Callable[[dict[str, Any]], None]
CHECKS_ASKED_FOR = 6
MOST_CHECK_TOKENS = 320
LATER_TEMPERATURE = 0.7
TESTS_TEMPERATURE = 0.2


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


async def plan(state: CodingState, means: Means) -> CodingState:
    """Read the request; say what will be done. Only the deep tier asks a model for steps: shown, never fed on."""
    task = state["task"]
    reading = await asyncio.to_thread(read_request, task.request)
    if task.caller_tests:
        reading = with_tested_name(reading, task)
    means.emit({"type": "plan_start"})
    usage = dict(state.get("usage", {}))
    steps = _own_plan(task, reading)
    if task.tier == "deep":
        steps = await _model_plan(brief_of(task, reading), means, usage) or steps
    text = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    means.emit({"type": "plan_complete", "plan": text})
    suite = Suite().extended(reading.examples)
    return CodingState(
        reading=reading,
        plan=text,
        suite=suite,
        usage=usage,
        candidates=(),
        rounds_of_tests=0,
        refinements=0,
        attempts=0,
        runs=0,
    )


async def write_code(state: CodingState, means: Means) -> CodingState:
    """One more sample: the first at temperature 0, later ones drawn; no prefilled fence after an empty answer."""
    task, reading, candidates = state["task"], state["reading"], state["candidates"]
    attempt = state["attempts"]
    means.emit({"type": "code_start", "candidate": len(candidates)})
    is_empty_so_far = attempt > 0 and not candidates
    brief = brief_of(task, settled(reading, candidates))
    prompt = prompts.code_prompt(brief, prefilled=not is_empty_so_far, otherwise=bool(candidates))
    sampling = _sampling(means.settings, attempt, reading)
    if is_empty_so_far:
        sampling = replace(sampling, stop=())
    answer, usage = await _write(state, means, "code", "coder", prompt, sampling)
    found = await asyncio.to_thread(extract_module, answer.text, settled(reading, candidates).entry)
    if found is not None:
        candidates = (*candidates, _candidate(found, len(candidates), "sample", answer))
    means.emit({"type": "code_complete", "code": found.code if found else "", "candidate": len(state["candidates"])})
    return CodingState(candidates=candidates, attempts=attempt + 1, usage=usage)


async def write_tests(state: CodingState, means: Means) -> CodingState:
    """Checks from the request and the signature, never from the code. Rows of earlier runs lack them, so they go."""
    task, candidates = state["task"], state["candidates"]
    reading = settled(state["reading"], candidates)
    means.emit({"type": "test_start"})
    rounds = state["rounds_of_tests"]
    update = CodingState(rounds_of_tests=rounds + 1)
    if reading.entry is not None:
        signature = reading.signature or f"{reading.entry}(...)"
        asked = prompts.tests_prompt(
            brief_of(task, reading), reading.entry, signature, CHECKS_ASKED_FOR, is_class=reading.is_class
        )
        sampling = Sampling(
            temperature=TESTS_TEMPERATURE if rounds == 0 else LATER_TEMPERATURE,
            seed=1000 + rounds,
            max_tokens=min(MOST_CHECK_TOKENS, means.settings.coder_max_tokens),
            stop=prompts.STOP,
        )
        try:
            answer, usage = await _write(state, means, "test", "coder", asked, sampling, continues=False)
        except LLMError as error:
            if not state["suite"].ids(trusted=True) and not isinstance(error, ContextOverflow):
                raise
            # What was proved so far is not given up for want of more tests.
            means.emit({"type": "test_complete", "testCode": "", "error": str(error)})
            return update
        lead = asked.prefill.removeprefix(prompts.FENCE)
        text = _with_lead(answer.text, lead)
        written = await asyncio.to_thread(read_cases, text, reading.entry, reading.examples, CHECKS_ASKED_FOR)
        update["usage"] = usage
        update["suite"] = state["suite"].extended(written)
        if written:
            update["candidates"] = tuple(replace(candidate, row=None) for candidate in candidates)
    shown = "\n".join(case.check for _, case in update.get("suite", state["suite"]).cases)
    means.emit({"type": "test_complete", "testCode": shown})
    return update


async def run_tests(state: CodingState, means: Means) -> CodingState:
    """Run every candidate that has not been run on the cases as they are now."""
    reading = settled(state["reading"], state["candidates"])
    done: list[Candidate] = []
    runs = state["runs"]
    for candidate in state["candidates"]:
        known = next((c.row for c in done if c.code == candidate.code), None)
        if candidate.row is None and known is not None:
            candidate = candidate.with_row(known)
        if candidate.row is None:
            means.emit({"type": "run_start", "iteration": runs})
            row = await run_candidate(means.sandbox, state["task"], candidate, state["suite"], reading.entry)
            runs += 1
            candidate = candidate.with_row(row)
            means.emit({"type": "run_output", "stdout": row.stdout, "stderr": row.stderr})
            passed = bool(row.checks) and all(check.passed for check in row.checks.values())
            means.emit({"type": "run_complete", "testsPassed": passed, "exitCode": 0 if passed else 1})
            trusted = [*state["suite"].ids(trusted=True)]
            means.emit(
                {
                    "type": "candidate",
                    "index": candidate.index,
                    "of": len(state["candidates"]),
                    "examples_passed": passed_of(candidate, trusted),
                }
            )
        done.append(candidate)
    return CodingState(candidates=tuple(done), runs=runs)


async def compare(state: CodingState, means: Means) -> CodingState:
    """Run the candidates against each other on varied inputs: who does the same as whom."""
    candidates = comparable(evidence_of(state))
    return CodingState(alike=await compare_candidates(means.sandbox, state["task"], candidates, _calls(state)))


async def refine(state: CodingState, means: Means) -> CodingState:
    """Show the model what went wrong and take its correction as one more candidate."""
    task, candidates, reading = state["task"], state["candidates"], state["reading"]
    refinements = state["refinements"]
    target = refine_target(evidence_of(state))
    assert target is not None, "decide() asks for a refinement only when there is a candidate"
    means.emit({"type": "refine_start", "iteration": refinements + 1})
    brief = brief_of(task, settled(reading, candidates))
    prompt = prompts.refine_prompt(brief, target.code, _failures(state, target))
    sampling = _sampling(means.settings, refinements, reading)
    try:
        answer, usage = await _write(state, means, "refine", "coder", prompt, sampling)
    except ContextOverflow as error:
        # The correction does not fit the window; what there is stays, and other samples may follow.
        means.emit({"type": "refine_complete", "code": "", "error": str(error)})
        return CodingState(refinements=task.limits.refinements)
    found = await asyncio.to_thread(extract_module, answer.text, settled(reading, candidates).entry)
    is_new = found is not None and all(found.code != candidate.code for candidate in candidates)
    if found is not None and is_new:
        candidates = (*candidates, _candidate(found, len(candidates), "refine", answer))
    means.emit({"type": "refine_complete", "code": found.code if found else ""})
    spent = refinements + 1 if is_new else max(refinements + 1, task.limits.refinements)
    return CodingState(candidates=candidates, refinements=spent, usage=usage)


async def verify(state: CodingState, means: Means) -> CodingState:
    """Gate the tests, run exactly what is delivered once more, and reach the verdict."""
    reading = settled(state["reading"], state["candidates"])
    report = await reach_verdict(means.sandbox, state["task"], reading, state["suite"], evidence_of(state))
    if report.code:
        means.emit({"type": "code_complete", "code": report.code, "candidate": "delivered"})
    return CodingState(report=report)


async def summarize(state: CodingState, means: Means) -> CodingState:
    """A template states the verdict; with CODER_SUMMARY=model a sentence of the model's on the code goes before it."""
    means.emit({"type": "summary_start"})
    report = state["report"]
    text = write_summary(state["task"], report)
    usage = state["usage"]
    if means.settings.coder_summary == "model" and report.code:
        prompt = prompts.summary_prompt(brief_of(state["task"], state["reading"]), report.code, "")
        try:
            said, usage = await _write(state, means, "summary", "q4", prompt, Sampling(max_tokens=160, seed=0))
            text = f"{said.text.strip()}\n\n{text}"
        except LLMError as error:
            text = f"{text}\n\nThe model could not be asked for a summary: {error}"
    means.emit({"type": "summary_complete", "summary": text})
    return CodingState(summary=text, usage=usage)


def evidence_of(state: CodingState) -> Evidence:
    """The state as `decide` sees it."""
    candidates = state.get("candidates", ())
    has_caller_tests = bool(state["task"].caller_tests)
    suite = state.get("suite", Suite())
    trusted = suite.ids(trusted=True) + (caller_ids(candidates) if has_caller_tests else [])
    return Evidence(
        candidates=candidates,
        trusted=trusted,
        generated=suite.ids(trusted=False),
        rounds_of_tests=state.get("rounds_of_tests", 0),
        refinements=state.get("refinements", 0),
        attempts=state.get("attempts", 0),
        alike=state.get("alike", {}),
        can_compare=bool(varied_calls(_calls(state))),
        has_caller_tests=has_caller_tests,
        asked_for=_asked_for(state["task"], candidates),
    )


def _calls(state: CodingState) -> list[str]:
    """Known calls, those of the examples first."""
    cases = [case for _, case in state.get("suite", Suite()).cases if case.call and not case.raises]
    return [case.call for case in sorted(cases, key=lambda case: not case.trusted) if case.call]


def brief_of(task: Task, reading: Reading) -> Brief:
    """What the prompts of this job share."""
    return Brief(task.request, task.module, reading.signature or reading.entry, task.caller_tests, task.files)


async def _write(
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


async def _model_plan(brief: Brief, means: Means, usage: dict[str, Usage]) -> list[str]:
    sampling = Sampling(max_tokens=200, json_schema=prompts.PLAN_SCHEMA)
    state = CodingState(usage=usage)
    answer, after = await _write(state, means, "plan", "q4", prompts.plan_prompt(brief), sampling, continues=False)
    usage.update(after)
    try:
        steps = json.loads(answer.text)
    except json.JSONDecodeError:
        return []
    return [str(step) for step in steps] if isinstance(steps, list) else []


def _own_plan(task: Task, reading: Reading) -> list[str]:
    name = f"`{reading.signature or reading.entry}`" if reading.entry else "what the request asks for"
    if task.caller_tests:
        judge = "your tests"
    elif reading.examples:
        judge = f"the {len(reading.examples)} example(s) in the request"
    else:
        judge = "checks written from the request, without seeing the code"
    return [
        f"Write {name} in {task.module}.",
        f"Run it in the sandbox against {judge}.",
        f"Refine at most {task.limits.refinements} time(s); keep the best candidate.",
    ]


def _sampling(settings: Settings, attempt: int, reading: Reading) -> Sampling:
    first = settings.coder_temperature or 0.0
    temperature = first if attempt == 0 else max(first, LATER_TEMPERATURE)
    stop = prompts.STOP_AFTER_MODULE if reading.entry else prompts.STOP
    return Sampling(temperature=temperature, seed=attempt, max_tokens=settings.coder_max_tokens, stop=stop)


def _candidate(module: Module, index: int, origin: Origin, answer: Completion) -> Candidate:
    return Candidate(index, module.code, module.names, origin, answer.model, answer.endpoint.model_sha256)


def _asked_for(task: Task, candidates: tuple[Candidate, ...]) -> frozenset[str]:
    """The missing packages that the request or the caller's tests name."""
    text = f"{task.request}\n{task.caller_tests or ''}"
    missing = {name for candidate in candidates if candidate.row for name in candidate.row.missing_modules}
    return frozenset(name for name in missing if re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE))


def _with_lead(text: str, lead: str) -> str:
    """`text` with the prefilled beginning of its first line, unless the model wrote that itself."""
    starts_anew = text.lstrip().startswith((lead, "```", "assert ", "def ", "import ", "from "))
    return text if starts_anew or "```" in text.split("\n", 1)[0] else lead + text


def _failures(state: CodingState, target: Candidate) -> list[str]:
    row = target.row
    if row is None:
        return []
    if row.missing_modules:
        names = ", ".join(row.missing_modules)
        return [f"ModuleNotFoundError: {names} is not installed. Use only the standard library."]
    if not row.loads:
        return [row.reason]
    cases = dict(state["suite"].cases)
    failed = [(name, check) for name, check in row.checks.items() if not check.passed]
    failed.sort(key=lambda item: item[0] in cases and not cases[item[0]].trusted)
    return [f"{cases[name].check if name in cases else name}\n{check.message}" for name, check in failed]
