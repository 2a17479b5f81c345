"""Examples that name an input and what comes out, beside the one function they are of.

`Input: nums = [2, 7], target = 9` above `Output: [0, 1]`; "for input 4 the output is 'IV'"; and Markdown tables with
calls, or with a column for each parameter. They count only where the arguments fit the parameters.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import chain

from coder_agent.reading.cases import Case, is_literal, parsed, parsed_expression, value_case, written
from coder_agent.reading.labelled import labelled_pairs
from coder_agent.reading.literals import Scanner
from coder_agent.reading.plain_calls import is_plain_call
from coder_agent.reading.relations import CORRECTED, Tone, ends_statement, stands_alone
from coder_agent.reading.tables import tables

MOST_SENTENCES = 50
FOR_INPUT = re.compile(
    r"\b(?:for|with|given|on)\s(?:an?\s|the\s)?(?:inputs?\s|arguments?\s|values?\s)?(?:of\s)?(?:\w+\s=\s)?`?", re.I
)
GIVES = re.compile(
    r"""`?,?\s(?:the\s(?:output|result|answer|return\svalue)\s(?:is|should\sbe|must\sbe)
       |(?:it|the\sfunction|this)\s(?:should\s|must\s)?(?:returns?|gives?|outputs?))\s?:?\s?`?""",
    re.VERBOSE | re.IGNORECASE,
)


def input_output_examples(request: str, entry: str, signature: str | None) -> Iterator[Case]:
    """The examples that `request` gives as input and output of `entry`."""
    form = Form(entry, signature)
    return chain(_of_tables(request, form), _of_labels(request, form), _of_sentences(request, form))


class Form:
    """What a call of the function looks like: its name and, where known, its parameters."""

    def __init__(self, entry: str, signature: str | None) -> None:
        self.entry = entry
        tree = parsed(f"def {signature}: pass") if signature else None
        node = tree.body[0] if tree else None
        self.arguments = node.args if isinstance(node, ast.FunctionDef) else None

    @property
    def parameters(self) -> list[str]:
        """The names of the positional parameters; none where they are not known."""
        return [name.arg for name in [*self.arguments.posonlyargs, *self.arguments.args]] if self.arguments else []

    def call(self, arguments: str) -> str | None:
        """The call on `arguments` as written in a call, or None where they are no values or do not fit."""
        node = parsed_expression(f"{self.entry}({arguments})")
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return None
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        if not values or not all(map(is_literal, values)) or not self._fits(node, len(values)):
            return None
        named = [keyword.arg for keyword in node.keywords]
        in_order = not named or not set(named) <= set(self.parameters) or named == self.parameters[: len(named)]
        return written(ast.Call(node.func, values, []) if in_order else node)

    def _fits(self, node: ast.Call, count: int) -> bool:
        if self.arguments is None:
            return count == 1 or not node.args
        required = len(self.parameters) - len(self.arguments.defaults)
        most = count if self.arguments.vararg else len(self.parameters)
        return required <= count <= most and not (node.args and node.keywords)


def _of_labels(request: str, form: Form) -> Iterator[Case]:
    if Tone(request).takes_facts(0):
        for pair in labelled_pairs(request):
            whole = pair.given.strip("` \t")
            arguments = ", ".join(filter(None, (line.strip(" \t,`") for line in _split(pair.given))))
            call = whole if is_plain_call(parsed_expression(whole)) else form.call(arguments)
            yield from _case(call, pair.wanted.strip("` \t"))


def _split(given: str) -> Sequence[str]:
    """The lines of `given` where each is an argument of its own, else all of it; backticks around arguments go."""
    given = re.sub(r"`(?=\s*(?:,|$))|(?:(?<=^)|(?<=,)|(?<=, ))`", "", given)
    lines = given.split("\n")
    return lines if all(parsed_expression(f"f({line.strip(' ,')})") for line in lines) else [given]


def _case(call: str | None, wanted: str) -> Iterator[Case]:
    scanner = Scanner(wanted)
    found = scanner.literal(0)
    if call and found and ends_statement(wanted, found[1], found[0], in_words=True):
        yield value_case(call, found[0])


def _of_sentences(request: str, form: Form) -> Iterator[Case]:
    scanner, tone = Scanner(request), Tone(request)
    for _, start in zip(range(MOST_SENTENCES), FOR_INPUT.finditer(request), strict=False):
        given = scanner.literal(start.end())
        gives = GIVES.match(request, given[1]) if given else None
        wanted = scanner.literal(gives.end()) if gives else None
        if not (given and wanted) or CORRECTED.match(request, wanted[1]):
            continue
        is_plain = tone.takes_facts(start.start()) and stands_alone(request, start.start(), wanted[1])
        call = form.call(given[0]) if is_plain else None
        if call and ends_statement(request, wanted[1], wanted[0], in_words=True):
            yield value_case(call, wanted[0])


def _of_tables(request: str, form: Form) -> Iterator[Case]:
    if not Tone(request).takes_facts(0):
        return
    for table in tables(request):
        of_arguments = [name.lower() for name in table.given] == [name.lower() for name in form.parameters]
        for *given, wanted in table.rows:
            found = Scanner(wanted).literal(0)
            if found is None or found[1] != len(wanted):
                continue
            node = parsed_expression(given[0]) if len(given) == 1 else None
            call = given[0] if is_plain_call(node) else form.call(", ".join(given)) if of_arguments else None
            if call:
                yield value_case(call, found[0])
