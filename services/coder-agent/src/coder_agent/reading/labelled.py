"""Texts that a request labels as input and output, one below the other or on one line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

MOST_PAIRS = 50
LONGEST_TEXT = 2000
LABEL = re.compile(
    r"""(?P<margin>^[ \t>*#_-]*|(?<=[^\w\n])(?=(?i:(?:expected[ ])?output)[`*_]*:))
    (?:(?P<sample>sample|example|test)[ \t]+)?
    (?:(?P<input>inputs?|stdin)|(?P<output>(?:expected[ \t]+)?outputs?|stdout))
    (?:[ \t]*\#?\d+)?[ \t*_]*(?::[ \t*_]*|(?=\n))""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
FENCED = re.compile(r"\s*```\w*\n(.*?)\n?[ \t]*```", re.DOTALL)
TICKED = re.compile(r"[ \t\n]*`([^`\n]+)`[ \t]*")
OVER = re.compile(
    r"\n[ \t]*(?:\n|(?:\*\*|\#+[ ])?(?:explanation|note|example|sample|constraints)\b|```)", re.IGNORECASE
)
EXAMPLE = re.compile(r"(?:example|sample|for instance|e\.g\.)[^\n]{0,30}\n\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """An input and its output as written."""

    given: str
    wanted: str
    is_example: bool
    """Whether it is called an example or set as one, rather than possibly being a description of the two."""


def labelled_pairs(request: str) -> Iterator[Pair]:
    """Each input that an output follows directly."""
    labels = [label for label, _ in zip(LABEL.finditer(request), range(2 * MOST_PAIRS), strict=False)]
    was_sample = False
    for number, (first, second) in enumerate(pairwise(labels)):
        if not (first["input"] and second["output"]):
            continue
        limit = labels[number + 2].start() if number + 2 < len(labels) else len(request)
        given = _text(request[first.end() : second.start()][:LONGEST_TEXT])
        wanted = _ending(request[second.end() : limit][:LONGEST_TEXT])
        above = EXAMPLE.search(request[max(0, first.start() - 60) : first.start()])
        was_sample = was_sample or first["sample"] is not None or above is not None
        is_set = FENCED.match(request, first.end()) or TICKED.match(request, first.end())
        if given is not None and wanted is not None:
            yield Pair(given, wanted, was_sample or is_set is not None)


def _text(between: str) -> str | None:
    """The input; None where there is more than one text."""
    fenced = FENCED.match(between)
    if fenced:
        return fenced.group(1) if not between[fenced.end() :].strip() else None
    if "```" in between:
        return None
    return "\n".join(line.strip(" \t*`,;") for line in between.strip().split("\n")).strip()


def _ending(after: str) -> str | None:
    """The output at the beginning of `after`; None where it cannot be told from what follows."""
    fenced = FENCED.match(after)
    if fenced:
        return fenced.group(1)
    if not after.startswith("\n"):
        line, _, rest = after.partition("\n")
        goes_on = rest.strip() and not OVER.match("\n" + rest)
        return None if goes_on else line.strip(" \t*")
    text = OVER.split(after.lstrip("\n"), maxsplit=1)[0]
    return text.rstrip() or None
