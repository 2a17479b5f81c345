"""Requests as people write them (request_styles.txt), each with what it asks for and the examples it states.

A row is `%%% title`, the kind, the names to define, one line for each example, a line with `%`, and the request. In an
example, `;` parts statements and the last one is compared, raises, or (of a script) prints. "not read yet" in a title
marks what is missed; nothing may ever be read wrongly, since a wrong example refuses right code.
"""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from coder_agent.reading.cases import Case
from coder_agent.reading.examples import read_request
from coder_agent.reading.scripts import script_case

MISSED = "not read yet"
RAISES = re.compile(r"(?:(.*); )?([^;]*) raises (\w+)")


@dataclass(frozen=True)
class Row:
    title: str
    kind: str
    names: tuple[str, ...]
    examples: frozenset[str]
    request: str


def plain(source):
    """`source` as Python writes it, without imports, and with each comparison as `left == value`."""
    statements = [node for node in ast.parse(source).body if not isinstance(node, ast.Import)]
    return "\n".join(map(plain_statement, statements))


def plain_statement(node):
    match node:
        case ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right])):
            return f"assert {ast.unparse(left)} == {ast.unparse(right)}"
        case ast.Assert(test=ast.UnaryOp(op=ast.Not(), operand=call)):
            return f"assert {ast.unparse(call)} == False"
        case ast.Assert(test=ast.Call() as call):
            return f"assert {ast.unparse(call)} == True"
        case _:
            return ast.unparse(node)


def labelled(line):
    """The check that a line of a row stands for."""
    given, prints, wanted = line.partition(" prints ")
    if prints:
        return plain(script_case("solution.py", ast.literal_eval(given), ast.literal_eval(wanted)).check)
    raises = RAISES.fullmatch(line)
    if raises:
        before = (raises[1] or "").replace("; ", "\n")
        return plain(f"{before}\nwith pytest.raises({raises[3]}):\n    {raises[2]}")
    *before, last = re.split(r"; (?![^(]*\))", line)
    return plain("\n".join([*before, last if last.startswith("assert ") else f"assert {last}"]))


def rows():
    text = Path(__file__).with_name("request_styles.txt").read_text(encoding="utf-8")
    for part in re.split(r"^%%% ", text, flags=re.MULTILINE)[1:]:
        head, request = part.split("\n%\n", 1)
        title, kind, names, *examples = head.split("\n")
        names = tuple(re.findall(r"\w+", names.removeprefix("names:")))
        yield Row(title, kind.removeprefix("kind: "), names, frozenset(map(labelled, examples)), request.rstrip("\n"))


ROWS = list(rows())


def examples_of(row):
    return frozenset(plain(case.check) for case in read_request(row.request).examples)


def is_read_right(row):
    reading = read_request(row.request)
    entry = row.names[0] if row.names else None
    read = reading.entry, reading.kind, reading.names, examples_of(row)
    return read == (entry, row.kind, row.names, row.examples)


@pytest.mark.parametrize("row", [row for row in ROWS if MISSED not in row.title], ids=lambda row: row.title)
def test_a_request_is_read_as_its_label_says(row):
    reading = read_request(row.request)
    assert (reading.kind, reading.names) == (row.kind, row.names)
    assert reading.entry == (row.names[0] if row.names else None)
    assert reading.is_class == (row.kind == "class")
    assert examples_of(row) == row.examples


def test_no_request_gives_an_example_that_it_does_not_state():
    assert {row.title: wrong for row in ROWS if (wrong := examples_of(row) - row.examples)} == {}


def test_nineteen_requests_in_twenty_are_read_right():
    assert len(ROWS) >= 140
    assert sum(map(is_read_right, ROWS)) >= 0.95 * len(ROWS)


def test_what_is_missed_is_marked_as_such():
    assert [row.title for row in ROWS if MISSED in row.title and is_read_right(row)] == []


def run(check, folder, code):
    """The exit status of `check` as a test of `code`."""
    folder.joinpath("solution.py").write_text(code)
    imported = "import pytest\n" + ("from solution import *\n" if "run_module" not in check else "")
    return subprocess.run(
        [sys.executable, "-c", imported + check], cwd=folder, capture_output=True, timeout=60
    ).returncode


@pytest.mark.parametrize(
    ("request_text", "right", "wrong"),
    [
        (
            "Write a script that reads numbers from stdin and prints their sum.\nInput: 3 4\nOutput: 7",
            "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))\nsys.exit(1)\n",
            "print(8)\n",
        ),
        (
            "Write a script that reads numbers from stdin and prints their sum.\nInput: 3 4\nOutput: 7",
            "print(sum(map(int, open(0).read().split())))\n",
            "print(open(0).read())\n",
        ),
        (
            "Write a program that reads two lines from standard input and prints them.\n\nExample:\n"
            "Input:\n```\nä\nb\n```\nOutput:\n```\nä\nb\n```",
            "if __name__ == '__main__':\n    print(input(), ' ')\n    print(input())\n",
            "print(input())\n",
        ),
        (
            "Write a generator up_to(n). up_to(3) -> [0, 1, 2]",
            "def up_to(n):\n    yield from range(n)\n",
            "def up_to(n):\n    yield n\n",
        ),
        (
            "Write a generator up_to(n). up_to(-1) raises ValueError",
            "def up_to(n):\n    if n < 0: raise ValueError\n    yield n\n",
            "def up_to(n):\n    yield n\n",
        ),
        (
            "Write an async function twice(x). twice(2) == 4",
            "async def twice(x):\n    return 2 * x\n",
            "async def twice(x):\n    return x\n",
        ),
    ],
    ids=["script", "script by descriptor", "script with lines", "generator", "generator that raises", "async"],
)  # fmt: skip
def test_the_check_of_an_example_passes_right_code_and_no_other(request_text, right, wrong, tmp_path):
    [example] = read_request(request_text).examples
    assert run(example.check, tmp_path, right) == 0
    assert run(example.check, tmp_path, wrong) != 0


def test_a_script_is_run_by_the_name_of_its_file():
    [example] = read_request("A script that reads a number from stdin.\nInput: 1\nOutput: 2", "tool.py").examples
    assert isinstance(example, Case)
    assert "run_module('tool'" in example.check
