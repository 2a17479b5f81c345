"""What the request itself says must hold, read without a model.

`read_request` finds the name to define and every example the request states: asserts, doctests (`>>>`), and calls with
what they give (`f(2) == 4`, `f(2) -> 4`, `f(2) returns 4`, `f(-1) raises ValueError`). Examples are trusted tests: they
outrank anything a model writes. Only literal arguments and results count, so nothing from the request is ever run here.
"""

import ast
import builtins
import doctest
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass

CALL_START = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")
RELATION = re.compile(
    r"""^[`'")\s]*(?:,\s*)?(?:
        (?P<raises>(?:should\s+|must\s+|will\s+)?raises?\s+(?:an?\s+)?)
      | (?:==|->|=>|→|⇒|=)
      | (?:(?:should|must|will|would)\s+)?(?:returns?|gives?|equals?|yields?|outputs?|be|evaluates\s+to|is)\b
        (?:\s+(?:equal\s+to|back))?
      | (?:should|must|will)\s+be\b
    )\s*:?\s*`?""",
    re.VERBOSE | re.IGNORECASE,
)
NAMED = re.compile(
    r"\b(?:function|method|routine|called|named)\s+(?!called\b|named\b)"
    r"(?:`?([A-Za-z]\w*_\w*)|`([A-Za-z_]\w*)`|([A-Za-z_]\w*)(?=\s*[(,.:]|\s*$))",
    re.MULTILINE,
)
NAMED_PLAINLY = re.compile(r"\b(?:function|method|routine)\s+(?:called|named)\s+`?([A-Za-z_]\w*)")
DEFINED = re.compile(r"\bdef\s+([A-Za-z_]\w*)\s*\(")
CLASS_NAMED = re.compile(r"\bclass\s+(?:called\s+|named\s+)?`?([A-Z]\w*)`?")
STRING_OR_BRACKET = re.compile(r"""\"(?:\\.|[^"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[()\[\]{}]""")
NOT_ENTRIES = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"e.g", "i.e", "pytest"}
JSON_WORDS = {"true": "True", "false": "False", "null": "None", "none": "None"}


@dataclass(frozen=True)
class Case:
    """One check of the module.

    `check` is Python source of one or more statements. `call`, `expected` and `raises` are source texts where the check
    is of that simple shape, else None.
    """

    check: str
    trusted: bool
    call: str | None = None
    expected: str | None = None
    raises: str | None = None


@dataclass(frozen=True)
class Reading:
    """What the request says: the name to define (None when it leaves that open), its signature, and its examples."""

    entry: str | None
    signature: str | None
    is_class: bool
    examples: tuple[Case, ...]


def read_request(request: str) -> Reading:
    """Read `request` (plain words, up to 20,000 characters) as above."""
    examples = tuple(_distinct([*_asserts(request), *_doctests(request), *_stated_calls(request)]))
    class_name = CLASS_NAMED.search(request)
    entry = class_name.group(1) if class_name else _entry(request, examples)
    signature = _signature(request, entry) if entry and not class_name else None
    return Reading(entry, signature, class_name is not None, examples)


def called_name(check: str) -> str | None:
    """The first plain function name that `check` calls and that Python does not define."""
    try:
        tree = ast.parse(check)
    except SyntaxError:
        return None
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    names = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
    return next((name for name in names if name not in NOT_ENTRIES), None)


def case_from_assert(node: ast.Assert, *, trusted: bool) -> Case:
    """A case from one assert; `call` and `expected` are filled when it compares a call with a value."""
    check = ast.unparse(node)
    match node.test:
        case ast.Compare(left=ast.Call() as call, ops=[ast.Eq() | ast.Is()], comparators=[expected]):
            return Case(check, trusted, ast.unparse(call), ast.unparse(expected))
        case ast.Call() as call if isinstance(call.func, ast.Name) and call.func.id not in NOT_ENTRIES:
            return Case(check, trusted, ast.unparse(call), "True")
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call() as call):
            return Case(check, trusted, ast.unparse(call), "False")
        case _:
            return Case(check, trusted)


def raising_case(call: str, exception: str, *, trusted: bool) -> Case:
    """A case that wants `call` to raise `exception`."""
    return Case(f"with pytest.raises({exception}):\n    {call}", trusted, call, None, exception)


def _asserts(request: str) -> Iterator[Case]:
    for match in re.finditer(r"^[ \t>`*-]*(assert\b.*)$", request, re.MULTILINE):
        text = match.group(1).strip().rstrip("`").strip()
        try:
            body = ast.parse(text).body
        except SyntaxError:
            continue
        if len(body) == 1 and isinstance(body[0], ast.Assert) and called_name(text):
            yield case_from_assert(body[0], trusted=True)


def _doctests(request: str) -> Iterator[Case]:
    setup: list[str] = []
    try:
        examples = doctest.DocTestParser().get_examples(re.sub(r"(?<=[^\s>])[ \t]*>>>", "\n>>>", request))
    except ValueError:
        return
    for example in examples:
        source = example.source.strip()
        if not example.want:
            setup.append(source)
            continue
        case = _doctest_case(source, example.want.strip(), example.exc_msg)
        if case is not None:
            check = "\n".join([*setup, case.check])
            yield Case(check, True, None if setup else case.call, case.expected, case.raises)


def _doctest_case(source: str, want: str, exc_msg: str | None) -> Case | None:
    if called_name(source) is None and "." not in source:
        return None
    if exc_msg:
        return raising_case(source, exc_msg.split(":")[0].strip(), trusted=True)
    expected = literal_prefix(want)
    if expected is None or expected.strip() != want.strip() or not _is_expression(source):
        return None
    return Case(f"assert {source} == {expected}", True, source, expected)


def _stated_calls(request: str) -> Iterator[Case]:
    text = "\n".join(line for line in request.split("\n") if not re.match(r"[ \t>`*-]*(?:assert\b|>>>)", line))
    for match in CALL_START.finditer(text):
        call = _balanced_call(text, match.start())
        if call is None or match.group(1) in NOT_ENTRIES or not _has_literal_arguments(call):
            continue
        rest = text[match.start() + len(call) :].split("\n", 1)
        relation = RELATION.match(rest[0])
        if relation is None:
            continue
        tail = rest[0][relation.end() :] + ("\n" + rest[1] if len(rest) > 1 and not _is_closed(rest[0]) else "")
        case = _stated(call, tail, raises=relation.group("raises") is not None)
        if case is not None:
            yield case


def _stated(call: str, tail: str, *, raises: bool) -> Case | None:
    if raises:
        exception = re.match(r"`?([A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration|Warning))", tail)
        known = exception is not None and hasattr(builtins, exception.group(1))
        return raising_case(call, exception.group(1), trusted=True) if exception and known else None
    expected = literal_prefix(tail)
    return Case(f"assert {call} == {expected}", True, call, expected) if expected is not None else None


def literal_prefix(text: str) -> str | None:
    """The longest beginning of `text` that is one Python literal (`true`, `false`, `null` count), or None."""
    text = text.lstrip()
    word = re.match(r"[A-Za-z]+\b", text)
    if word:
        name = JSON_WORDS.get(word.group().lower())
        return name if name and word.group() in {*JSON_WORDS, *JSON_WORDS.values()} else None
    ends = [
        m.end() for m in re.finditer(r"[\w\])}\"'.]", text[:4000]) if m.end() == len(text) or text[m.end()] not in "_"
    ]
    for end in reversed(ends):
        if (end < len(text) and text[end - 1 : end + 1].isalnum()) or text[end - 1] == ".":
            continue
        if _is_literal(text[:end]):
            return text[:end]
    return None


def _is_literal(source: str) -> bool:
    try:
        node = ast.parse(source, mode="eval").body
        ast.literal_eval(source)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return False
    is_bare_tuple = isinstance(node, ast.Tuple) and bool(node.elts) and node.elts[0].col_offset == 0
    return not is_bare_tuple and not isinstance(node, ast.BinOp)


def _balanced_call(text: str, start: int) -> str | None:
    """The call that starts at `start`, up to its closing bracket, minding quotes; None when it is never closed."""
    depth = 0
    for token in STRING_OR_BRACKET.finditer(text, text.index("(", start), start + 4000):
        if token.group() in "([{":
            depth += 1
        elif token.group() in ")]}":
            depth -= 1
            if depth == 0:
                return text[start : token.end()]
    return None


def _has_literal_arguments(call: str) -> bool:
    try:
        node = ast.parse(call.strip(), mode="eval").body
        if not isinstance(node, ast.Call):
            return False
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            ast.literal_eval(argument)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _is_closed(line: str) -> bool:
    """Whether the brackets opened on `line` are closed on it."""
    return sum(line.count(c) for c in "([{") <= sum(line.count(c) for c in ")]}")


def _is_expression(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
    except SyntaxError:
        return False
    return True


def _entry(request: str, examples: tuple[Case, ...]) -> str | None:
    for case in examples:
        name = called_name(case.call or case.check)
        if name:
            return name
    for pattern in (DEFINED, CALL_START, NAMED_PLAINLY, NAMED):
        for match in pattern.finditer(request):
            name = next(group for group in match.groups() if group)
            if name not in NOT_ENTRIES:
                return name
    word = re.fullmatch(r"\s*([a-z_]\w*)\s*", request)
    return word.group(1) if word and word.group(1) not in NOT_ENTRIES else None


def _signature(request: str, entry: str) -> str | None:
    """`entry(a, b=1)` where the request spells the parameters by name, annotations included."""
    for match in re.finditer(rf"(?<![\w.]){re.escape(entry)}\(", request):
        call = _balanced_call(request, match.start())
        if call is None or (_has_literal_arguments(call) and not call.endswith("()")):
            continue
        try:
            ast.parse(f"def {call}: pass")
        except SyntaxError:
            continue
        return " ".join(call.split())
    return None


def _distinct(cases: list[Case]) -> Iterator[Case]:
    seen: set[str] = set()
    for case in cases:
        try:
            key = ast.dump(ast.parse(case.check))
        except SyntaxError:
            continue
        if key not in seen:
            seen.add(key)
            yield case
