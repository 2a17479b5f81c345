"""Examples of a script: what it prints for what it reads from standard input.

It is run by its name as `python -m` would, in the test's own process, so that this works wherever the tests do. What it
reads comes through a pipe as file descriptor 0, since scripts use `sys.stdin.buffer` and `open(0)`
too; what it prints other than by `sys.stdout` is not seen. An input fits a pipe: `labelled.LONGEST_TEXT` bounds it.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from coder_agent.reading.cases import Case
from coder_agent.reading.labelled import Pair, labelled_pairs

RUN = """
import contextlib, io, os, runpy, sys
stdin, terminal = sys.stdin, os.dup(0)
stdout = io.TextIOWrapper(io.BytesIO(), encoding='utf-8', write_through=True)
source, sink = os.pipe()
os.write(sink, {given!r}.encode())
os.close(sink)
os.dup2(source, 0)
os.close(source)
sys.stdin = open(0, encoding='utf-8', closefd=False)
try:
    with contextlib.redirect_stdout(stdout), contextlib.suppress(SystemExit):
        runpy.run_module({module!r}, run_name='__main__')
finally:
    sys.stdin = stdin
    os.dup2(terminal, 0)
    os.close(terminal)
printed = stdout.buffer.getvalue().decode()
""".strip()
LINES = "[line.rstrip() for line in printed.strip().splitlines()]"
WORDS = re.compile(r"[^\W\d_]{2,}")
QUOTED = re.compile(r"[`'\"]|.*(?:\.\.\.|…)", re.DOTALL)


def script_case(module: str, given: str, wanted: str) -> Case:
    """A trusted case that wants the script in the file `module` to print `wanted` when it reads `given`.

    Space at the ends of lines and of the text does not count.
    """
    lines = [line.rstrip() for line in wanted.strip().splitlines()]
    given = given if not given or given.endswith("\n") else given + "\n"
    return Case(f"{_run(module, given)}\nassert {LINES} == {lines!r}", trusted=True, stdin=given)


def what_is_printed(module: str, given: str) -> str:
    """Source whose value is the lines that the script in the file `module` prints when it reads `given`."""
    return f"{_run(module, given)}\n{LINES}"


def script_examples(request: str, module: str) -> Iterator[Case]:
    """The pairs of input and output in `request` that are data rather than a description or a part of it."""
    return (script_case(module, pair.given, pair.wanted) for pair in labelled_pairs(request) if _is_data(pair))


def _run(module: str, given: str) -> str:
    return RUN.format(given=given, module=PurePosixPath(module).stem)


def _is_data(pair: Pair) -> bool:
    texts = (pair.given, pair.wanted)
    if not pair.wanted or any(QUOTED.match(text) for text in texts):
        return False
    return pair.is_example or not any(WORDS.search(text) for text in texts)
