"""JSON as it leaves a service, whatever a guest or a model put into it."""

import json
import re

from starlette.responses import JSONResponse

UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def to_json(content: object) -> str:
    """`content` as one line of JSON that UTF-8 can carry.

    A lone surrogate becomes U+FFFD, and what some readers take for the end of a line is escaped.
    """
    return UNSAFE.sub(_safe, json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _safe(found: re.Match[str]) -> str:
    code = ord(found.group())
    return "\ufffd" if code >= 0xD800 else f"\\u{code:04x}"


class JsonResponse(JSONResponse):
    """A response whose body is `to_json`."""

    def render(self, content: object) -> bytes:
        """The body."""
        return to_json(content).encode()
