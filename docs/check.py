"""Checks the documents: links lead somewhere, shell blocks name real commands, the configuration tables are current,
.env.example names every setting, and the first request of the README holds an example that is understood.

docs/check.py            report, exit code 1 when something is wrong
docs/check.py --write    refresh the generated parts of docs/configuration.md
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / "docs" / "configuration.md"
GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
KITTY_COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*\./kitty ([a-z]+)", re.MULTILINE)
FIRST_REQUEST = re.compile(r'^\./kitty code "([^"]+)"', re.MULTILINE)
LAUNCHER_COMMANDS = {"test", "check", "lock", "help"}


def broken_links() -> Iterator[str]:
    """Relative links in tracked Markdown files that lead nowhere."""
    for document in _documents():
        for target in LINK.findall(document.read_text()):
            if not (document.parent / target).exists():
                yield f"{document.relative_to(ROOT)}: the link {target} leads nowhere"


def unknown_commands() -> Iterator[str]:
    """`./kitty NAME` in shell blocks where there is no such command."""
    known = LAUNCHER_COMMANDS | _cli_commands()
    for document in _documents():
        for block in SHELL_BLOCK.findall(document.read_text()):
            for name in KITTY_COMMAND.findall(block):
                if name not in known:
                    yield f"{document.relative_to(ROOT)}: there is no command ./kitty {name}"


def unnamed_settings() -> Iterator[str]:
    """Settings that .env.example leaves out."""
    text = (ROOT / ".env.example").read_text()
    for settings in map(_settings_of, SETTINGS.values()):
        for name, field in settings.model_fields.items():
            variable = _variables(name, field.validation_alias)[0]
            if not re.search(rf"^#?{variable}=", text, re.MULTILINE):
                yield f".env.example: {variable} is not named"


def misunderstood_request() -> Iterator[str]:
    """The README recommends an example in the request: its own has to be one that is read as such."""
    from coder_agent.reading.examples import read_request

    request = FIRST_REQUEST.search((ROOT / "README.md").read_text())
    if request is None or not read_request(request[1]).examples:
        yield "README.md: no example is found in its first request"


def tiers_table() -> str:
    """The table of tiers, from the one the decisions are made by."""
    from coder_agent.decision import TIERS

    rows = [
        "| tier | samples | rounds of tests | questions | tokens | pinned | in vain | without examples | backing |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, limits in TIERS.items():
        spent = f"{limits.samples} | {limits.rounds_of_tests} | {limits.splits}"
        in_vain = f"{limits.most_in_vain:g}x" + (
            f", {limits.asks_again_up_to} tokens" if limits.asks_again_up_to else ""
        )
        most = f"{limits.most_tokens:g}x | {limits.most_when_pinned:g}x | {in_vain} | {limits.most_without_examples:g}x"
        rows.append(f"| {name} | {spent} | {most} | {'yes' if limits.wants_backing else 'no'} |")
    return "\n".join(rows)


def settings_table(place: str) -> str:
    """The table of some settings, from the class itself."""
    settings = _settings_of(place)
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    lines = Path(sys.modules[settings.__module__].__file__ or "").read_text().split("\n")
    for name, field in settings.model_fields.items():
        variables = " or ".join(f"`{variable}`" for variable in _variables(name, field.validation_alias))
        default = "" if field.default in (None, "") else _as_typed(field.default)
        rows.append(f"| {variables} | {default} | {_docstring_below(lines, name)}{_allowed(field.annotation)} |")
    return "\n".join(rows)


SETTINGS = {
    "settings": "coder_agent.settings:Settings",
    "gateway_settings": "gateway.settings:Settings",
    "broker_settings": "broker.settings:Settings",
    "brain_settings": "brain.settings:Settings",
    "audit": "kitty_core.audit.opening:AuditSettings",
}
"""The tables of settings, each with the class that it is made of."""
TABLES = {"tiers": tiers_table} | {name: partial(settings_table, place) for name, place in SETTINGS.items()}


def _settings_of(place: str) -> type[BaseModel]:
    module, _, name = place.partition(":")
    found: type[BaseModel] = getattr(import_module(module), name)
    return found


def _variables(field: str, alias: object) -> list[str]:
    return [str(choice) for choice in getattr(alias, "choices", [field.upper()])]


def _as_typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(annotation: object) -> str:
    """The values of a `Literal` in words; nothing for other types."""
    if get_origin(annotation) is not Literal:
        return ""
    values = [f"`{value}`" for value in get_args(annotation)]
    return f" Allowed: {', '.join(values)}."


def _docstring_below(lines: list[str], field: str) -> str:
    start = next(i for i, line in enumerate(lines) if line.startswith(f"    {field}:"))
    return next(line.strip().strip('"') for line in lines[start:] if line.strip().startswith('"""'))


def _documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def _cli_commands() -> set[str]:
    from kitty_cli.main import app

    names = {str(command.name or getattr(command.callback, "__name__", "")) for command in app.registered_commands}
    return names | {str(group.name) for group in app.registered_groups}


def main() -> int:
    """Check or write; see the module."""
    current = GENERATED.sub(lambda part: f"{part[1]}{TABLES[part[2]]()}\n{part[3]}", CONFIGURATION.read_text())
    if "--write" in sys.argv:
        CONFIGURATION.write_text(current)
    problems = [*broken_links(), *unknown_commands(), *unnamed_settings(), *misunderstood_request()]
    if CONFIGURATION.read_text() != current:
        problems.append("docs/configuration.md is out of date: run .venv/bin/python docs/check.py --write")
    print("\n".join(problems) or "documents: links, commands, settings and the first request are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
