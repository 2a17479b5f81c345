"""One message from its arrival to the response of the contract. Every way in goes through `Queries.answer`.

does a call wait in this conversation? ─ yes: the message, whole, to the gateway ─┬─ it answers that ──> response
        │ no                                                                      │ no
        └─> tools, history <──────────────────────────────────────────────────────┘
                 └─> said before in the same words? ─┬─ yes ───────────────────────────────────────────> response
                                                     └─ no ─> react ─> remembered ─────────────────────> response
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from brain.cache import AnswerCache, Key, normalised
from brain.clarification import read_choice
from brain.delivery import delivered, is_coding
from brain.door import Door, Offers, Outcome
from brain.errors import GatewayIsUnavailable, of_model
from brain.history import Exchange, Histories, without_override
from brain.means import Means
from brain.metrics import Metrics
from brain.models import ModelServers
from brain.question import Question
from brain.react import build_graph, run_graph
from brain.router import route
from brain.settings import Settings
from brain.state import BrainState
from kitty_core.errors import KittyError
from kitty_llm import LLMError

log = structlog.get_logger()
Listener = Callable[[dict[str, Any]], None]
MOST_WAITING = 1000


@dataclass(frozen=True)
class Asked:
    """A message as it came, and how it is to be answered."""

    question: Question
    intent: str
    model: str | None = None
    keeps_history: bool = True
    """Whether the caller named a conversation: one that was made up has no past and no future."""


@dataclass(frozen=True)
class Waiting:
    """A call that waits for a person."""

    pending_id: str
    expires_at: datetime | None


class Queries:
    """Answers messages."""

    def __init__(self, models: ModelServers, door: Door, settings: Settings, metrics: Metrics) -> None:
        self._models = models
        self._door = door
        self._settings = settings
        self._metrics = metrics
        self._graph = build_graph()
        self._histories = Histories(settings.brain_conversations, settings.brain_history_exchanges)
        self._cache = AnswerCache(settings.brain_cache_entries, settings.brain_cache_sec)
        self._waiting: OrderedDict[tuple[str, str], Waiting] = OrderedDict()

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

    async def _answer(self, asked: Asked, listener: Listener) -> dict[str, Any]:
        if (outcome := await self._replied(asked.question)) is not None:
            return self._confirmed(asked, outcome, listener)
        question = await self._prepared(asked)
        key = self._key(asked, question)
        if key is not None and (kept := self._cache.find(key)) is not None:
            listener({"type": "delta", "delta": kept})
            return _response(asked, BrainState(output=kept, tier="cache", confidence=1.0), is_cached=True)
        state = await self._react(asked, question, listener)
        self._remember(asked, question, state)
        if key is not None and _is_mere_talk(state):
            self._cache.put(key, state["output"])
        return _response(asked, state)

    async def _replied(self, question: Question) -> Outcome | None:
        """How the call that waits in this conversation ended by this message; None: it is about something else."""
        where = (question.caller.user_id, question.conversation_id)
        waiting = self._waiting.get(where)
        if waiting is None:
            return None
        if waiting.expires_at is not None and datetime.now(UTC) >= waiting.expires_at:
            del self._waiting[where]
            return None
        outcome = await self._door.reply(question.caller, waiting.pending_id, question.text, question.conversation_id)
        if outcome is not None:
            self._waiting.pop(where, None)
        return outcome

    def _confirmed(self, asked: Asked, outcome: Outcome, listener: Listener) -> dict[str, Any]:
        if outcome.decision == "cancelled":
            text = f"{outcome.tool} was cancelled; nothing was run."
        elif is_coding(outcome.tool) or not isinstance(outcome.result, str):
            text = delivered(outcome)
        else:
            text = outcome.result
        step = {
            "iteration": 1,
            "action": "confirmation",
            "tool": outcome.tool,
            "decision": outcome.decision,
            "status": outcome.status,
        }
        listener({"type": "step", **step})
        listener({"type": "delta", "delta": text})
        state = BrainState(output=text, data=outcome.result, tier="gateway", confidence=1.0, steps=(step,))
        self._remember(asked, asked.question, state)
        return _response(asked, state)

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
        keeps_secret = without_override(question.text, self._settings.api_override_password) != question.text
        if (
            question.history
            or question.settled
            or question.tool
            or question.tool_mode != "auto"
            or keeps_secret
            or not text
        ):
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
        user, conversation = question.caller.user_id, question.conversation_id
        if pending := state.get("pending"):
            self._waiting[user, conversation] = Waiting(
                str(pending.get("pendingId", "")), _time(pending.get("expiresAt"))
            )
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popitem(last=False)
        if asked.keeps_history:
            said = without_override(question.request, self._settings.api_override_password)
            asks = state.get("is_open", False)
            exchange = Exchange(said, state.get("output", ""), state.get("is_coding", False), asks, question.model)
            self._histories.add(user, conversation, exchange)


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


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _response(asked: Asked, state: BrainState, *, is_cached: bool = False) -> dict[str, Any]:
    steps = list(state.get("steps", ()))
    result: dict[str, Any] = {"output": state.get("output", "")}
    if state.get("data") is not None:
        result["data"] = state["data"]
    ran = [step["tool"] for step in steps if step.get("decision") in ("allowed", "confirmed")]
    metadata: dict[str, Any] = {
        "iterations": len(state.get("made", ())),
        "tools_used": list(dict.fromkeys(ran)),
        "agent_steps": steps,
        "finish_reason": state.get("finish_reason"),
        "stopped": state.get("stopped"),
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


def problem_of(error: Exception) -> dict[str, Any]:
    """The `error` event of a stream that had begun."""
    if isinstance(error, KittyError):
        return {"type": "error", "error": error.message, **error.extra, "code": error.code}
    return {"type": "error", "error": f"{type(error).__name__}: {error}", "code": "internal"}
