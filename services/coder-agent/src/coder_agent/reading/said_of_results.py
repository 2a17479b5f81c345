"""Words about what is returned, and what they mean as a check of `result` and `args`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_CLAUSES = 40
RETURNS = r"(?:returns?|returning|gives?(?:\sback)?|outputs?|produces?)"
SUBJECT = r"(?:^|[.;:,(*\n>-]|\b(?:that|which|and|then|it|function|method|should|must|will|to|always|please)\b|{entry})"
RESULT = (
    r"\bthe\s(?:result|output|return(?:ed)?\s(?:list|value|tuple))\s"
    r"(?:is|should\sbe|must\sbe|has|should\shave|must\shave)"
)
OTHERS = re.compile(
    r"\b(?:helper|api|endpoint|library|callback|server|instead\sof|rather\sthan|not|never|n['’]t|without|currently)\b"
    r"[^.\n]*\Z",
    re.IGNORECASE,
)
WRAPPED = re.compile(r"(?<=\S)[ \t]{0,9}\n[ \t]{0,40}(?=[a-z])")
CONDITION = re.compile(
    r"\b(?:if|when|unless|otherwise|else|or|either|depending|optionally|for\sempty)\b", re.IGNORECASE
)
OTHER_VALUE = re.compile(
    r"\s*(?:the\s|an?\s)?(?:whether|if|index|indices|position|number|count|sum|total|length|median|mean|average|first"
    r"|last|longest|shortest|largest|smallest|kth|maximum|minimum|true|false|percentage|product|element|key)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rule:
    """Words about what is returned, those that change what they say, and what they mean."""

    name: str
    check: str
    said: re.Pattern[str]
    unless: re.Pattern[str]


def _rule(name: str, check: str, said: str, unless: str = r"(?!)") -> Rule:
    return Rule(name, check, re.compile(said, re.IGNORECASE), re.compile(unless, re.IGNORECASE))


def _type(name: str, word: str) -> Rule:
    adjectives = r"(?:\b(?:new|sorted|flat|flattened|reversed|nested|single|plain|python|non-negative)\s){0,2}"
    follows = r"of|with|containing|that|which|in|where|sorted|without|mapping|from|and|as"
    said = rf"\A\s*(?:an?\s)?{adjectives}`?(?:{word})\b`?(?=\s*(?:[,.;(\[]|\Z)|\s(?:{follows})\b)"
    return _rule(f"is_{name}", f"assert isinstance(result, {name})", said)


THINGS = (
    r"(?:elements?|items?|values?|numbers?|words?|characters?|letters?|integers?|strings?|entries|names|keys|primes)"
)
IS_BOOL = _type("bool", "bool|boolean")
RULES = (
    _type("list", "list"),
    _type("tuple", "tuple|pair"),
    _type("dict", "dict|dictionary"),
    _type("set", "set"),
    _type("str", "str|string"),
    IS_BOOL,
    _type("int", "int|integer"),
    _rule(
        "ascending",
        "assert list(result) == sorted(result)",
        r"\bsorted\b|\b(?:in|into)\s(?:ascending|increasing|non-decreasing)(?:\ssorted)?\sorder\b",
        r"\b(?:by|descending|decreasing|reversed?|except|key|case|order\sof|according|per|each|lengths?|unsorted|rows?"
        r"|dict\w*|lists|tuples|pairs)\b",
    ),
    _rule(
        "descending",
        "assert list(result) == sorted(result, reverse=True)",
        r"\b(?:in|into)\s(?:descending|decreasing|non-increasing)(?:\ssorted)?\sorder\b",
        r"\b(?:by|ascending|increasing|except|key|case|order\sof|according|per|each|lengths?|dict\w*|lists|tuples|pairs)\b",
    ),
    _rule(
        "no_duplicates",
        "items = list(result)\nassert all(item not in items[:place] for place, item in enumerate(items))",
        rf"\b(?:without|no|removing)\s(?:any\s)?(?:duplicates?|repetitions?)\b(?!\s(?:of|in)\b)|\b(?:unique|distinct)\s{THINGS}"
        r"|\bduplicates\sremoved\b",
        r"\b(?:pairs|combinations|consecutive|adjacent|dict\w*|string\b|lists|each|every|per)\b",
    ),
    _rule(
        "same_length",
        "assert len(result) == len(args[0])",
        r"\b(?:of\s)?the\ssame\s(?:length|size)\sas\s(?:the\s|its\s)?(?:input|original|argument|given)\b",
    ),
    _rule(
        "same_elements",
        "assert sorted(map(repr, result)) == sorted(map(repr, args[0]))",
        r"\A\s*(?:a\s(?:new\s)?sorted\s(?:copy|version)\sof|the\s(?:(?:given|input|same)\s)?(?:list|elements|numbers)\ssorted\b"
        r"|an?\s(?:random\s)?permutation\sof\s(?:the|its)\b)",
        r"\b(?:unique|distinct|duplicat\w+|without|except|top|first|only|odd|even|positive)\b",
    ),
    _rule(
        "count",
        "assert isinstance(result, int) and result >= 0",
        r"\A\s*(?:the\s|a\s)?(?:total\s)?(?:number|count)\sof\s\w",
        r"\b(?:each|every|per|by|between|difference|or|signed|as\sa)\b",
    ),
)
TRUTH = re.compile(
    r"\A\s*`?True`?\b.*\b`?False`?\b|\A\s*(?:either\s)?`?True`?\sor\s`?False`?", re.IGNORECASE | re.DOTALL
)
COLLECTIONS = frozenset({"ascending", "descending", "no_duplicates", "same_length"})
"""What a sum or an index of such a thing is not."""


def said_of_results(text: str, entry: str | None) -> Iterator[Rule]:
    """The rules that hold for what `text` says the function `entry` returns."""
    for clause in _clauses(text, entry):
        if TRUTH.match(clause):
            yield IS_BOOL
        if CONDITION.search(clause):
            continue
        for rule in RULES:
            is_of_another = rule.name in COLLECTIONS and OTHER_VALUE.match(clause)
            if rule.said.search(clause) and not rule.unless.search(clause) and not is_of_another:
                yield rule


def _clauses(text: str, entry: str | None) -> Iterator[str]:
    """What comes after "returns" up to the end of the sentence, wherever the function itself is meant."""
    text = WRAPPED.sub(" ", text)
    subject = SUBJECT.format(entry=rf"\b{re.escape(entry)}(?:\([^()\n]*\))?`?" if entry else r"(?!)")
    told = re.compile(rf"(?:{subject}\s{{0,3}}(?:should\s|must\s)?{RETURNS}|{RESULT})\b", re.IGNORECASE | re.MULTILINE)
    for _, start in zip(range(MOST_CLAUSES), told.finditer(text), strict=False):
        if not OTHERS.search(text, max(0, start.start() - 80), start.end()):
            yield re.split(r"[.;](?:\s|\Z)|\n|:\s|\be\.g\.", text[start.end() : start.end() + 300])[0]
