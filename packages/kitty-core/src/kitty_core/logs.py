"""Logs: one line a record on stdout, a constant event and keyword facts, as JSON (or coloured text on a terminal).

Audit is not logging: what a log line says may be lost, what the audit trail says may not.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import structlog

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal takes for an order: anybody can put it into the path of a request."""


class LossyLogger(structlog.PrintLogger):
    """Prints, and loses a line where that fails: a full disk or a closed terminal ends no work."""

    def msg(self, message: str) -> None:
        """Print one line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = error = err = critical = exception = fatal = failure = msg


def configure_logs(service: str, level: str = "INFO") -> None:
    """Set up structlog for one program. Call once, in `main`."""
    on_terminal = sys.stdout.isatty()
    # A traceback without the values of variables: they may hold keys.
    on_screen = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = on_screen if on_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([_shown] if on_terminal else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *names: LossyLogger(),
    )
    structlog.contextvars.bind_contextvars(service=service)


def _shown(logger: object, method: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The facts with their control characters written out, as JSON does it by itself."""
    for name, value in facts.items():
        if isinstance(value, str):
            facts[name] = OBEYED.sub(lambda found: f"\\x{ord(found.group()):02x}", value)
    return facts
