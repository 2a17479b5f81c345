"""Examples in plain words: a call on literals and what it gives, as in `f(2) == 4` or `f(-1) raises ValueError`."""

import builtins
import re
from collections.abc import Iterator

from coder_agent.reading.cases import Case, is_exception, parsed_expression, raising_case, value_case
from coder_agent.reading.literals import Scanner
from coder_agent.reading.matchers import EQUALITIES, matched
from coder_agent.reading.plain_calls import is_plain_call
from coder_agent.reading.relations import (
    CALL_START,
    CORRECTED,
    RELATION,
    Tone,
    ends_statement,
    is_line_start,
    stands_alone,
)
from coder_agent.reading.terminal import without_terminal

MOST_STARTS = 500
RAISES_TAIL = re.compile(
    r"(?:\([\"'][^\"'\n]*[\"']\))?`?(?:[^\S\n](?:exception|error)\b)?(?=[^\S\n]+(?:with|because|since|as)\b|(?P<end>))"
)
EXCEPTION = re.compile(r"[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration|Warning)\b")
ITERATION = re.compile(r"\b(?:generat|iterat|lazy|lazily|gen)", re.IGNORECASE)
SIGNATURE = re.compile(r"\w+\(\s*(?:\w+\s*=|\)\Z)")
BARE = re.compile(r"\w+\(\)")
CHAIN = re.compile(r"\.[A-Za-z]\w*(\()?")
CODE_LINE = re.compile(r"[ \t>`*+-]*(?:\d+[.)][ \t]*)?(?:assert\b|>>>)")


def stated_calls(request: str) -> Iterator[Case]:
    """The examples that `request` states in words, in their order."""
    lines = without_terminal(request.split("\n"))
    text = "\n".join("" if CODE_LINE.match(line) else line for line in lines)
    scanner, position, unresolved = Scanner(text), 0, -1
    alone = len({name for name in CALL_START.findall(text) if not hasattr(builtins, name)}) == 1
    tone = Tone(text)
    for _ in range(MOST_STARTS):
        start = CALL_START.search(text, position)
        if start is None:
            return
        end = _call_end(scanner, start)
        if end is None:
            position = start.end()
            continue
        case, position = _read(scanner, start, end, tone)
        joined = unresolved >= 0 and _is_connective(text[unresolved : start.start()])
        is_signature = case is None and not is_plain_call(parsed_expression(text[start.start() : end]))
        unresolved = -1 if case or is_signature else end
        if case and not joined and (alone or not BARE.fullmatch(case.call or "")):
            yield case


def _call_end(scanner: Scanner, start: re.Match[str]) -> int | None:
    """Where the call ends; what is asked of the object that a class gave (`Stack().size()`) is part of it."""
    end = scanner.end(start.end() - 1)
    while end is not None and start.group(1)[:1].isupper() and (link := CHAIN.match(scanner.text, end)):
        end = scanner.end(link.end() - 1) if link.group(1) else link.end()
    return end


def _read(scanner: Scanner, start: re.Match[str], end: int, tone: Tone) -> tuple[Case | None, int]:
    """The example that the call from `start` to `end` is part of, if any, and where to read on."""
    name = start.group(1).split(".")[-1]
    call = scanner.text[start.start() : end]
    if name in EQUALITIES:
        return matched(scanner, name, call, end), end
    relation = RELATION.match(scanner.text, end)
    is_own = "." not in start.group(1) or start.group(1) == "asyncio.run"
    if relation is None or not is_own or not is_plain_call(parsed_expression(call)):
        return None, end
    is_wish = relation["symbol"] in {"==", "==="} or relation["wish"] or relation["must"]
    is_out_of_place = relation["shown"] and not is_line_start(scanner.text, start.start())
    if is_out_of_place or not (is_wish or tone.takes_facts(start.start())):
        return None, end
    case, end = _raised(scanner.text, call, relation) if relation["raises"] else _given(scanner, call, relation)
    return case if case and stands_alone(scanner.text, start.start(), end) else None, end


def _given(scanner: Scanner, call: str, relation: re.Match[str]) -> tuple[Case | None, int]:
    text = scanner.text
    found = scanner.literal(relation.end())
    if found is None:
        return None, relation.end()
    expected, end = found
    is_signature = expected == "None" and relation["symbol"] == "->" and SIGNATURE.match(call)
    is_one_of_many = "yield" in relation.group() and not expected.startswith("[") and ITERATION.search(text)
    if is_signature or is_one_of_many or not ends_statement(text, end, expected, in_words=not relation["symbol"]):
        return None, end
    if relation["below"] and text[end : end + 1] not in {"", "\n"}:
        return None, end
    if not (relation["wish"] or relation["symbol"]) and CORRECTED.match(text, end):
        return None, end
    return value_case(call, expected), end


def _raised(text: str, call: str, relation: re.Match[str]) -> tuple[Case | None, int]:
    end = relation.end()
    exception = EXCEPTION.match(text, end)
    tail = RAISES_TAIL.match(text, exception.end()) if exception else None
    if exception is None or tail is None or not is_exception(exception.group()):
        return None, end
    if tail["end"] is not None and not ends_statement(text, tail.end(), "''", in_words=True):
        return None, end
    is_corrected = CORRECTED.match(text, tail.end())
    return None if is_corrected else raising_case(call, exception.group(), trusted=True), tail.end()


def _is_connective(between: str) -> bool:
    """Whether the text between two calls only joins them, as in "f(1) and f(2) return ..."."""
    return len(between) < 20 and re.fullmatch(r"[\s`'\",&/]*(?:and|or|to|with|then|vs)?[\s`'\"]*", between) is not None
