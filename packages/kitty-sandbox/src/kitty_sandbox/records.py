"""The lines a guest writes on its report pipe: JSON objects, each with the run's nonce and its place in the row."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from kitty_sandbox.packages import PLAIN_NAME


class Forged(Exception):
    """The report is not one that our reporter can have written."""


def read_records(report: bytes, nonce: str, complete: bool) -> Iterable[Mapping[str, Any]]:
    """The records in order; the last line is cut off where the report is not `complete`. Raises `Forged`."""
    lines = report.split(b"\n")
    rest = lines.pop()
    if rest and complete:
        raise Forged("a record that was cut off")
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Forged("a line that is not a record") from error
        if not isinstance(record, dict) or record.get("nonce") != nonce or record.get("seq") != number:
            raise Forged("a record without its mark or out of its row")
        yield record


def readable(text: str) -> str:
    """Without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def missing_packages(names: Iterable[str], own_modules: Iterable[str]) -> tuple[str, ...]:
    """Top-level names of modules that were not found and are neither the run's own nor standard library."""
    tops = {name.partition(".")[0] for name in names} - {*own_modules, *sys.stdlib_module_names}
    return tuple(sorted(name for name in tops if PLAIN_NAME.fullmatch(name)))
