"""Checks the documents: links lead somewhere, shell blocks name real commands, the configuration table is current.

docs/check.py            report, exit code 1 when something is wrong
docs/check.py --write    refresh the generated part of docs/configuration.md
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- generated: settings -->", "<!-- end -->"
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
KITTY_COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*\./kitty ([a-z]+)", re.MULTILINE)
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


def settings_table() -> str:
    """The table of the coder-agent's settings, from the class itself."""
    from coder_agent.settings import Settings

    rows = ["| variable | default | meaning |", "|---|---|---|"]
    lines = Path(sys.modules[Settings.__module__].__file__ or "").read_text().split("\n")
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        choices = [str(choice) for choice in getattr(alias, "choices", [name.upper()])]
        default = "" if field.default in (None, "") else str(field.default).lower()
        rows.append(f"| {' or '.join(f'`{c}`' for c in choices)} | {default} | {_docstring_below(lines, name)} |")
    return "\n".join(rows)


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
    head, rest = CONFIGURATION.read_text().split(BEGIN)
    current = f"{head}{BEGIN}\n{settings_table()}\n{END}{rest.split(END)[1]}"
    if "--write" in sys.argv:
        CONFIGURATION.write_text(current)
    problems = [*broken_links(), *unknown_commands()]
    if CONFIGURATION.read_text() != current:
        problems.append("docs/configuration.md is out of date: run .venv/bin/python docs/check.py --write")
    print("\n".join(problems) or "documents: links, commands and settings are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
