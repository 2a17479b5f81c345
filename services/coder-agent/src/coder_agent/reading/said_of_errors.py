"""What a request says a call must raise, and for which arguments: "raises ValueError if n is negative"."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from coder_agent.reading.cases import is_exception, parsed

MOST_ERRORS = 20
RAISES = re.compile(
    r"\b(?i:raises?|raising|throws?)\s(?:an?\s)?`?([A-Z]\w*(?:Error|Exception))`?(?:\s(?:error|exception))?\s"
    r"(?:if|when|for|on)\s(?P<what>[^.;\n]{1,80})"
)
NEGATED = re.compile(
    r"(?:\bnot|n['’]t|\bnever|\bwithout|\binstead of|\brather than|\bcurrently)\s(?:\w+\s)?\Z", re.IGNORECASE
)
NUMBER = "isinstance(args[{0}], (int, float)) and args[{0}]"
NOUN = r"(?:\s(?:inputs?|numbers?|values?|integers?|arguments?|lists?|strings?|sequences?|texts?|n|x))?"
GIVEN = r"(?:(?:the|an?)\s)?(?:(?:input|argument|value|number|list|string|sequence|text|it)\s(?:is\s)?)?(?:an?\s)?"
CONDITIONS = (
    (r"negative", f"{NUMBER} < 0"),
    (r"zero", f"{NUMBER} == 0"),
    (r"empty", "hasattr(args[{0}], '__len__') and len(args[{0}]) == 0"),
    (r"`?None`?", "args[{0}] is None"),
)
COMPARED = re.compile(r"`?([A-Za-z_]\w*)\s*(<=|<|>=|>|==)\s*(-?\d+(?:\.\d+)?)`?\s*\Z")


@dataclass(frozen=True)
class SaidError:
    """An exception, and the expression over `args` for which it must be raised."""

    name: str
    exception: str
    when: str


def said_of_errors(text: str, signature: str | None) -> Iterator[SaidError]:
    """What `text` says plainly; of a function with more than one parameter only where one is named."""
    parameters = _parameters(signature)
    for _, raises in zip(range(MOST_ERRORS), RAISES.finditer(text), strict=False):
        exception = raises.group(1)
        if NEGATED.search(text, max(0, raises.start() - 40), raises.start()) or not is_exception(exception):
            continue
        when = _condition(raises["what"].strip(" )`"), parameters)
        if when:
            yield SaidError(f"raises_{exception}", exception, when)


def _condition(what: str, parameters: list[str]) -> str | None:
    compared = COMPARED.match(what)
    if compared and compared.group(1) in parameters:
        place = parameters.index(compared.group(1))
        return f"{NUMBER.format(place)} {compared.group(2)} {compared.group(3)}"
    for word, when in CONDITIONS:
        named = re.fullmatch(rf"`?(\w+)`?\s(?:is|==)\s(?:an?\s)?{word}{NOUN}", what)
        if named and named.group(1) in parameters:
            return when.format(parameters.index(named.group(1)))
        if len(parameters) == 1 and re.fullmatch(rf"{GIVEN}{word}{NOUN}", what):
            return when.format(0)
    return None


def _parameters(signature: str | None) -> list[str]:
    tree = parsed(f"def {signature}: pass") if signature else None
    node = tree.body[0] if tree else None
    return [argument.arg for argument in node.args.args] if isinstance(node, ast.FunctionDef) else []
