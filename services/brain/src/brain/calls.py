"""A call as it goes out: what the person decides about it is not the model's to say. Pure."""

from collections.abc import Mapping
from typing import Any

from brain.delivery import is_coding
from brain.door import Offer, Outcome
from brain.question import Question
from brain.state import Wanted

UNKNOWN_MODEL = "unknown_model"


def wanted_of(question: Question, offer: Offer, arguments: Mapping[str, Any]) -> Wanted:
    """The call with the conversation it belongs to; a coding tool writes with the model the person chose."""
    members = offer.schema.get("properties") or {}
    told: dict[str, str | None] = {"conversation_id": question.conversation_id} if "conversation_id" in members else {}
    if not (is_coding(offer.name) and "model" in members):
        return Wanted(offer, {**arguments, **told})
    own = {name: value for name, value in arguments.items() if name != "model"}
    return Wanted(offer, {**own, **told, **({"model": question.model} if question.model else {})})


def with_its_own_model(wanted: Wanted, outcome: Outcome) -> Wanted | None:
    """The same call without an alias that only the brain's servers know; None: that was not what it failed for."""
    if outcome.status != UNKNOWN_MODEL or "model" not in wanted.arguments:
        return None
    return Wanted(wanted.tool, {name: value for name, value in wanted.arguments.items() if name != "model"})
