"""The steps of the workflow. Each takes the state and the job's means, and returns only what it changed."""

import asyncio
from dataclasses import replace

from coder_agent import prompts
from coder_agent.asking import LATER_TEMPERATURE, ask, brief_of, model_plan, sampling_of, with_lead
from coder_agent.candidates import Candidate, Origin, Row, Style
from coder_agent.decision import next_style, refine_target, split_input
from coder_agent.entry import settled, with_tested_name
from coder_agent.execution import execute
from coder_agent.extraction import Module, as_module, extract_module
from coder_agent.failures import failures, wrong_value
from coder_agent.follow_ups import read_task_request
from coder_agent.gathering import evidence_of, spent
from coder_agent.means import Means
from coder_agent.reading.cases import called_names
from coder_agent.reading.examples import Reading
from coder_agent.reading.properties import read_properties
from coder_agent.repairing import reduced
from coder_agent.source_text import without_last_statement
from coder_agent.state import CodingState, Task
from coder_agent.stated_cases import stated_cases
from coder_agent.suite import Suite
from coder_agent.verdict import reach_verdict
from coder_agent.wording import write_summary
from coder_agent.written_cases import read_cases
from kitty_llm import Completion, ContextOverflow, LLMError, Prompt, Sampling

CHECKS_ASKED_FOR = 6
MOST_CHECK_TOKENS = 320
MOST_VALUE_TOKENS = 60
LATER_LENGTH, MORE_LATER_TOKENS = 1.5, 64
"""A later sample may be so many times as long as the first answer, and so many tokens longer: one that runs on is
rarely right."""
COMMENT_TOKENS = 128
"""So many more where steps or a reason come before the code: of 22 right answers with steps five were longer."""
TESTS_TEMPERATURE = 0.2


async def plan(state: CodingState, means: Means) -> CodingState:
    """Read the request; say what will be done.

    Only the deep tier asks a model for steps: shown, never put into a prompt.
    """
    task = state["task"]
    reading = await asyncio.to_thread(read_task_request, task)
    if task.caller_tests:
        reading = with_tested_name(reading, task)
    means.emit({"type": "plan_start"})
    usage = dict(state.get("usage", {}))
    steps = _own_plan(task, reading)
    if task.tier == "deep":
        steps = await model_plan(brief_of(task, reading), means, usage) or steps
    text = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    means.emit({"type": "plan_complete", "plan": text})
    suite = await asyncio.to_thread(_with_stated, Suite().extended(reading.examples), task, reading)
    given = () if task.given is None else (_given(task.given),)
    return CodingState(
        reading=reading,
        plan=text,
        suite=suite,
        usage=usage,
        candidates=given,
        inputs=(),
        rounds_of_tests=0,
        refinements=0,
        attempts=0,
        splits=0,
        first_tokens=0,
        first_length=0,
        runs=0,
        steps=(),
    )


async def write_code(state: CodingState, means: Means) -> CodingState:
    """One more sample, in the style that is due; no prefilled fence after an empty answer."""
    task, reading, candidates = state["task"], state["reading"], state["candidates"]
    attempt = state["attempts"]
    means.emit({"type": "code_start", "candidate": len(candidates)})
    style = next_style(evidence_of(state), task.limits)
    lead = prompts.lead_of(brief_of(task, settled(reading, candidates)), style)
    prompt, sampling = _question_for_code(state, means, style)
    try:
        answer, usage = await ask(state, means, "code", "coder", prompt, sampling, continues=not candidates)
    except ContextOverflow as error:
        if not candidates:
            raise
        # What another way begins with does not fit the window; the next sample may come by a shorter one.
        means.emit({"type": "code_complete", "code": "", "candidate": len(candidates), "error": str(error)})
        return CodingState(attempts=attempt + 1)
    text = lead + answer.text if prompt.prefill else answer.text
    is_torn = bool(candidates) and answer.finish_reason == "length"
    if is_torn:
        text = without_last_statement(text)
    found = await asyncio.to_thread(extract_module, text, settled(reading, candidates).entry, has_alias=not is_torn)
    if found is not None:
        candidates = (*candidates, _candidate(found, len(candidates), "sample", answer, style))
    means.emit({"type": "code_complete", "code": found.code if found else "", "candidate": len(state["candidates"])})
    update = CodingState(candidates=candidates, attempts=attempt + 1, usage=usage)
    if attempt == 0:
        # A continued answer finds its own beginning in the cache.
        update["first_cached"] = answer.usage.cached_tokens if answer.usage.calls == 1 else 0
        update["first_tokens"] = spent(state | update)
    if found is not None and not state["first_length"]:
        update["first_length"] = answer.usage.completion_tokens
    return update


def _question_for_code(state: CodingState, means: Means, style: Style) -> tuple[Prompt, Sampling]:
    candidates, attempt = state["candidates"], state["attempts"]
    brief = brief_of(state["task"], settled(state["reading"], candidates))
    is_hot = style == "hot"
    sampling = sampling_of(means.settings, attempt, state["reading"], is_drawn=attempt > 0, is_hot=is_hot)
    if attempt > 0 and not candidates:
        return prompts.code_prompt(brief, style, prefilled=False), replace(sampling, stop=())
    if candidates:
        sampling = _as_long_as_the_first(sampling, state, COMMENT_TOKENS if prompts.lead_of(brief, style) else 0)
    return prompts.code_prompt(brief, style), sampling


async def write_tests(state: CodingState, means: Means) -> CodingState:
    """Checks from the request and the signature, never from the code. All candidates are run again with them."""
    task, candidates = state["task"], state["candidates"]
    reading = settled(state["reading"], candidates)
    means.emit({"type": "test_start"})
    rounds = state["rounds_of_tests"]
    update = CodingState(rounds_of_tests=rounds + 1)
    if reading.entry is not None:
        brief = brief_of(task, reading)
        several = brief.signature if len(reading.to_define) > 1 else None
        signature = several or reading.signature or f"{reading.entry}(...)"
        asked = prompts.tests_prompt(brief, reading.entry, signature, CHECKS_ASKED_FOR, is_class=reading.is_class)
        sampling = Sampling(
            temperature=TESTS_TEMPERATURE if rounds == 0 else LATER_TEMPERATURE,
            seed=1000 + rounds,
            max_tokens=min(MOST_CHECK_TOKENS, means.settings.coder_max_tokens),
            stop=prompts.STOP,
        )
        try:
            answer, usage = await ask(state, means, "test", "coder", asked, sampling, continues=False)
        except ContextOverflow as error:
            # They do not fit the window; what was proved so far is not given up for want of more tests.
            means.emit({"type": "test_complete", "testCode": "", "error": str(error)})
            return update
        lead = asked.prefill.removeprefix(prompts.FENCE)
        text = with_lead(answer.text, lead)
        written = await asyncio.to_thread(
            read_cases,
            text,
            reading.to_define,
            reading.examples,
            CHECKS_ASKED_FOR,
            reading.kind,
            None if several or reading.is_class else reading.signature,
        )
        update["usage"] = usage
        update["suite"] = await asyncio.to_thread(_with_stated, state["suite"].extended(written), task, reading)
        if update["suite"] != state["suite"]:
            update["candidates"] = tuple(candidate.with_row(None) for candidate in candidates)
    shown = "\n".join(case.check for _, case in update.get("suite", state["suite"]).cases)
    means.emit({"type": "test_complete", "testCode": shown})
    return update


async def run_tests(state: CodingState, means: Means) -> CodingState:
    """Run every candidate that has not been run on the cases and inputs as they are now, and tell of each."""
    waiting = {candidate.code: candidate.index for candidate in reversed(state["candidates"]) if candidate.row is None}
    means.emit({"type": "run_start", "iteration": state["runs"]})
    candidates, inputs = await execute(state, means)
    for candidate in candidates:
        if candidate.index in waiting.values() and candidate.row is not None:
            _tell_row(means, candidate.index, candidate.row, len(candidates), state["suite"])
    return CodingState(candidates=candidates, inputs=inputs, runs=state["runs"] + len(waiting))


async def split(state: CodingState, means: Means) -> CodingState:
    """Ask the model for the value on which the leading groups of samples part; it becomes one more of its cases."""
    reading = settled(state["reading"], state["candidates"])
    given = split_input(evidence_of(state))
    update = CodingState(splits=state["splits"] + 1)
    if given is None or reading.kind == "script":
        return update
    update["asked"] = (*state.get("asked", ()), given)
    means.emit({"type": "test_start"})
    prompt = prompts.value_prompt(brief_of(state["task"], reading), given)
    sampling = Sampling(max_tokens=MOST_VALUE_TOKENS, stop=("\n", "```"))
    try:
        answer, update["usage"] = await ask(state, means, "test", "coder", prompt, sampling, continues=False)
    except ContextOverflow as error:
        means.emit({"type": "test_complete", "testCode": "", "error": str(error)})
        return update
    text = f"assert {given} == {answer.text.strip()}"
    known = [case for _, case in state["suite"].cases]
    written = await asyncio.to_thread(read_cases, text, called_names(given), known, 1, reading.kind)
    if written:
        update["suite"] = state["suite"].extended(written)
        update["candidates"] = tuple(candidate.with_row(None) for candidate in state["candidates"])
    means.emit({"type": "test_complete", "testCode": text if written else ""})
    return update


async def refine(state: CodingState, means: Means) -> CodingState:
    """Tell the model what went wrong and take its correction as one more candidate."""
    task, candidates, reading = state["task"], state["candidates"], state["reading"]
    refinements = state["refinements"]
    target = refine_target(evidence_of(state))
    assert target is not None, "decide() asks for a refinement only when there is a candidate"
    means.emit({"type": "refine_start", "iteration": refinements + 1})
    brief = brief_of(task, settled(reading, candidates))
    missed = wrong_value(state["suite"], target)
    sampling = sampling_of(means.settings, refinements, reading, is_drawn=refinements > 0 or missed is not None)
    if missed is None:
        prompt = prompts.refine_prompt(brief, target.code, failures(state["suite"], target))
    else:
        prompt, sampling = prompts.anew_prompt(brief, missed), _as_long_as_the_first(sampling, state)
    try:
        answer, usage = await ask(state, means, "refine", "coder", prompt, sampling, continues=missed is None)
    except ContextOverflow as error:
        # The correction does not fit the window; what there is stays, and other samples may follow.
        means.emit({"type": "refine_complete", "code": "", "error": str(error)})
        return CodingState(refinements=task.limits.refinements)
    is_torn = answer.finish_reason == "length"
    text = without_last_statement(answer.text) if is_torn else answer.text
    found = await asyncio.to_thread(extract_module, text, settled(reading, candidates).entry, has_alias=not is_torn)
    is_new = found is not None and all(found.code != candidate.code for candidate in candidates)
    if found is not None and is_new:
        style: Style = "plain" if missed is None else "anew"
        candidates = (*candidates, _candidate(found, len(candidates), "refine", answer, style))
    means.emit({"type": "refine_complete", "code": found.code if found else ""})
    spent = refinements + 1 if is_new else max(refinements + 1, task.limits.refinements)
    return CodingState(candidates=candidates, refinements=spent, usage=usage)


async def verify(state: CodingState, means: Means) -> CodingState:
    """Gate the tests, run exactly what is delivered once more, and reach the verdict."""
    candidates = await reduced(state, means)
    reading = settled(state["reading"], candidates)
    evidence = evidence_of(state | CodingState(candidates=candidates))
    report = await reach_verdict(means.sandbox, state["task"], reading, state["suite"], evidence)
    if report.code:
        means.emit({"type": "code_complete", "code": report.code, "candidate": "delivered"})
    return CodingState(report=report, candidates=candidates)


async def summarize(state: CodingState, means: Means) -> CodingState:
    """A template states the verdict; with CODER_SUMMARY=model two sentences of the model's on the code go before it."""
    means.emit({"type": "summary_start"})
    report = state["report"]
    text = write_summary(state["task"], report)
    usage = state["usage"]
    if means.settings.coder_summary == "model" and report.code:
        prompt = prompts.summary_prompt(brief_of(state["task"], state["reading"]), report.code)
        try:
            said, usage = await ask(state, means, "summary", "q4", prompt, Sampling(max_tokens=160, seed=0))
            text = f"{said.text.strip()}\n\n{text}"
        except LLMError as error:
            text = f"{text}\n\nThe model could not be asked for a summary: {error}"
    means.emit({"type": "summary_complete", "summary": text})
    return CodingState(summary=text, usage=usage)


def _tell_row(means: Means, index: int, row: Row, count: int, suite: Suite) -> None:
    passed = bool(row.checks) and all(check.passed for check in row.checks.values())
    trusted = suite.ids(trusted=True)
    means.emit({"type": "run_output", "stdout": row.stdout, "stderr": row.stderr})
    means.emit({"type": "run_complete", "testsPassed": passed, "exitCode": 0 if passed else 1})
    examples = sum(name in row.checks and row.checks[name].passed for name in trusted)
    means.emit({"type": "candidate", "index": index, "of": count, "examples_passed": examples})


def _own_plan(task: Task, reading: Reading) -> list[str]:
    name = f"`{reading.signature or reading.entry}`" if reading.entry else "what the request asks for"
    if task.caller_tests:
        judge = "your tests"
    elif reading.examples:
        judge = f"the {len(reading.examples)} example(s) in the request"
    else:
        judge = "checks written from the request, without seeing the code"
    if task.given is not None:
        return [
            f"Run {task.module} in the sandbox against {judge}.",
            f"Correct it at most {task.limits.refinements} time(s); keep the best, and of its changes those needed.",
        ]
    return [
        f"Write {name} in {task.module}.",
        f"Run it in the sandbox against {judge}.",
        f"Refine at most {task.limits.refinements} time(s); keep the best candidate.",
    ]


def _given(code: str) -> Candidate:
    module = as_module(code)
    return Candidate(0, code, module.names if module else (), "given")


def _candidate(module: Module, index: int, origin: Origin, answer: Completion, style: Style = "plain") -> Candidate:
    return Candidate(index, module.code, module.names, origin, answer.model, answer.endpoint.model_sha256, style)


def _with_stated(suite: Suite, task: Task, reading: Reading) -> Suite:
    """With what the request says of every result, once there are calls to put it to; the caller's tests need none."""
    if task.caller_tests or suite.properties:
        return suite
    calls = [case.call for _, case in suite.cases if case.call and not case.raises]
    return suite.extended(stated_cases(read_properties(task.request, reading), calls))


def _as_long_as_the_first(sampling: Sampling, state: CodingState, more: int = 0) -> Sampling:
    most = MORE_LATER_TOKENS + more + int(LATER_LENGTH * state["first_length"])
    return replace(sampling, max_tokens=min(sampling.max_tokens, most))
