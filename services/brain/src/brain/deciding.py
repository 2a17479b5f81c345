"""Where a message goes: rules, then the model, then a question back.

a tool named by the person ──────────────> that tool
rules ─┬─ coding ────────────────────────> coding.generate, with the person's own words
       ├─ talk ──────────────────────────> choose among the other tools, or answer
       └─ unsure ─> the model ─┬─ firm ──> as above
                               └─ not ───> a question back; the answer to it decides on what was said first
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from brain.asking import Opinion, ask_route
from brain.calls import wanted_of
from brain.clarification import question_for
from brain.decoding import choices, only_text
from brain.delivery import GENERATE, is_coding
from brain.door import Offer
from brain.errors import GatewayIsUnavailable
from brain.means import Means
from brain.question import Question
from brain.router import Route, route
from brain.state import BrainState
from brain.trace import with_step


async def decide(state: BrainState, means: Means) -> BrainState:
    """Where the message goes."""
    question = state["question"]
    if question.tool_mode == "off":
        return _routed(state, means, BrainState(next="answer"), "plain", ("tools are off",))
    if question.settled is not None:
        update = _coding(question) if question.settled == "coding" else _talk(question)
        return _routed(state, means, update, question.settled, ("the person said so",))
    if question.tool is not None and _is_meant(question, question.tool):
        return _routed(state, means, _named(question, question.tool), "named", (question.tool,))
    question = replace(question, request=question.request if question.tool is None else question.text, tool=None)
    state = BrainState(**{**state, "question": question})
    ruled = route(question.request, last_turn_was_coding=question.last_turn_was_coding)
    if ruled.kind != "unsure":
        update = _coding(question) if ruled.kind == "coding" else _talk(question)
        update["confidence"] = ruled.confidence
        return _routed(state, means, update, ruled.kind, ruled.cues)
    opinion = await ask_route(means, question.request)
    return _routed(state, means, _by_opinion(question, opinion), *_told(ruled, opinion))


def _is_meant(question: Question, name: str) -> bool:
    """Not every name with a dot after "use" is one of ours; after `/agent on` it has to be."""
    return question.is_ordered or question.offers.find(name) is not None or question.no_tools_because is not None


def _by_opinion(question: Question, opinion: Opinion) -> BrainState:
    if not opinion.is_firm:
        update = BrainState(next="end", output=question_for(question.request), is_open=True)
    else:
        update = _coding(question) if opinion.label == "coding" else _talk(question)
    update["tier"] = opinion.role
    update["confidence"] = round(opinion.confidence, 3)
    return update


def _told(ruled: Route, opinion: Opinion) -> tuple[str, tuple[str, ...]]:
    label = str(opinion.label) if opinion.is_firm else "unsure"
    return label, (*ruled.cues, f"{opinion.role} says {opinion.label}", f"votes: {opinion.votes}")


def _routed(state: BrainState, means: Means, update: BrainState, kind: str, why: Sequence[str]) -> BrainState:
    update["question"] = state["question"]
    update.setdefault("tier", "rules")
    update.setdefault("confidence", 1.0)
    means.emit({"type": "routing", "route": kind, "tier": update["tier"], "confidence": update["confidence"]})
    return with_step(state, means, update, action="route", route=kind, reason=", ".join(why) or "no cue")


def _named(question: Question, name: str) -> BrainState:
    _need_tools(question)
    offer = question.offers.find(name)
    if offer is None:
        there_are = ", ".join(tool.dotted for tool in question.offers.tools) or "none"
        return BrainState(next="end", output=f"There is no tool {name}, so nothing was run. There are: {there_are}.")
    if (text := only_text(offer.schema)) and (value := _value(question, offer, text)) is not None:
        return _call(question, offer, {text: value})
    return BrainState(next="choose", offers=(offer,))


def _value(question: Question, offer: Offer, name: str) -> str | None:
    """What the person gave as the one argument; None where it is none of the values there are."""
    values = choices(offer.schema, name)
    if values is None:
        return question.request
    said = question.request.strip(" \t\r\n.`\"'")
    return said if said in values else None


def _coding(question: Question) -> BrainState:
    """The person's own words are the request: no model tells them again."""
    _need_tools(question)
    offer = question.offers.find(GENERATE)
    if offer is None:
        return BrainState(
            next="end", output="coding.generate is not enabled here, so no code can be written and tested."
        )
    return _call(question, offer, {only_text(offer.schema) or "request": question.request})


def _call(question: Question, offer: Offer, arguments: Mapping[str, Any]) -> BrainState:
    wanted = wanted_of(question, offer, arguments)
    return BrainState(next="invoke", wanted=(wanted,), offers=(offer,), is_coding=is_coding(offer.name))


def _talk(question: Question) -> BrainState:
    """All tools but those that write code; where the person insists on tools, those too."""
    insists = question.tool_mode == "on"
    if insists:
        _need_tools(question)
    offers = tuple(tool for tool in question.offers.tools if insists or not is_coding(tool.name))
    return BrainState(next="choose" if offers else "answer", offers=offers)


def _need_tools(question: Question) -> None:
    if question.no_tools_because is not None:
        raise GatewayIsUnavailable(question.no_tools_because)
