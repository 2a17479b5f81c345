"""One message from its arrival to the response of the contract. Every way in goes through `Queries.answer`.

is it a raw call of the model? ─ yes: completions ───────────────────────────────> response
        │ no
        └─> tools, history ─> said before in the same words? ─┬─ yes ─────────────────────> response
                                                              └─ no ─> react ─> remembered ─> response

A call that waits for a person is the gateway's affair: it hears the phrase before the brain does.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from brain.cache import AnswerCache, Key, normalised
from brain.clarification import read_choice
from brain.completions import Completions, Job, RawCall, facts_of
from brain.door import Door, Offers
from brain.errors import GatewayIsUnavailable, of_model
from brain.history import Exchange, Histories
from brain.means import Means
from brain.metrics import Metrics
from brain.models import ModelServers
from brain.question import Question
from brain.react import build_graph, run_graph
from brain.router import route
from brain.settings import Settings
from brain.state import BrainState
from kitty_llm import LLMError

log = structlog.get_logger()
Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Asked:
    """A message as it came, and how it is to be answered."""

    question: Question
    intent: str
    model: str | None = None
    keeps_history: bool = True
    """Whether the caller named a conversation: one that was made up has no past and no future."""
    raw: RawCall | None = None
    """What the model is sent in place of the question, which then is not read."""


class Queries:
    """Answers messages."""

    def __init__(self, models: ModelServers, door: Door, settings: Settings, metrics: Metrics) -> None:
        self._models = models
        self._door = door
        self._settings = settings
        self._metrics = metrics
        self._graph = build_graph()
        self._completions = Completions(models)
        self._histories = Histories(settings.brain_conversations, settings.brain_history_exchanges)
        self._cache = AnswerCache(settings.brain_cache_entries, settings.brain_cache_sec)

    async def answer(self, asked: Asked, listener: Listener) -> dict[str, Any]:
        """The response; `listener` is called with every event but the last. Cancelling stops the model and the tool.

        Raises:
            KittyError: see `brain.errors`.
        """
        began = time.perf_counter()
        tier = "error"
        try:
            response = await self._answer(asked, listener)
            tier = response["routing"]["tier"]
        finally:
            self._metrics.routing_requests.labels(tier=tier).inc()
        response["routing"]["latencyMs"] = round((time.perf_counter() - began) * 1000)
        log.info("answered", tier=tier, tools=response["routing"]["metadata"]["tools_used"])
        return response

    def remember(self, user_id: str, conversation_id: str, exchange: Exchange) -> None:
        """Adds what was said and answered elsewhere to a conversation."""
        self._histories.add(user_id, conversation_id, exchange)

    async def _answer(self, asked: Asked, listener: Listener) -> dict[str, Any]:
        if asked.raw is not None:
            return await self._completed(asked, asked.raw, listener)
        await self._models.check(asked.model)
        remembered = self._remembered(asked)
        question = await self._prepared(asked)
        key = self._key(asked, question)
        if key is not None and (kept := self._cache.find(key)) is not None:
            listener({"type": "delta", "delta": kept})
            return _response(asked, BrainState(output=kept, tier="cache", confidence=1.0), remembered, is_cached=True)
        state = await self._react(asked, question, listener)
        self._remember(asked, question, state)
        if key is not None and _is_mere_talk(state):
            self._cache.put(key, state["output"])
        return _response(asked, state, remembered)

    def _remembered(self, asked: Asked) -> int:
        """How many exchanges of this conversation are known."""
        question = asked.question
        kept = self._histories.of(question.caller.user_id, question.conversation_id) if asked.keeps_history else ()
        return len(kept)

    async def _completed(self, asked: Asked, raw: RawCall, listener: Listener) -> dict[str, Any]:
        question = asked.question
        role = question.role or "q4"
        job = Job(question.caller.user_id, question.conversation_id, asked.model)
        completion = await self._completions.complete(raw, role, job, listener, is_named=asked.keeps_history)
        tier = self._models.tier_of(role, completion.endpoint)
        state = BrainState(output=completion.text, tier=tier, finish_reason=completion.finish_reason)
        response = _response(asked, state)
        response["routing"]["metadata"]["completion"] = facts_of(completion)
        return response

    async def _prepared(self, asked: Asked) -> Question:
        question = replace(asked.question, model=asked.model)
        if asked.keeps_history:
            kept = self._histories.of(question.caller.user_id, question.conversation_id)
            question = _settled(replace(question, history=kept))
        if question.tool_mode == "off":
            return question
        try:
            return replace(question, offers=await self._door.offers(question.caller))
        except GatewayIsUnavailable as away:
            return replace(question, offers=Offers(), no_tools_because=away.message)

    def _key(self, asked: Asked, question: Question) -> Key | None:
        """Where an answer of this may be kept; None: nowhere."""
        text = normalised(question.request)
        is_plain = question.tool_mode == "auto" and not question.tool and not question.settled
        if question.history or not is_plain or not text:
            return None
        if route(question.request).kind == "coding" or question.no_tools_because is not None:
            return None
        manner = f"{question.verbosity} {question.role}"
        return Key(asked.model or "", question.offers.digest, question.caller.user_id, manner, text)

    async def _react(self, asked: Asked, question: Question, listener: Listener) -> BrainState:
        means = Means(
            writer=self._models.start(question.model),
            door=self._door,
            emit=listener,
            metrics=self._metrics,
            max_tokens=self._settings.brain_max_tokens,
            max_iterations=self._settings.brain_max_iterations,
            has_second_opinion=self._models.has_second_opinion(question.model),
            tier_of=self._models.tier_of,
        )
        try:
            return await run_graph(self._graph, question, means)
        except LLMError as failure:
            raise of_model(failure) from failure

    def _remember(self, asked: Asked, question: Question, state: BrainState) -> None:
        if asked.keeps_history:
            asks, is_coding = state.get("is_open", False), state.get("is_coding", False)
            exchange = Exchange(question.request, state.get("output", ""), is_coding, asks, question.model)
            self._histories.add(question.caller.user_id, question.conversation_id, exchange)


def _settled(question: Question) -> Question:
    """An answer to the question back is about what was said before it; anything else is a message of its own."""
    before = question.history[-1] if question.history else None
    if before is None or not before.is_open or question.tool is not None or question.tool_mode == "off":
        return question
    choice = read_choice(question.request)
    if choice is None:
        return question
    model, history = question.model or before.model, question.history[:-1]
    return replace(question, text=before.user, request=before.user, model=model, history=history, settled=choice)


def _is_mere_talk(state: BrainState) -> bool:
    """No tool was called, or even tried; no code, no question back, nothing cut off."""
    is_plain = not state.get("made") and not state.get("unknown") and not state.get("pending")
    return is_plain and not state.get("is_coding") and state.get("finish_reason") == "stop"


def _response(
    asked: Asked, state: BrainState, remembered: int | None = None, *, is_cached: bool = False
) -> dict[str, Any]:
    steps = list(state.get("steps", ()))
    result: dict[str, Any] = {"output": state.get("output", "")}
    if state.get("data") is not None:
        result["data"] = state["data"]
    ran = [step["tool"] for step in steps if step.get("decision") == "allowed"]
    metadata: dict[str, Any] = {
        "iterations": len(state.get("made", ())),
        "tools_used": list(dict.fromkeys(ran)),
        "agent_steps": steps,
        "finish_reason": state.get("finish_reason"),
        "stopped": state.get("stopped"),
        "remembered": remembered,
    }
    return {
        "conversationId": asked.question.conversation_id,
        "intent": asked.intent,
        "result": result,
        "routing": {
            "tier": state.get("tier", "rules"),
            "confidence": state.get("confidence", 1.0),
            "latencyMs": 0,
            "cached": is_cached,
            "metadata": metadata,
        },
        **_pending(state.get("pending")),
    }


def _pending(pending: Mapping[str, Any] | None) -> dict[str, Any]:
    if not pending:
        return {"requiresConfirmation": False}
    names = ("confirmationPhrase", "pendingTool", "hazardClass", "pendingId", "expiresAt", "hint")
    return {"requiresConfirmation": True, **{name: pending.get(name) for name in names}}
