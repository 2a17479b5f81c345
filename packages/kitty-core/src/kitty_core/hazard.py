"""May this call be made? A pure decision over the registry and the facts of one call.

call → unknown? → disabled? → role → offline, override → second person → confirmation → hazard high → approved
          │           │         │            │                 │              └────────┬────┘
       unknown        └─────────┴── blocked ─┴─────────────────┘              needs_confirmation

What it stops: a call of a tool that is not listed or switched off, of one that reaches out of the machine while
offline, and of a dangerous one that no person has confirmed.
What it does not stop: anything, where the facts are wrong. Who calls (`user_id`, `role`), whether this very message
holds the override word (`find_override`) and whether a person confirmed these very arguments
(`kitty_core.confirmation`) is for the caller to establish; never from history, never from what a model wrote.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kitty_core.tools import HazardClass, Registry, Tool

LOCAL_USER = "local"
"""The one user of an open loopback, where no keys tell people apart."""
Role = Literal["admin", "user", "read-only"]
Kind = Literal["approved", "needs_confirmation", "blocked", "unknown"]
Rule = Literal[
    "unknown", "disabled", "role", "offline", "override", "second_person", "confirmation", "hazard_high", "approved"
]
"""Which check decided; `approved` when none objected."""
AROUND_A_WORD = r"[.,;:!?()\[\]'\"]*"


@dataclass(frozen=True)
class Call:
    """The facts of one call. What is not known must stay at its default, which allows least."""

    tool: str
    """The name as called, dotted or with underscores."""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    user_id: str = LOCAL_USER
    conversation_id: str | None = None
    role: Role = "read-only"
    override_given: bool = False
    """This very message held the override word."""
    confirmed: bool = False
    """A person confirmed this very call."""
    offline: bool = True
    """OFFLINE_MODE."""
    named_class: HazardClass | None = None
    """The class of what the argument `Tool.hazard_from` names (a command of the broker); None: not known."""


@dataclass(frozen=True)
class Decision:
    """What becomes of a call. Only `approved` may be made."""

    kind: Kind
    reason: str
    hazard_class: HazardClass | None
    """None: the tool is unknown."""
    tool: Tool | None
    rule: Rule


Objection = tuple[Rule, str]


def judge(registry: Registry, call: Call) -> Decision:
    """The decision about `call`; the first check that objects decides."""
    tool = registry.find(call.tool)
    if tool is None:
        return Decision("unknown", f"There is no tool {call.tool[:100]!r}.", None, None, "unknown")
    hazard_class = class_of(tool, call)
    for check in (_disabled, _role, _offline, _override, _second_person):
        if objection := check(tool, call):
            return Decision("blocked", objection[1], hazard_class, tool, objection[0])
    if not call.confirmed and (objection := _unconfirmed(tool, hazard_class)):
        return Decision("needs_confirmation", objection[1], hazard_class, tool, objection[0])
    return Decision("approved", f"{tool.name} may be called.", hazard_class, tool, "approved")


def class_of(tool: Tool, call: Call) -> HazardClass:
    """The class that counts for this call: that of the command it names, where the tool says so and it is known."""
    if tool.hazard_from is not None and call.named_class is not None:
        return call.named_class
    return tool.hazard_class


def _disabled(tool: Tool, call: Call) -> Objection | None:
    if tool.enabled:
        return None
    return "disabled", f"{tool.name} is disabled in the tool registry."


def _role(tool: Tool, call: Call) -> Objection | None:
    if call.role in ("admin", "user"):
        return None
    if class_of(tool, call) == "none" and (tool.method == "GET" or tool.read_only):
        return None
    return "role", f"{tool.name} can change something: the role read-only may not call it."


def _offline(tool: Tool, call: Call) -> Objection | None:
    if not (tool.egress and call.offline):
        return None
    return "offline", f"{tool.name} reaches out of this machine: no override word helps while OFFLINE_MODE is on."


def _override(tool: Tool, call: Call) -> Objection | None:
    if call.override_given or not (tool.requires_override or tool.egress):
        return None
    return "override", f"{tool.name} needs the override word in the same message."


def _second_person(tool: Tool, call: Call) -> Objection | None:
    if not tool.dual_confirm or call.user_id != LOCAL_USER:
        return None
    return "second_person", f"{tool.name} needs a second person to confirm; without keys there is only one user."


def _unconfirmed(tool: Tool, hazard_class: HazardClass) -> Objection | None:
    if tool.requires_confirmation or tool.dual_confirm:
        return "confirmation", f"{tool.name} runs only when a person confirms it."
    if hazard_class == "high":
        return "hazard_high", f"This call of {tool.name} is of hazard class high: a person has to confirm it."
    return None


def find_override(message: str, word: str) -> tuple[bool, str]:
    """Whether the override `word` is in `message`, and the message without it: only that may be kept anywhere.

    It counts on a line of its own, or as `@word` between spaces (punctuation around it is no matter). Upper and lower
    case differ, as in every password. An empty word is never found.
    """
    word = word.strip()
    if not word:
        return False, message
    mention = re.compile(rf"[ \t]?(?<!\S){AROUND_A_WORD}@{re.escape(word)}{AROUND_A_WORD}(?!\S)")
    # Mentions first: one that goes may leave the word alone on its line.
    lines = mention.sub("", message).splitlines(keepends=True)
    rest = "".join(line for line in lines if line.strip() != word)
    return rest != message, rest
