"""JSON as models write it: single quotes, `True` and `None`, trailing commas, line breaks inside strings.

read_value(text, at) -> (value, end), or None where no whole value begins at `at`. Whatever is JSON means the same here.
"""

import json
import math
import re
from typing import Any

DEEPEST = 60
DECODER = json.JSONDecoder(strict=False)
SPACE = re.compile(r"\s*")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?(?![\w.])")
WORD = re.compile(r"(true|false|null|True|False|None)\b")
WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0"}
BY_NUMBER = {"x": 2, "u": 4, "U": 8}
MOST_DIGITS = 4000

Found = tuple[Any, int]


class _NoValue(Exception):
    """None begins here."""


def read_value(text: str, at: int = 0) -> Found | None:
    """The value that begins at `at` (space before it is skipped) and where it ends. Never raises."""
    try:
        return _value(text, at, 0)
    except _NoValue:
        return None


def _value(text: str, at: int, depth: int) -> Found:
    at = _skip(text, at)
    sign = text[at : at + 1]
    if depth > DEEPEST:
        raise _NoValue
    if sign == "{":
        return _object(text, at + 1, depth)
    if sign == "[":
        return _list(text, at + 1, depth)
    if sign in ('"', "'"):
        return _string(text, at)
    if found := WORD.match(text, at):
        return WORDS[found[1]], found.end()
    return _number(text, at)


def _object(text: str, at: int, depth: int) -> Found:
    members: dict[str, Any] = {}
    while (at := _skip(text, at)) < len(text) and text[at] != "}":
        if text[at] not in "\"'":
            raise _NoValue
        key, at = _string(text, at)
        at = _after(text, at, ":")
        members[key], at = _value(text, at, depth + 1)
        at = _after_member(text, at, "}")
    return members, _after(text, at, "}")


def _list(text: str, at: int, depth: int) -> Found:
    members: list[Any] = []
    while (at := _skip(text, at)) < len(text) and text[at] != "]":
        member, at = _value(text, at, depth + 1)
        members.append(member)
        at = _after_member(text, at, "]")
    return members, _after(text, at, "]")


def _after_member(text: str, at: int, closing: str) -> int:
    """Past the comma; or at the closing sign, which needs none before it."""
    at = _skip(text, at)
    return at if text[at : at + 1] == closing else _after(text, at, ",")


def _after(text: str, at: int, sign: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != sign:
        raise _NoValue
    return at + 1


def _number(text: str, at: int) -> Found:
    found = NUMBER.match(text, at)
    if found is None or len(found[0]) > MOST_DIGITS:
        raise _NoValue
    if found[1] is None and found[2] is None:
        return int(found[0]), found.end()
    number = float(found[0])
    if not math.isfinite(number):
        raise _NoValue
    return number, found.end()


def _string(text: str, at: int) -> Found:
    if text[at] == '"':
        try:
            return DECODER.raw_decode(text, at)
        except ValueError:
            pass  # not JSON's escapes; maybe Python's
    return _quoted(text, at + 1, text[at])


def _quoted(text: str, at: int, quote: str) -> Found:
    pieces: list[str] = []
    while at < len(text):
        sign = text[at]
        if sign == quote:
            return "".join(pieces), at + 1
        if sign == "\\":
            piece, at = _escaped(text, at + 1)
            pieces.append(piece)
        else:
            pieces.append(sign)
            at += 1
    raise _NoValue


def _escaped(text: str, at: int) -> tuple[str, int]:
    sign = text[at : at + 1]
    if digits := BY_NUMBER.get(sign):
        try:
            return chr(int(text[at + 1 : at + 1 + digits], 16)), at + 1 + digits
        except (ValueError, OverflowError):
            raise _NoValue from None
    if sign in ESCAPES:
        return ESCAPES[sign], at + 1
    return (sign if sign in "\\/\"'\n" else f"\\{sign}"), at + 1


def _skip(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    return found.end() if found else at
