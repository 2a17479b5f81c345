"""Slash commands at the beginning of what is said: `/agent on. Call coding.generate to implement: …`. Pure.

Each changes how the rest is asked; what is no such command is the message, to the letter.
"""

import re
from dataclasses import dataclass, replace

AGENT = re.compile(r"/agent\s+(on|off)\b[.,;:]?\s*", re.IGNORECASE)
MODEL = re.compile(r"/model\s+([\w.:-]+?)(?:[.,;:](?=\s|$))?(?:\s+|$)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Saying:
    """A message and how it is to be asked."""

    message: str
    use_agent: bool | None = None
    """Whether tools may be called; None: as the service does."""
    model: str | None = None


def read_directives(text: str, before: Saying | None = None) -> Saying:
    """`text` without the commands it begins with, and what they say; `before`: what holds where they say nothing."""
    saying = before or Saying("")
    rest = text.lstrip()
    while True:
        if found := AGENT.match(rest):
            saying = replace(saying, use_agent=found[1].lower() == "on")
        elif found := MODEL.match(rest):
            saying = replace(saying, model=found[1])
        else:
            return replace(saying, message=rest if rest != text.lstrip() else text)
        rest = rest[found.end() :]
