"""`kitty-cli eval`: hands the command to the program that does it, and becomes it.

The process is replaced, so signals and the exit status are the program's own. It is not imported: it needs the model
client and the sandbox, which this command line does without.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn


def options_in_words(options: Mapping[str, object]) -> list[str]:
    """`{"--limit": 3, "--json": True}` as it is typed; None and False are left out."""
    words: list[str] = []
    for name, value in options.items():
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            words += [name, str(value)]
    return words


def become(module: str, words: Sequence[str] = (), env: Mapping[str, str] | None = None) -> NoReturn:
    """Runs `python -m module words…` in place of this process, in its own environment or in `env`."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *words], dict(os.environ if env is None else env))
