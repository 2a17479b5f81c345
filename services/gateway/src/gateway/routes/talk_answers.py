"""What a person is told of a call that waited and is decided, in the shape of the brain's own answers. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.door import Done
from gateway.replies import Cancelled, Reply
from kitty_core.delivery import in_markdown


def answer_of(outcome: Done | Cancelled, conversation_id: str, intent: object, latency_ms: int) -> dict[str, Any]:
    """The response of the contract: `result.output` in words, `result.data` as the service said it."""
    step: dict[str, Any] = {"iteration": 1, "action": "confirmation", "tool": _tool(outcome)}
    result: dict[str, Any] = {"output": words_of(outcome)}
    if isinstance(outcome, Done):
        step |= {"decision": outcome.decision, "status": outcome.facts.status}
        result["data"] = outcome.body
    else:
        step |= {"decision": "cancelled", "status": None}
    answer = told_of("", conversation_id, intent)
    answer["result"] = result
    answer["routing"]["latencyMs"] = latency_ms
    answer["routing"]["metadata"] |= {
        "iterations": 1,
        "tools_used": [_tool(outcome)] if isinstance(outcome, Done) else [],
        "agent_steps": [step],
    }
    return answer


def told_of(words: str, conversation_id: str, intent: object) -> dict[str, Any]:
    """A response of the gateway's own that says `words`."""
    metadata: dict[str, Any] = {
        "iterations": 0,
        "tools_used": [],
        "agent_steps": [],
        "finish_reason": None,
        "stopped": None,
    }
    routing = {"tier": "gateway", "confidence": 1.0, "latencyMs": 0, "cached": False, "metadata": metadata}
    return {
        "conversationId": conversation_id,
        "intent": intent if isinstance(intent, str) else "query",
        "result": {"output": words},
        "routing": routing,
        "requiresConfirmation": False,
    }


def exchange_of(reply: Reply, outcome: Done | Cancelled) -> dict[str, Any]:
    """What the brain keeps of it in the conversation."""
    has_code = isinstance(outcome, Done) and isinstance(outcome.body, Mapping) and bool(outcome.body.get("code"))
    return {
        "conversationId": reply.conversation_id,
        "userId": reply.caller.user_id,
        "message": reply.message,
        "answer": words_of(outcome),
        "isCoding": has_code and _tool(outcome).startswith("coding."),
    }


def words_of(outcome: Done | Cancelled) -> str:
    """Markdown."""
    tool = _tool(outcome)
    if isinstance(outcome, Cancelled):
        return f"{tool} was cancelled; nothing was run."
    if outcome.status_code < 400:
        return in_markdown(outcome.body, f"{tool}: {outcome.facts.status}.")
    said = outcome.body if isinstance(outcome.body, Mapping) else {}
    detail = said.get("detail") or said.get("error") or f"it answered {outcome.status_code}"
    return f"{tool} failed ({outcome.facts.error or outcome.status_code}): {detail}"


def _tool(outcome: Done | Cancelled) -> str:
    return outcome.tool if isinstance(outcome, Done) else outcome.call.tool
