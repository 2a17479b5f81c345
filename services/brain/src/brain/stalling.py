"""Is this going round in circles? Pure."""

import json
from collections.abc import Sequence

from brain.door import Outcome
from brain.state import Wanted

Made = Sequence[tuple[Wanted, Outcome]]


def repeats(made: Made, wanted: Wanted) -> bool:
    """Whether exactly this call was made before."""
    return any(_key(before) == _key(wanted) for before, _ in made)


def why_stop(made: Made, most: int) -> str | None:
    """The reason to call nothing more after the last call; None where it may go on."""
    failures = [(outcome.tool, outcome.status, outcome.detail) for _, outcome in made if outcome.kind == "failed"]
    if len(failures) != len(set(failures)):
        tool, status, _ = failures[-1]
        return f"{tool} failed twice in the same way ({status})"
    if len(made) >= most:
        return f"{most} calls were made, and no more are allowed for one message"
    return None


def _key(wanted: Wanted) -> tuple[str, str]:
    return wanted.tool.name, json.dumps(wanted.arguments, sort_keys=True, default=str)
