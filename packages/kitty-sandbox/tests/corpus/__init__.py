"""Programs that try to get out, to use up the machine or to forge a pass, and honest ones, with what must come of each.

    network, files, processes, calls, resources    attacks: functions that run as they stand, inside and outside
    forgeries                                      solutions that are wrong and want to pass
    legit                                          solutions and tests that must pass

An attack returns its evidence when it got through. It returns nothing, or raises OSError or MemoryError, when it was
stopped; anything else is a defect of the attack and fails its test. Standard library only: these files are copied into
the sandbox, where `report` tells the outcome with os.write, because pytest hides what a passing test prints.
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Outside = Literal["works", "as root", "depends"]


@dataclass(frozen=True)
class Attack:
    name: str
    attempt: Callable[[], object]
    outside: Outside | None
    """The positive control: it works without walls; only for root; only where the machine has the thing; not tried."""
    ends: tuple[str, ...]
    """How its run may end before it can report, such as `timeout`. Such an attack has a run of its own; apart from its
    tests the end of the program is also `failed`."""
    alone: bool
    profile: Literal["pure", "proc"]
    limits: dict[str, float]
    open_in: tuple[str, ...]
    """What lets it through by its own description: a tier, or tier and way such as `landlock any` (see `stages`)."""
    hole: str
    """Why it gets through today, where it should not: its tests are expected to fail until it is mended."""
    hole_of: str
    """The only way of running the sandbox (`kitty_sandbox.policy.Privilege`) that has the hole; empty: each has."""


ATTACKS: dict[str, Attack] = {}


def attack(
    outside: Outside | None = "works",
    *,
    ends: tuple[str, ...] = (),
    alone: bool = False,
    profile: Literal["pure", "proc"] = "pure",
    limits: dict[str, float] | None = None,
    open_in: tuple[str, ...] = (),
    hole: str = "",
    hole_of: str = "",
    name: str = "",
) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Enter a function in `ATTACKS`."""

    def enter(function: Callable[[], object]) -> Callable[[], object]:
        group = function.__module__.rpartition(".")[2]
        full = name or f"{group}.{function.__name__}"
        assert full not in ATTACKS
        on_its_own = alone or bool(ends) or profile == "proc" or bool(limits)
        ATTACKS[full] = Attack(full, function, outside, ends, on_its_own, profile, limits or {}, open_in, hole, hole_of)
        return function

    return enter


@functools.cache
def _facts() -> dict[str, Any]:
    """Inside a run the last three are found where they are; outside, their stand-ins are told."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    programs = [
        os.path.dirname(sys.modules[name].__file__ or "") for name in ("pytest", "guest") if name in sys.modules
    ]
    inside = {"tests": f"{here}/test_attacks.py", "program": programs, "folder": os.environ.get("TMPDIR")}
    with open(os.environ.get("KITTY_BAIT", f"{here}/bait.json"), encoding="utf-8") as file:
        return {**inside, **json.load(file)}


def bait(key: str) -> Any:
    """Where the things lie that an attack is after; see `baits`."""
    try:
        return _facts()[key]
    except OSError as error:
        raise LookupError("there is no bait, so nothing would be tried") from error


def try_out(name: str) -> str:
    """Run one attack; JSON of its name, whether it got through, and what it said."""
    evidence: object = None
    try:
        evidence = ATTACKS[name].attempt()
        detail = str(evidence)
    except (OSError, MemoryError) as error:
        detail = f"{type(error).__name__}: {error}"
    return json.dumps([name, bool(evidence), detail[:500]])


def report(name: str) -> None:
    """Run one attack and say on descriptor 1 what came of it."""
    os.write(1, f"\n@{try_out(name)}\n".encode())


def run_bare(names: list[str]) -> None:
    """Each attack in a fork of this process, without any wall."""
    for name in names:
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            try:
                report(name)
            except BaseException as error:  # noqa: BLE001 - a defect of the attack; the line that is missing tells
                os.write(2, f"{name}: {error!r}\n".encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
