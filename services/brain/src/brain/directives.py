"""What a person orders at the head of a message: `/agent on. Call coding.generate to implement: …`. Pure.

message ─> slash words (`/agent on|off`, `/model NAME`, `/tools on|off`) ─> `Call TOOL …: REQUEST` ─> Directive
"""

import re
from dataclasses import dataclass

SLASH = re.compile(
    r"\s*/(?:(?P<agent>agent|tools)[ \t]+(?P<state>on|off)|model[ \t]+(?P<model>[\w:-]+(?:\.[\w:-]+)*))"
    r"(?:[.;,]+(?=\s|\Z)|(?=\s|\Z))",
    re.IGNORECASE,
)
CALL = re.compile(
    r"\s*(?:please\s+)?(?:call|use|run|invoke)\s+(?:the\s+tool\s+)?`?(?P<tool>[a-z]\w+(?:\.\w{2,})+|[a-z]+(?:_\w+)+)`?",
    re.IGNORECASE | re.ASCII,
)
LEAD = re.compile(r"(?:[ \t]+[\w']+){0,6}[ \t]*:(?:[ \t]|(?=\n)|(?=\S))")
"""Words between the tool and its request: ` to implement: `."""
LINKS = re.compile(r"[ \t]+(?:to|and|for|with|on)[ \t]+", re.IGNORECASE)


@dataclass(frozen=True)
class Directive:
    """`request` is the rest of the message, byte for byte. None: not said."""

    request: str
    uses_agent: bool | None = None
    model: str | None = None
    tool: str | None = None
    """As the person wrote it."""


def read_directive(message: str) -> Directive:
    """What `message` orders; a message without orders is its own request."""
    at, uses_agent, model = 0, None, None
    while found := SLASH.match(message, at):
        if found["agent"]:
            uses_agent = found["state"].lower() == "on"
        else:
            model = found["model"]
        at = found.end()
    rest = message[at:].lstrip() if at else message
    call = CALL.match(rest)
    if call is None or uses_agent is False:
        return Directive(rest, uses_agent, model)
    return Directive(_request(rest, call.end()) or rest, uses_agent, model, call["tool"])


def _request(rest: str, at: int) -> str:
    for lead in (LEAD, LINKS):
        if found := lead.match(rest, at):
            return rest[found.end() :]
    return rest[at:].lstrip()
