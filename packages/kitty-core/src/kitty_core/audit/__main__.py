"""`python -m kitty_core.audit list|verify|export|prompts`: the audit trail in its database, for `kitty-cli audit`.

Exit status: 0 done, and for verify: the chain is whole · 1 it is not · 2 usage · 3 configuration, or no trail to read
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from sqlalchemy import Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from kitty_core.audit.chain import Verification
from kitty_core.audit.export import export, verify_export
from kitty_core.audit.keys import audit_key
from kitty_core.audit.opening import head_file, spool_folder
from kitty_core.audit.port import AuditUnavailable
from kitty_core.audit.prompts import Chosen, erase, kept
from kitty_core.audit.records import Entry, clean, read_moment
from kitty_core.audit.spool import Spool
from kitty_core.audit.store import SqlAuditLog
from kitty_core.audit.table import OWNER, tool_invocations
from kitty_core.database import database_url, open_database
from kitty_core.errors import ConfigurationError
from kitty_core.settings import environment
from kitty_core.state import FOR_ONE_USER

DONE, BROKEN, CONFIGURATION = 0, 1, 3
SHOWN = ("created_at", "tool", "user_id", "decision", "status", "verdict", "error")


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    options = _parser().parse_args(words)
    try:
        return int(options.run(options, environment()))
    except (ConfigurationError, AuditUnavailable) as error:
        print(f"audit: {error}", file=sys.stderr)
        return CONFIGURATION
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def show_entries(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    """The newest rows, newest first."""
    with _trail(env) as engine:
        log = SqlAuditLog(engine, b"", head_file(engine.url))  # nothing is written or checked: no key is needed
        entries = log.entries(options.tool, options.user, options.since, options.limit)
        head = log.head()
    if options.json:
        print(json.dumps({"entries": [entry.as_dict() for entry in entries], "head": head.as_dict()}))
    elif entries:
        print("\n".join(_in_columns(entries)))
    else:
        print("audit: no such row", file=sys.stderr)
    return DONE


def check(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Whether the chain is whole, in the database or in an exported file."""
    if options.file is None:
        with _trail(env) as engine:
            found = SqlAuditLog(engine, audit_key(env, make=False), head_file(engine.url)).verify()
            waiting = Spool(spool_folder(engine.url)).waiting
    else:
        found, waiting = _check_file(options.file, audit_key(env, make=False)), 0
    print(json.dumps(found.as_dict() | {"waiting": waiting}) if options.json else _report(found, waiting))
    return DONE if found.whole else BROKEN


def write_export(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    """All rows and the head as JSON lines."""
    with _trail(env) as engine, _target(options.file) as target:
        for line in export(engine):
            target.write(f"{line}\n")
    return DONE


def show_prompts(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    """How many prompts are kept beside the trail, or that these were erased."""
    chosen = Chosen(options.before, options.user)
    with _trail(env) as engine:
        act = erase if options.erase else kept
        count = act(engine, Spool(spool_folder(engine.url)), chosen)
    print(f"{count} prompts were erased" if options.erase else f"{count} prompts are kept")
    return DONE


@contextmanager
def _trail(env: Mapping[str, str]) -> Iterator[Engine]:
    """The database, if the trail is there; reading never makes it. Raises: ConfigurationError."""
    url = database_url(env, OWNER)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise ConfigurationError(f"{url.database}: there is no audit trail yet; the first call of a tool begins it.")
    engine = open_database(url)
    try:
        if not inspect(engine).has_table(tool_invocations.name):
            raise ConfigurationError("This database has no audit trail yet; the first call of a tool begins it.")
        yield engine
    except SQLAlchemyError as error:
        raise ConfigurationError(f"The audit trail cannot be read: {type(error).__name__}.") from error
    finally:
        engine.dispose()


def _check_file(file: Path, key: bytes) -> Verification:
    try:
        with file.open(encoding="utf-8") as lines:
            return verify_export(lines, key)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read ({type(error).__name__}).") from error


@contextmanager
def _target(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FOR_ONE_USER)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written ({error.strerror}).") from error
    with os.fdopen(handle, "w", encoding="utf-8") as target:
        yield target


def _report(found: Verification, waiting: int) -> str:
    if found.broken is None:
        lines = [f"whole: {found.rows} rows, the last one {found.head.row_hash}"]
    else:
        lines = [f"BROKEN: {found.broken.text}", f"{found.rows} rows before it are whole"]
    lines += [f"note: {note}" for note in found.notes]
    if waiting:
        lines.append(f"note: {waiting} rows wait in the spool and are not in the chain yet")
    return "\n".join(lines)


def _in_columns(entries: Sequence[Entry]) -> list[str]:
    cells = [[clean(str(entry.columns[name] or "-"), 40) for name in SHOWN] for entry in entries]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _moment(text: str) -> datetime:
    try:
        return read_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="audit", description="Reads the audit trail in its database.")
    commands = parser.add_subparsers(required=True)
    listing = commands.add_parser("list", help="the newest rows")
    listing.add_argument("--tool")
    listing.add_argument("--user")
    listing.add_argument("--since", type=_moment, metavar="TIME", help="ISO 8601; without a zone: UTC")
    listing.add_argument("--limit", type=int, default=20)
    listing.set_defaults(run=show_entries)
    verifying = commands.add_parser("verify", help="whether the chain is whole")
    verifying.add_argument("--file", type=Path, help="an exported trail instead of the database")
    verifying.set_defaults(run=check)
    exporting = commands.add_parser("export", help="all rows as JSON lines")
    exporting.add_argument("file", nargs="?", type=Path, help="else to stdout")
    exporting.set_defaults(run=write_export)
    prompts = commands.add_parser("prompts", help="how many prompts are kept (AUDIT_STORE_PROMPTS)")
    prompts.add_argument("--erase", action="store_true", help="erase them; the rows stay, and the chain is whole")
    prompts.add_argument("--user", help="only this user's")
    prompts.add_argument("--before", type=_moment, metavar="TIME", help="only those before; ISO 8601, else UTC")
    prompts.set_defaults(run=show_prompts)
    for command in (listing, verifying):
        command.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
