"""The names a request asks for: classes, or functions with their signatures."""

import ast
import math
import re
from collections.abc import Collection, Iterable, Sequence

from coder_agent.reading.cases import NOT_ENTRIES, is_literal, parsed, parsed_expression
from coder_agent.reading.given_code import Given, without_finished
from coder_agent.reading.literals import Scanner
from coder_agent.reading.relations import CALL_START

PROSE_WORDS = """
a above accepting accepts an and any as at be below but by called can class code computing converting counting
definition does finding for from given in into is it its just like me method must my name named object of on only or
out please program python recursively return returning returns should so something such taking takes that the then
this to using where which while whose will with without would you your O Theta Omega
"""
PROSE = frozenset(re.findall(r"\w+", PROSE_WORDS))
"""Words that stand where a name may stand, and are none."""
STANDARD = frozenset(dir(math)) | {"deepcopy", "Counter", "defaultdict", "deque", "Decimal", "Fraction", "mean"}
"""Functions that a request may mention in passing: "since sqrt(4) = 2"."""
VERB = r"\b(?:write|implement|create|make|define|build|need|design|develop|provide|want|add|complete|code)\b"
ARTICLES = r"\s+(?:(?:me|us|a|an|the|one|another|simple|small|short|python3?|function|method|called|named)\s+)*+"
NAMED_FUNCTION = re.compile(
    r"\b(?:function|method|routine)s?,?\s+(?:called|named)\s+[`'\"]?([A-Za-z_]\w*)"
    r"|(?<!file )(?<!variable )(?<!column )(?<!key )(?<!argument )(?<!parameter )(?<!list )(?<!dict )(?<!field )"
    r"\b(?:called|named)\s+[`'\"]?([A-Za-z]\w*_\w*)\b(?!\.\w)"
)
LABELLED_NAME = re.compile(
    r"\b(?i:call it|name it|function name(?: is)?:?|signature:)\s*[`'\"]?(?:def\s+)?([A-Za-z_]\w*)(?!\.\w)"
)
ASKED_CALL = re.compile(VERB + ARTICLES + r"[`'\"]?([A-Za-z_]\w*)\(", re.IGNORECASE)
FUNCTION_NAME = re.compile(
    r"\b(?:function|method|routine|called|named)\s+(?!called\b|named\b)"
    r"(?:`?([A-Za-z]\w*_\w*)|`([A-Za-z_]\w*)`|([A-Za-z_]\w*)(?=\s*[(,.:]|\s*$))",
    re.MULTILINE,
)
PLURAL = re.compile(r"(?<![\w.`])[A-Za-z][a-z]*\((?:s|es|ies)\)")
BEFORE_NAME = re.compile(rf"(?:\A|\n|[:;`]|{VERB}|\b(?:function|method|called|named|def))\s*\Z", re.IGNORECASE)
CLASS_WORDS = r"\s+(?:(?!(?:function|method|first|for|in|of|on|with|that|to|from|using|given|class)\b)[\w-]+\s+){0,4}?"
NO_FUNCTION = r"(?!\s+(?:function|method|object|citizen))"
CLASSES = (
    re.compile(rf"(?i:{VERB}{CLASS_WORDS}class)\s+(?:called\s+|named\s+)?[`'\"]?([A-Z]\w*)\b{NO_FUNCTION}"),
    re.compile(rf"(?i:{VERB}{CLASS_WORDS}class\s+(?:called|named))\s+[`'\"]?([A-Za-z_]\w*)\b"),
    re.compile(rf"(?i:{VERB}{CLASS_WORDS})[`'\"]?([A-Z][a-z]\w*|[A-Z]+[a-z]\w*)(?:\([^()\n]*\))?[`'\"]?\s+class\b"),
    re.compile(rf"\A\s*(?:[Aa]n?\s+)?[Cc]lass\s+`?([A-Z]\w*)\b{NO_FUNCTION}"),
)
ANOTHER_CLASS = re.compile(rf"\b(?:and|,)\s+(?:an?\s+|another\s+)?class\s+`?([A-Z]\w*)\b{NO_FUNCTION}")
ASKS_FUNCTION = re.compile(rf"\bfunction\b|^def\s|{VERB}{ARTICLES}[`'\"]?[a-z_]\w*\(", re.IGNORECASE | re.MULTILINE)
NOT_CLASSES = frozenset({"Python", "Simple", "Base", "Abstract", "Data", "A", "An", "The", "New", "Write", "Your"})
MOST_STARTS = 200


def asked_classes(request: str, given: Sequence[Given]) -> tuple[str, ...]:
    """The classes that are asked for; none where one is only mentioned, as in "given a class Node, write f(head)"."""
    found = [match.group(1) for pattern in CLASSES for match in pattern.finditer(request)]
    names = [name for name in found if name not in NOT_CLASSES and is_name(name)]
    if names:
        names += [match.group(1) for match in ANOTHER_CLASS.finditer(request) if match.group(1) not in NOT_CLASSES]
    elif not ASKS_FUNCTION.search(request):
        names = [definition.name for definition in given if definition.is_class]
    return in_order_of_mention(request, names)


def asked_function(request: str, called: Sequence[str], given: Sequence[Given]) -> str | None:
    """The function that is asked for.

    Args:
        called: the names that the examples call.
        given: what the request spells out. A stub is asked for, finished code only where nothing else is.
    """
    functions = [definition for definition in given if not definition.is_class]
    stubs = [definition.name for definition in functions if definition.is_stub and is_name(definition.name)]
    finished = [definition.name for definition in functions if not definition.is_stub]
    own = [name for name in called if not is_aside(request, name)] or list(called)
    own = [name for name in own if name not in finished]
    request = without_finished(request, functions)
    stated = (*stubs[:1], _first(NAMED_FUNCTION, request), _first(LABELLED_NAME, request), _asked_call(request))
    for name in (*stated, *own, _signed_name(request, finished), *finished):
        if name is not None:
            return name
    word = re.fullmatch(r"\s*`?([a-z_]\w*)`?\s*", request)
    return _first(FUNCTION_NAME, request) or (word.group(1) if word and is_name(word.group(1)) else None)


def in_order_of_mention(request: str, names: Iterable[str]) -> tuple[str, ...]:
    """`names`, each once, by where the request first says them."""
    places = {name: re.search(rf"\b{re.escape(name)}\b", request) for name in names}
    return tuple(sorted(places, key=lambda name: place.start() if (place := places[name]) else len(request)))


def is_aside(request: str, name: str) -> bool:
    """Whether `name` is a function of Python's library that the request only calls on values, and asks for nowhere."""
    if name not in STANDARD:
        return False
    scanner = Scanner(request)
    for match in list(re.finditer(rf"(?<![\w.]){name}\b", request))[:MOST_STARTS]:
        before = request[max(0, match.start() - 12) : match.start()].split()
        is_asked = not before or before[-1].lower() not in {"using", "with", "like", "of", "import", "than", "unlike"}
        end = scanner.end(match.end()) if request[match.end() : match.end() + 1] == "(" else None
        if is_asked and (end is None or not _is_on_literals(request[match.start() : end])):
            return False
    return True


def signature(request: str, entry: str) -> str | None:
    """`entry(a, b=1)` where the request spells the parameters by name, annotations included."""
    scanner = Scanner(request)
    for match in list(re.finditer(rf"(?<![\w.]){re.escape(entry)}\(", request))[:MOST_STARTS]:
        end = scanner.end(match.end() - 1)
        call = request[match.start() : end] if end else ""
        is_spelt = call.endswith("()") or (call and not _is_on_literals(call))
        if is_spelt and parsed(f"def {call}: pass") is not None:
            return " ".join(call.split())
    return None


def _asked_call(request: str) -> str | None:
    """The name in "write name(...)"."""
    calls = (match for match in ASKED_CALL.finditer(request) if not _is_plural(request, match.start(1)))
    return next((match.group(1) for match in calls if is_name(match.group(1))), None)


def _signed_name(request: str, finished: Collection[str]) -> str | None:
    """The name of the first call that reads as a signature."""
    scanner = Scanner(request)
    names: list[str] = []
    for start in list(CALL_START.finditer(request))[:MOST_STARTS]:
        name, end = start.group(1), scanner.end(start.end() - 1)
        is_plural = _is_plural(request, start.start())
        if (
            end
            and is_name(name)
            and name not in finished
            and not is_plural
            and _is_callable(request[start.start() : end])
        ):
            names.append(name)
    own = (name for name in names if not is_aside(request, name) and not name[0].isupper())
    return next(own, names[0] if names else None)


def _first(pattern: re.Pattern[str], request: str) -> str | None:
    for match in pattern.finditer(request):
        name = next(group for group in match.groups() if group)
        if is_name(name):
            return name
    return None


def _is_plural(request: str, start: int) -> bool:
    """ "word(s)", where "write reverse(s)" is a call."""
    before = request[max(0, start - 30) : start]
    return PLURAL.match(request, start) is not None and not BEFORE_NAME.search(before)


def is_name(name: str) -> bool:
    """Whether a request may mean `name` as one of the module: no word of prose, of Python or of tests."""
    is_word = name in NOT_ENTRIES or name in PROSE or name.lower() in PROSE
    return not is_word and "." not in name and not name.startswith(("test_", "__"))


def _is_callable(call: str) -> bool:
    return parsed(f"def {call}: pass") is not None or isinstance(parsed_expression(call), ast.Call)


def _is_on_literals(call: str) -> bool:
    node = parsed_expression(call)
    if not isinstance(node, ast.Call):
        return False
    return all(is_literal(value) for value in [*node.args, *(keyword.value for keyword in node.keywords)])
