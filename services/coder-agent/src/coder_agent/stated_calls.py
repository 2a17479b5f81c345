"""Examples in plain words: a call on literals and what it gives, as in `f(2) == 4` or `f(-1) raises ValueError`.

A sentence counts only when nothing in it can change what it says: what follows the value must end the statement
("returns 3 items" and "returns 1, 2" do not), and what stands before the call must not be part of a larger expression,
a condition or a report of a fault. An example that is missed costs little, one that is misread refuses right code.
"""

import ast
import builtins
import re
from collections.abc import Iterator

from coder_agent.cases import Case, called_name, is_exception, is_literal, parsed_expression, raising_case, written
from coder_agent.literals import NUMBER, Scanner

MOST_STARTS = 500
CALL_START = re.compile(r"(?<![\w.])([A-Za-z_.][\w.]*)\(")
RELATION = re.compile(
    r"""[`'"”]?[^\S\n]{0,9}(?:,[ ])?(?:
        (?P<raises>(?:(?P<must>should|must|will)\s)?(?:to\s)?raises?\s(?:an?\s)?`?)
      | (?P<symbol>={1,3}>?|-{1,3}>|→|⇒|⟶|⟹|↦)
      | (?P<comment>\#)[^\S\n]{1,4}(?:={1,2}>|-{1,2}>|==|returns\b|→)?
      | (?P<wish>should|must|will|would|to)\s(?:return|give|equal|output|be|evaluate\sto)\b
        (?:\s(?:you|us|me|back|equal\sto))?
      | (?:returns?|gives?|equals?|outputs?|evaluates\sto|is)\b(?:\s(?:you|us|me|back|equal\sto))?
      | be\b
    )(?:[^\S\n]{0,9}:(?P<below>[^\S\n]{0,9}\n(?:```\w{0,9}\n)?))?[^\S\n]{0,9}(?:\*\*)?`?""",
    re.VERBOSE | re.IGNORECASE,
)
FOLLOWING = r"(?:(?:also|then|that|so)[ ])?`?(?:[A-Za-z_]\w*\(|(?:that|so|this|it)\b)"
TAIL = re.compile(
    rf"""[^\S\n]*+[`'"”*]*+[^\S\n]*+(?:
        \Z | (?P<line_end>\n) | \.(?=\s|\Z|[`'")*]) | [;)] | (?P<bang>!(?!=))
      | ,\s*+(?:\Z|(?:and|but|while|whereas)\s+{FOLLOWING}|since\b|because\b|which\b|not\b|`?[A-Za-z_]\w*\()
      | (?:and|but|while|whereas)\s+{FOLLOWING} | (?:because|since)\b
      | \# | (?:--|—|–)\s+(?=[A-Za-z`])
      | \(\s*(?:note|because|since|see|not|i\.e\.)[^\w\n] | \(\d+(?:\s*[-+*/]\s*\d+)+\)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
RAISES_TAIL = re.compile(r"`?(?:[^\S\n](?:exception|error)\b)?(?=[^\S\n]+(?:with|because|since|as)\b|(?P<end>))")
FOLLOWED = re.compile(rf"[^\S\n]*(?:(?:and|but|while|whereas)\s+{FOLLOWING}|because\b|since\b)", re.IGNORECASE)
WRAPPED_PROSE = re.compile(r"[^\S\n]*(?:[a-z]+\b(?![(_])|['\"])")
OTHERWISE = re.compile(r"\s{0,3}(?:otherwise|else|or else)\b", re.IGNORECASE)
WRAPPED_CONDITION = re.compile(r"[^\S\n]*(?:if|when|unless|or|otherwise|for|where|approximately|about|to)\b")
BEFORE_CALL = re.compile(
    r"""(?: [-+*/%&|^~<>=@!.]
      | n['’]t | \b(?:not|or|if|elif|when|unless|until|plus|minus|times|than|by|in|from|def|class|lambda|await|return
          |never|either|for|between|suppose|assume|assuming)
      | (?<!result)(?<!results)(?<!output)(?<!value)(?<!call)[ ]of
    )[`'"(]?\Z""",
    re.VERBOSE,
)
BULLET = re.compile(r"[ \t]*(?:(?:[-*+•>]|->|=>|\d+[.)])[ \t]+)*[`'\"(*]*\Z")
FAULT = re.compile(
    r"\b(?:current(?:ly)?|instead|at the moment|right now|wrong(?:ly)?|incorrect(?:ly)?|actual(?:ly)?|got|observed"
    r"|bug\w*|(?:untrue|not true|false|not the case) that|approx\w*|roughly|about|around|almost|nearly"
    r"|something like|similar to|unlike|suppose|assum\w+)\b"
    r"|[~≈≅]|^\s*given (?:an? |the )?(?:function|helper)\b|\bbut\b.*\b(?:should|must|expect\w*|want\w*)\b",
    re.IGNORECASE,
)
CORRECTED = re.compile(
    r"""[\s.;,!`'")]*(?:but|and|however|yet)?,?\s*(?:it|this|that|which|the\s\w+)?\s*
    (?:(?:should|must|ought)\b.{0,12}\b(?:return|be|give|equal|yield|output)|expected\b|i\s(?:want|expect))""",
    re.VERBOSE | re.IGNORECASE,
)
FAULTY_CODE = re.compile(
    r"\b(?:currently|at the moment|debug|buggy|bugs?|broken|wrong (?:result|answer|output|value)s?|wrongly|incorrectly"
    r"|(?:fix|repair|correct) (?:the|this|my|it|up)|doesn't work|does not work|not working)\b",
    re.IGNORECASE,
)
MATCHER = re.compile(r"\.(?:toBe|toEqual|toStrictEqual|to_equal|to_be)\(\s*")
EXCEPTION = re.compile(r"[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration|Warning)\b")
AROUND_CALL = frozenset(
    {"list", "sorted", "set", "tuple", "dict", "len", "sum", "max", "min", "abs", "round", "range", "str"}
)
CODE_LINE = re.compile(r"[ \t>`*+-]*(?:\d+[.)][ \t]*)?(?:assert\b|>>>)")


def stated_calls(request: str) -> Iterator[Case]:
    """The examples that `request` states in words, in their order."""
    text = "\n".join("" if CODE_LINE.match(line) else line for line in request.split("\n"))
    scanner, position, unresolved = Scanner(text), 0, -1
    alone = len({name for name in CALL_START.findall(text) if not hasattr(builtins, name)}) == 1
    in_faulty_code = FAULTY_CODE.search(request) is not None
    for _ in range(MOST_STARTS):
        start = CALL_START.search(text, position)
        if start is None:
            return
        end = scanner.end(start.end() - 1)
        if end is None:
            position = start.end()
            continue
        case, position = _read(scanner, start, end, wishes_only=in_faulty_code)
        joined = unresolved >= 0 and _is_connective(text[unresolved : start.start()])
        unresolved = -1 if case else end
        if case and not joined and (alone or not (case.call or "").endswith("()")):
            yield case


def _read(scanner: Scanner, start: re.Match[str], end: int, *, wishes_only: bool) -> tuple[Case | None, int]:
    """The example that the call from `start` to `end` is part of, if any, and where to read on."""
    name = start.group(1).split(".")[-1]
    if name in {"assertEqual", "assertEquals", "assert_equal", "expect"}:
        return _asserted(scanner, name, scanner.text[start.start() : end], end)
    call = scanner.text[start.start() : end]
    relation = RELATION.match(scanner.text, end)
    if relation is None or "." in start.group(1) or not is_plain_call(parsed_expression(call)):
        return None, end
    if wishes_only and relation["symbol"] not in {"==", "==="} and not (relation["wish"] or relation["must"]):
        return None, end
    is_out_of_place = relation["comment"] and not BULLET.match(scanner.text, *_line_before(scanner.text, start.start()))
    if is_out_of_place or not _stands_alone(scanner.text, start.start()):
        return None, end
    if relation["raises"]:
        return _raised(scanner.text, call, relation.end()), end
    return _given(scanner, call, relation)


def _given(scanner: Scanner, call: str, relation: re.Match[str]) -> tuple[Case | None, int]:
    found = scanner.literal(relation.end())
    if found is None:
        return None, relation.end()
    expected, end = found
    is_signature = expected == "None" and relation["symbol"] == "->" and re.search(r"\(\s*(?:\w+\s*=|\))", call)
    is_factual = not (relation["wish"] or relation["symbol"])
    if is_signature or not _ends_the_statement(scanner.text, end, expected, in_words=not relation["symbol"]):
        return None, end
    if relation["below"] and scanner.text[end : end + 1] not in {"", "\n"}:
        return None, end
    if is_factual and CORRECTED.match(scanner.text, end):
        return None, end
    return Case(f"assert {call} == {expected}", True, call, expected), end


def _raised(text: str, call: str, position: int) -> Case | None:
    exception = EXCEPTION.match(text, position)
    if exception is None or not is_exception(exception.group()):
        return None
    tail = RAISES_TAIL.match(text, exception.end())
    if tail is None or (tail["end"] is not None and not _ends_the_statement(text, tail.end(), "''", in_words=True)):
        return None
    return None if CORRECTED.match(text, tail.end()) else raising_case(call, exception.group(), trusted=True)


def _asserted(scanner: Scanner, name: str, source: str, end: int) -> tuple[Case | None, int]:
    """`assertEqual(f(1), 2)`, `expect(f(1)).toBe(2)`."""
    node = parsed_expression(source)
    arguments = node.args if isinstance(node, ast.Call) and not node.keywords else []
    matcher = MATCHER.match(scanner.text, end)
    if name == "expect":
        found = scanner.literal(matcher.end()) if matcher else None
        if found is None or not re.match(r"\s*\)", scanner.text[found[1] : found[1] + 9]):
            return None, end
        arguments = [*arguments, *filter(None, [parsed_expression(found[0])])]
    if len(arguments) != 2:
        return None, end
    call, expected = arguments if isinstance(arguments[0], ast.Call) else reversed(arguments)
    sides = written(call), written(expected)
    if not is_plain_call(call) or not is_literal(expected) or sides[0] is None or sides[1] is None:
        return None, end
    return Case(f"assert {sides[0]} == {sides[1]}", True, *sides), end


def is_plain_call(node: ast.expr | None) -> bool:
    """Whether it calls a function of the module, by its plain name, on literals or on such calls."""
    return _is_call_on_literals(node) and isinstance(node, ast.Call) and called_name(written(node) or "") is not None


def _is_call_on_literals(node: ast.expr | None) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            values = [*arguments, *(keyword.value for keyword in keywords)]
            is_usable = name in AROUND_CALL or not hasattr(builtins, name)
            return is_usable and all(is_literal(value) or _is_call_on_literals(value) for value in values)
        case _:
            return False


def _line_before(text: str, start: int) -> tuple[int, int]:
    return text.rfind("\n", 0, start) + 1, start


def _stands_alone(text: str, start: int) -> bool:
    """Whether the call is no part of a larger expression, of a condition or of the report of a fault."""
    begin, _ = _line_before(text, start)
    if start - begin < 200 and BULLET.match(text, begin, start):
        before = ""
    else:
        before = re.split(r"[.!?;]\s", text[max(begin, start - 160) : start])[-1]
    after = re.split(r"[.!?;](?:\s|\Z)|\n", text[start : start + 240])[0]
    return not BEFORE_CALL.search(before.rstrip()) and not FAULT.search(before) and not FAULT.search(after)


def _ends_the_statement(text: str, end: int, expected: str, *, in_words: bool) -> bool:
    tail = TAIL.match(text, end)
    if tail is None or (tail["bang"] and NUMBER.fullmatch(expected)) or OTHERWISE.match(text, tail.end()):
        return False
    wrapped = WRAPPED_PROSE if in_words else WRAPPED_CONDITION
    goes_on = tail["line_end"] and wrapped.match(text, tail.end())
    return not goes_on or FOLLOWED.match(text, tail.end()) is not None


def _is_connective(between: str) -> bool:
    """Whether the text between two calls only joins them, as in "f(1) and f(2) return ..."."""
    return len(between) < 20 and re.fullmatch(r"[\s`'\",&/]*(?:and|or|to|with|then|vs)?[\s`'\"]*", between) is not None
