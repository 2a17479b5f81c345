"""JSON as it leaves a service, whatever a guest or a model put into it, and as it comes in."""

import json
import math
import re
from collections.abc import Iterable

from starlette.responses import JSONResponse

UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def to_json(content: object) -> str:
    """`content` as one line of JSON that UTF-8 can carry.

    A lone surrogate becomes U+FFFD, and what some readers take for the end of a line is escaped.
    """
    return UNSAFE.sub(_safe, json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def from_json(content: bytes) -> object:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or holds a number that is none (NaN, Infinity, 1e999).
        RecursionError: it is nested too deep to be read at all.
    """
    return json.loads(content, parse_constant=_refuse, parse_float=_finite)


def is_nested_deeper(value: object, than: int) -> bool:
    """Whether lists and objects stand in each other more than `than` deep."""
    level = [value]
    for _ in range(than + 1):
        level = [part for one in level if isinstance(one, dict | list) for part in _parts(one)]
    return bool(level)


def _parts(value: dict[str, object] | list[object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _safe(found: re.Match[str]) -> str:
    code = ord(found.group())
    return "\ufffd" if code >= 0xD800 else f"\\u{code:04x}"


class JsonResponse(JSONResponse):
    """A response whose body is `to_json`."""

    def render(self, content: object) -> bytes:
        """The body."""
        return to_json(content).encode()
