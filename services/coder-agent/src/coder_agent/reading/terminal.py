"""What a request quotes from elsewhere: commands, log lines, other languages. It does not say what code shall do."""

import re
from collections.abc import Iterable, Iterator

SHELL = re.compile(r"[ \t>]*(?:\$|❯|%|PS [^>\n]*>|[A-Z]:\\[^>\n]*>|[\w.-]+@[\w.-]+[:~][^$#\n]*[$#])[ \t]+[\w./~]")
LOGGED = re.compile(r"[ \t>]*\[?\d{4}-\d\d-\d\d[T \t]\d\d:\d\d")
FENCE = re.compile(r"[ \t>]*(?:```+|~~~+)[ \t]*(\w*)")
OTHER_LANGUAGES = frozenset(
    {
        "bash",
        "console",
        "diff",
        "html",
        "ini",
        "json",
        "log",
        "patch",
        "sh",
        "shell",
        "sql",
        "toml",
        "yaml",
        "yml",
        "zsh",
    }
)


def without_terminal(lines: Iterable[str]) -> Iterator[str]:
    """`lines` with those from a terminal, and fences of another language, left blank: line numbers stay."""
    in_other = False
    for line in lines:
        fence = FENCE.match(line)
        if fence:
            in_other = not in_other and fence.group(1).lower() in OTHER_LANGUAGES
        yield "" if in_other or SHELL.match(line) or LOGGED.match(line) else line
