"""The trace: what was done for a message, line by line."""

from typing import Any

from brain.means import Means
from brain.state import BrainState

MOST_OF_AN_ARGUMENT = 200


def with_step(state: BrainState, means: Means, update: BrainState, **step: Any) -> BrainState:
    """`update` with one more line of the trace, which is told at once as well."""
    steps = state.get("steps", ())
    line = {"iteration": len(steps) + 1, **{name: value for name, value in step.items() if value is not None}}
    means.emit({"type": "step", **line})
    update["steps"] = (*steps, line)
    return update


def shortened(arguments: Any) -> Any:
    if isinstance(arguments, str) and len(arguments) > MOST_OF_AN_ARGUMENT:
        return f"{arguments[:MOST_OF_AN_ARGUMENT]} [… {len(arguments) - MOST_OF_AN_ARGUMENT} characters more]"
    if isinstance(arguments, dict):
        return {name: shortened(value) for name, value in arguments.items()}
    return arguments
