"""Slash commands at the beginning of what is said: `/agent on. Call coding.generate to implement: …`. Pure.

The text is sent with them, to the letter: the brain obeys them, and they are part of what it is told. They are read
here as it reads them, to know whether anything is said at all, and what holds for the rest of a session.
"""

import re
from dataclasses import dataclass, replace

DIRECTIVE = re.compile(
    r"/(?:(?:agent|tools)[ \t]+(?P<state>on|off)|model[ \t]+(?P<model>[\w:-]+(?:\.[\w:-]+)*))"
    r"(?:[.;,]+(?=\s|\Z)|(?=\s|\Z))\s*",
    re.IGNORECASE,
)
SLASH_WORD = re.compile(r"\s*(/[a-z]+)(?=[\s.,;:!?]|\Z)", re.IGNORECASE)
"""What looks like a command; `/etc/passwd` does not."""


@dataclass(frozen=True)
class Saying:
    """A message and how it is to be asked."""

    message: str
    """Out of `read_directives`: what stands behind them."""
    use_agent: bool | None = None
    """Whether tools may be called; None: as the service does."""
    model: str | None = None


def read_directives(text: str, before: Saying | None = None) -> Saying:
    """`text` without the commands it begins with, and what they say; `before`: what holds where they say nothing."""
    saying = before or Saying("")
    rest = text.lstrip()
    while found := DIRECTIVE.match(rest):
        if found["state"]:
            saying = replace(saying, use_agent=found["state"].lower() == "on")
        else:
            saying = replace(saying, model=found["model"])
        rest = rest[found.end() :]
    return replace(saying, message=rest if rest != text.lstrip() else text)


def slash_word(text: str) -> str | None:
    """The command that `text` begins with, in lower case, where it is none of those above."""
    found = SLASH_WORD.match(text)
    return found[1].lower() if found else None
