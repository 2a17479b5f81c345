"""The state of a job as text, so that another process can go on with it.

`saved` and `restored` are each other's inverse. The text is ASCII, whatever a guest or a model put into the state.
"""

import json
from functools import cache

from pydantic import TypeAdapter, ValidationError

from coder_agent.state import CodingState

VERSION = 1
"""Counted up when a change of the state's parts makes older texts mean something else."""


def saved(state: CodingState) -> str:
    """`state` as JSON."""
    data = _adapter().dump_python(state, mode="json", warnings=False)
    return json.dumps({"version": VERSION, "state": data})


def restored(text: str) -> CodingState:
    """The state in `text`.

    Raises:
        ValueError: another version of the program wrote it.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise ValueError("a state of another version")
    try:
        return _adapter().validate_python(data["state"])
    except (ValidationError, KeyError) as error:
        raise ValueError(f"a state that this version cannot read: {error}") from error


@cache
def _adapter() -> TypeAdapter[CodingState]:
    return TypeAdapter(CodingState)
