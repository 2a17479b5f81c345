"""The steps of the loop. Each takes the state and its means and returns what changed. `deciding` comes before them."""

import json
import time
from collections.abc import Sequence

from brain.asking import ask_within
from brain.calls import wanted_of, with_its_own_model
from brain.decoding import choice_schema, fitted
from brain.delivery import code_of, delivered, is_coding
from brain.door import Outcome
from brain.history import Exchange
from brain.means import Means
from brain.prompts import ANSWER_NOW, CHOOSE, MUST_CALL, Observation, cut_to_size, talk_prompt
from brain.stalling import repeats, why_stop
from brain.state import BrainState, Wanted
from brain.thoughts import SpokenStream
from brain.tool_calls import Parsed, ToolCall, parse, without_thoughts
from brain.trace import shortened, with_step
from kitty_llm import Prompt, Role, Sampling

CHOICE_TOKENS = 512


async def choose(state: BrainState, means: Means) -> BrainState:
    """The model's next call, or that it wants to answer."""
    question, offers = state["question"], state["offers"]
    must_call = question.tool_mode == "on" or question.tool is not None
    may_answer = bool(state.get("made")) or not must_call
    role = _in_charge(state)
    sampling = Sampling(max_tokens=CHOICE_TOKENS, json_schema=choice_schema(offers, may_answer=may_answer))

    def build(history: Sequence[Exchange], is_cut: bool) -> Prompt:
        return _prompt(state, history, CHOOSE if may_answer else MUST_CALL, is_cut=is_cut)

    completion, _ = await ask_within(means, role, build, question.history, sampling)
    parsed = parse(completion.text)
    calls = [call for call in parsed.calls if not _is_quoted(call, state)]
    if calls:
        return _calls(state, means, calls)
    is_choice = not _is_broken(parsed, was_cut=completion.finish_reason == "length")
    if (not is_choice or not may_answer) and _can_pass_on(state, means):
        update = BrainState(next="choose", role="f16")
        return with_step(state, means, update, action="choose", reason=f"what {role} wrote is no choice; f16 is asked")
    if not is_choice or parsed.answer is None:
        reason = "no tool is needed" if is_choice else f"what {role} wrote is no choice"
        return with_step(state, means, BrainState(next="answer"), action="answer", reason=reason)
    means.emit({"type": "delta", "delta": parsed.answer})
    tier = means.tier_of(role, completion.endpoint)
    update = BrainState(next="end", output=parsed.answer, tier=tier, finish_reason="stop")
    return with_step(state, means, update, action="answer", reason="answered at once")


def _is_broken(parsed: Parsed, *, was_cut: bool) -> bool:
    """Neither a call nor an answer nor the wish to give one: nothing, a part, or JSON that is none."""
    if parsed.calls or parsed.is_done:
        return False
    return was_cut or parsed.answer is None or parsed.answer.lstrip().startswith(("{", "["))


def _in_charge(state: BrainState) -> Role:
    return state.get("role") or state["question"].role or "q4"


def _can_pass_on(state: BrainState, means: Means) -> bool:
    """Whether F16 may take over: it is another server, nobody named the role, and it is not in charge already."""
    return means.has_second_opinion and state["question"].role is None and _in_charge(state) == "q4"


def _calls(state: BrainState, means: Means, calls: Sequence[ToolCall]) -> BrainState:
    offers = {offer.name: offer for offer in state["offers"]}
    wanted: list[Wanted] = []
    for call in calls:
        offer = offers.get(call.name.replace(".", "_"))
        if offer is None:
            return _unknown(state, means, call.name)
        wanted.append(wanted_of(state["question"], offer, fitted(call.arguments, offer.schema)))
    if repeats(state.get("made", ()), wanted[0]):
        stopped = f"{wanted[0].tool.dotted} was called with the same arguments before"
        return with_step(state, means, BrainState(next="answer", stopped=stopped), action="stop", reason=stopped)
    return BrainState(next="invoke", wanted=tuple(wanted))


def _unknown(state: BrainState, means: Means, name: str) -> BrainState:
    """Nothing is run. It is told once, to F16 where that may take over; the second time comes an answer without."""
    means.metrics.tool_executions.labels(tool="unknown", status="unknown").inc()
    times = state.get("unknown", 0) + 1
    there_are = ", ".join(offer.name for offer in state["offers"])
    told = Observation("the system", f"There is no tool {name[:100]}; nothing was run. There are: {there_are}.")
    update = BrainState(
        next="choose" if times == 1 else "answer",
        unknown=times,
        observations=(*state.get("observations", ()), told),
    )
    if _can_pass_on(state, means):
        update["role"] = "f16"
    if times > 1:
        update["stopped"] = "the model named a tool twice that there is not"
    return with_step(state, means, update, action="refused", tool=name[:100], reason="there is no such tool")


async def invoke(state: BrainState, means: Means) -> BrainState:
    """One call through the door, and what follows from how it ended."""
    question = state["question"]
    wanted, *later = state["wanted"]
    tool = wanted.tool.dotted
    means.emit({"type": "tool_start", "tool": tool})
    began = time.perf_counter()
    status = "error"
    try:
        outcome = await means.door.invoke(question.caller, wanted.tool, wanted.arguments, question.conversation_id)
        status = outcome.status
    finally:
        seconds = time.perf_counter() - began
        means.metrics.tool_executions.labels(tool=tool, status=status).inc()
        means.metrics.tool_seconds.labels(tool=tool).observe(seconds)
    means.emit({"type": "tool_end", "tool": tool, "status": status, "seconds": round(seconds, 3)})
    made = (*state.get("made", ()), (wanted, outcome))
    update = _after(state, means, outcome, tuple(later), made)
    return with_step(
        state,
        means,
        update,
        action="tool",
        tool=tool,
        arguments=shortened(wanted.arguments),
        decision=outcome.decision,
        status=outcome.status,
        reason=update.get("stopped") or outcome.detail or None,
        seconds=round(seconds, 3),
    )


def _after(
    state: BrainState,
    means: Means,
    outcome: Outcome,
    later: tuple[Wanted, ...],
    made: tuple[tuple[Wanted, Outcome], ...],
) -> BrainState:
    if outcome.kind == "waiting":
        hint = outcome.detail or "a person has to confirm it"
        said = f"{outcome.tool} was not run: it waits for a confirmation ({hint})."
        return BrainState(next="end", made=made, wanted=(), pending=outcome.result, output=said)
    if again := with_its_own_model(made[-1][0], outcome):
        return BrainState(made=made, wanted=(again, *later), next="invoke")
    if is_coding(outcome.tool):
        text = delivered(outcome)
        means.emit({"type": "delta", "delta": text})
        has_code = code_of(outcome) is not None
        return BrainState(next="end", made=made, wanted=(), output=text, data=outcome.result, is_coding=has_code)
    seen = (*state.get("observations", ()), Observation(outcome.tool, observed(outcome)))
    update = BrainState(made=made, wanted=later, observations=seen, next="invoke" if later else "choose")
    if reason := why_stop(made, means.max_iterations):
        update["stopped"] = reason
        update["next"] = "answer"
    return update


def observed(outcome: Outcome) -> str:
    """What the model sees of an outcome: all of it, up to the size where the middle goes, with a mark."""
    if outcome.kind == "failed":
        return f"It failed ({outcome.status}): {outcome.detail}"
    result = outcome.result
    return cut_to_size(result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str))


async def answer(state: BrainState, means: Means) -> BrainState:
    """The answer in words, streamed."""
    question = state["question"]
    role = _in_charge(state)
    stream = SpokenStream()
    is_plain = question.tool_mode == "off"

    def build(history: Sequence[Exchange], is_cut: bool) -> Prompt:
        return _prompt(state, history, ANSWER_NOW if state.get("offers") else "", is_cut=is_cut)

    def on_delta(piece: str) -> None:
        if spoken := stream.feed(piece):
            means.emit({"type": "delta", "delta": spoken})

    sampling = Sampling(max_tokens=means.max_tokens)
    completion, dropped = await ask_within(means, role, build, question.history, sampling, on_delta)
    if rest := stream.close():
        means.emit({"type": "delta", "delta": rest})
    output = completion.text if is_plain else without_thoughts(completion.text)
    if completion.finish_reason == "length" and not is_plain:
        output += f"\n\n[The answer was cut off at {completion.usage.completion_tokens} tokens.]"
    if reason := state.get("stopped"):
        output = f"{output}\n\n(No more tools were called: {reason}.)".lstrip()
    if failures := failed_calls(state):
        output = f"{output}\n\n(No call of a tool succeeded: {failures}.)".lstrip()
    tier = means.tier_of(role, completion.endpoint)
    update = BrainState(next="end", output=output, tier=tier, finish_reason=completion.finish_reason)
    left_out = f"{dropped} of the oldest exchanges did not fit the model's window" if dropped else None
    return with_step(state, means, update, action="answer", model=completion.model, reason=left_out)


def failed_calls(state: BrainState) -> str:
    """How the calls failed where none succeeded, which no words may hide; empty: one did, or none was made."""
    outcomes = [outcome for _, outcome in state.get("made", ())]
    if not outcomes or any(outcome.kind != "failed" for outcome in outcomes):
        return ""
    return ", ".join(dict.fromkeys(f"{outcome.tool} failed with {outcome.status}" for outcome in outcomes))


def _prompt(state: BrainState, history: Sequence[Exchange], role_line: str, *, is_cut: bool) -> Prompt:
    question = state["question"]
    return talk_prompt(
        question.request,
        history,
        offers=state.get("offers", ()),
        observations=state.get("observations", ()),
        role_line=role_line,
        verbosity=question.verbosity,
        is_history_cut=is_cut,
    )


def _is_quoted(call: ToolCall, state: BrainState) -> bool:
    """The model repeats what the person or a tool wrote: that is no call of its own."""
    sources = [state["question"].text, *(seen.text for seen in state.get("observations", ()))]
    return any(call.raw in source for source in sources)
