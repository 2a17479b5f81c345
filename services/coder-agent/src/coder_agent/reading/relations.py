"""The words between a call and its value ("==", "→", "should return"), and what may stand around the two.

A statement counts only when nothing in it can change what it says: what follows the value must end the statement
("returns 3 items" and "returns 1, 2" do not), and what stands before the call must not be part of a larger expression,
a condition or a report of a fault. An example that is missed costs little, one that is misread refuses right code.
"""

import re

from coder_agent.reading.literals import NUMBER

CALL_START = re.compile(r"(?<![\w.])([A-Za-z_.][\w.]*)\(")
GIVES = r"returns?|gives?|yields?|produces?|equals?|outputs?|evaluates\sto|results\sin"
GIVES_ABROAD = r"ergibt|liefert|devuelve|retorna|renvoie|retourne|restituisce|возвращает|返回|返す"
RELATION = re.compile(
    rf"""[`'"”]?[^\S\n]{{0,9}}(?:,[ ])?(?:
        (?P<raises>(?:(?P<must>should|must|will)\s)?(?:to\s)?(?:raises?|throws?)\s(?:an?\s)?`?)
      | (?P<symbol>={{1,3}}>?|-{{1,3}}>|[→⇒⟶⟹↦➞➜➔⟼])
      | (?P<shown>\#[^\S\n]{{1,4}}(?:={{1,2}}>|-{{1,2}}>|==|returns\b|→)?|:(?=[^\S\n]{{1,9}}\S))
      | (?P<wish>(?:I|we)\s(?:would\s)?(?:expect|want)(?:\sto\s(?:get|see|be))?
          |(?:should|must|will|would|to)\s(?:return|give|yield|produce|equal|output|be|evaluate\sto|result\sin)
        )\b(?:\s(?:you|us|me|back|equal\sto))?
      | (?:{GIVES}|is)\b(?:\s(?:you|us|me|back|equal\sto))?
      | be\b | {GIVES_ABROAD}
    )(?:[^\S\n]{{0,9}}:(?P<below>[^\S\n]{{0,9}}\n(?:[^\S\n]{{0,9}}\n)?(?:```\w{{0,9}}\n)?)?)?[^\S\n]{{0,9}}(?:\*\*)?`?""",
    re.VERBOSE | re.IGNORECASE,
)
AND = r"(?:and|but|while|whereas|und|aber|et|mais|y|pero|e|и)"
FOLLOWING = r"(?:(?:also|then|that|so)[ ])?`?(?:[A-Za-z_]\w*\(|(?:that|so|this|it|for|given)\b)"
ASKS = r"""(?:also\s|then\s|please\s|it\s|thus\s)?(?:accepts?|adds?|can|covers?|do|does|don['’]t|handles?|ignores?
    |includes?|keeps?|makes?|must|needs?|never|prints?|raises?|rejects?|should|supports?|tests?|throws?|uses?|validates?|works?
    |writes?)\b"""
"""What begins another wish, and not more of the value."""
TAIL = re.compile(
    rf"""[^\S\n]*+[`'"”*]*+[^\S\n]*+(?:
        \Z | (?P<line_end>:?\n) | \.(?=\s|\Z|[`'")*]) | [;)。；）]
      | \|(?=\s*(?:\Z|`?[A-Za-z_]\w*\()) | (?P<asked>\?(?=\s|\Z)) | (?P<bang>!(?!=))
      | [,，、]\s*+(?:\Z|{AND}\s+{FOLLOWING}|since\b|because\b|which\b|not\b|`?[A-Za-z_]\w*\()
      | ,?\s*{AND}\s+(?:{FOLLOWING}|{ASKS}) | (?:because|since)\b
      | ,?[ ](?:please|thanks|for\s(?:example|instance))\b
      | ,?[ ]with\s(?:\w+\s){{0,2}}(?:tests?|docstrings?|type|hints|comments)\b
      | ,[ ](?:using|without|no|so|{ASKS})\b
      | \# | (?:--|—|–)\s+(?=[A-Za-z`]) | -[ ](?=[a-z]{{2,}}[ ][a-z]{{2,}}\b)
      | \(\s*(?:note|because|since|see|not|i\.e\.)[^\w\n] | \(\d+(?:\s*[-+*/]\s*\d+)+\)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
FOLLOWED = re.compile(rf"[^\S\n]*(?:{AND}\s+(?:{FOLLOWING}|{ASKS})|because\b|since\b)", re.IGNORECASE | re.VERBOSE)
WRAPPED_PROSE = re.compile(r"[^\S\n]*(?:[a-z]+\b(?![(_])|['\"])")
OTHERWISE = re.compile(r"\s{0,3}(?:otherwise|else|or else)\b", re.IGNORECASE)
WRAPPED_CONDITION = re.compile(r"[^\S\n]*(?:if|when|unless|or|otherwise|for|where|approximately|about|to)\b")
BEFORE_CALL = re.compile(
    r"""(?: [-+*/%&|^~<>=@!.]
      | n['’]t | \b(?:not|or|[Ii]f|elif|[Ww]hen|[Uu]nless|until|plus|minus|times|than|by|in|from|def|class|lambda|await
          |return|never|either|for|between|suppose|assume|assuming|[Ss]hould|[Dd]oes|[Cc]an|[Ww]ill)
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
QUOTED_VALUE = re.compile(r"(?<!\w)'[^'\n]*'(?!\w)|\"[^\"\n]*\"")
POLITE = re.compile(r"\b(?:can|could|will|would)\s(?:you|u)\b[^.?!]*\Z", re.IGNORECASE)
HEADING = re.compile(r"^[ \t]*(?:#{1,6}[ \t]|\*\*)[ \t]*(.{0,60})", re.MULTILINE)
WISHED = re.compile(r"expected|desired|wanted|examples?|should|specification|requirements?|acceptance", re.IGNORECASE)


def reports_fault(request: str) -> bool:
    """Whether `request` says that code goes wrong; what it quotes as a value, such as 'BUG', says nothing of that."""
    return FAULTY_CODE.search(QUOTED_VALUE.sub("''", request)) is not None


class Tone:
    """Where in a request facts are wishes: nowhere in a report of a fault, but under "Expected behaviour"."""

    def __init__(self, request: str) -> None:
        self._is_report = reports_fault(request)
        headings = HEADING.finditer(request) if self._is_report else ()
        self._wished = [(heading.start(), WISHED.search(heading.group(1)) is not None) for heading in headings]

    def takes_facts(self, position: int) -> bool:
        """Whether "f(2) returns 4" at `position` says what shall be, rather than what is."""
        above = [wished for start, wished in self._wished if start <= position]
        return above[-1] if above else not self._is_report


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether what lies between is no part of a larger expression, of a condition or of the report of a fault."""
    begin = text.rfind("\n", 0, start) + 1
    sentence = re.split(r"[.!?;]\s", text[max(begin, start - 160) : start])[-1]
    before = "" if is_line_start(text, start) else sentence
    following = CALL_START.search(text, end, end + 240)
    after = re.split(r"[.!?;](?:\s|\Z)|\n", text[end : following.start() if following else end + 240])[0]
    return not BEFORE_CALL.search(before.rstrip()) and not FAULT.search(before) and not FAULT.search(after)


def is_line_start(text: str, start: int) -> bool:
    """Whether only list marks and quotes stand before `start` on its line."""
    begin = text.rfind("\n", 0, start) + 1
    return start - begin < 200 and BULLET.match(text, begin, start) is not None


def ends_statement(text: str, end: int, expected: str, *, in_words: bool) -> bool:
    """Whether nothing after `end` can add to the value `expected`, or to the condition it holds under."""
    tail = TAIL.match(text, end)
    if tail is None or (tail["bang"] and NUMBER.fullmatch(expected)) or OTHERWISE.match(text, tail.end()):
        return False
    if tail["asked"] and not POLITE.search(text, max(0, end - 400), end):
        return False
    wrapped = WRAPPED_PROSE if in_words else WRAPPED_CONDITION
    goes_on = tail["line_end"] and wrapped.match(text, tail.end())
    return not goes_on or FOLLOWED.match(text, tail.end()) is not None
