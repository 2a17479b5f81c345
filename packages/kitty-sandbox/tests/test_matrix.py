"""Candidates against checks, a cell each: what is told of honest code; hostile code spoils its own row alone."""

import asyncio
import json
import time

import pytest

from kitty_sandbox import (
    BubblewrapSandbox,
    Cell,
    InvalidSandboxRun,
    SandboxLimits,
    SandboxMatrix,
    SandboxStatus,
    SandboxUnavailable,
)
from kitty_sandbox.matrix import fill_matrix, read_row
from kitty_sandbox.testing import ScriptedSandbox, make_row
from kitty_sandbox.zygote import Ending

DOUBLE = "def f(x):\n    return x * 2\n"


async def fill(sandbox, candidates, checks, timeout_sec=10.0, **fields):
    candidates = (candidates,) if isinstance(candidates, str) else tuple(candidates)
    limits = SandboxLimits(timeout_sec=timeout_sec)
    return await sandbox.matrix(SandboxMatrix(candidates, tuple(checks), limits=limits, **fields))


async def cell_of(sandbox, check, candidate=DOUBLE, **fields) -> Cell:
    (row,) = await fill(sandbox, candidate, [check], **fields)
    assert (row.outcome, row.loads) == ("ran", True), row
    return row.cells[0]


def outcomes(row):
    return [cell.outcome for cell in row.cells]


@pytest.mark.parametrize(
    "check",
    [
        "assert f(2) == 4",
        "assert f(2) == 4 and f(3) == 6",
        "assert 3 < f(2) < 5, 'text'",
        "assert not f(0)",
        "from solution import f as g\nassert g(1) == 2",
        "import solution; assert solution.f(1) == 2",
        "for n in range(3):\n    assert f(n) == 2 * n",
        "with pytest.raises(TypeError):\n    f()",
        "with pytest.raises(AssertionError): assert f(1) == 3",
        "assert f(0.1) == pytest.approx(0.2)",
        "def same(a, b): assert a == b\nfor n in (1, 2): same(f(n), 2 * n)",
        "n = f(1)",
        "assert __name__ == 'solution'",
        "def g(x: int): pass\nassert g.__annotations__ == {'x': int}",
    ],
)
async def test_statements_that_all_run_pass(sandbox, check):
    assert await cell_of(sandbox, check) == Cell("passed")


@pytest.mark.parametrize(
    ("check", "value", "told"),
    [
        ("assert f(2) == 5", "4", "f(2) == 5 is false: the left side is 4"),
        ("assert f(2) == f(3)", "4", "f(2) == f(3) is false: the left side is 4, the right side is 6"),
        ("assert f('a') == \"b\", 'as told'", "'aa'", "as told\nf('a') == \"b\" is false: the left side is 'aa'"),
        ("x = f(1); assert x == 2; assert x == 3", "2", "x == 3 is false: the left side is 2"),
        ("for n in (1, 2):\n    assert f(n) == 2", "4", "f(n) == 2 is false: the left side is 4"),
        ("assert not f(1)", "2", "not f(1) is false"),
        ("assert f(1) == 2 and f(2) == 2", "False", "f(1) == 2 and f(2) == 2 is false"),
        ("assert 1 < f(1) < 2", "False", "1 < f(1) < 2 is false"),
        ("assert iter([f(1)]) == [2]", "[2]", "iter([f(1)]) == [2] is false: the left side is a list_iterator of [2]"),
    ],
)
async def test_a_false_assert_fails_and_tells_what_stands_left(sandbox, check, value, told):
    assert await cell_of(sandbox, check) == Cell("failed", value, "AssertionError", told)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("with pytest.raises(ValueError): f(1)", "DID NOT RAISE"),
        ("with pytest.raises(TypeError, match='nothing of the kind'): f()", "nothing of the kind"),
        ("def same(a, b): assert a == b, 'differ'\nsame(f(1), 3)", "differ"),
    ],
)
async def test_what_a_check_itself_finds_wrong_fails(sandbox, check, told):
    cell = await cell_of(sandbox, check)
    assert (cell.outcome, told in cell.message) == ("failed", True), cell


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("f([3, 1])", "[3, 1, 3, 1]"),
        ("f(1), f('a')", "(2, 'aa')"),
        ("n = f(1)\nn + 1", "3"),
        ("None", "None"),
        ("(n for n in range(f(2)))", "[0, 1, 2, 3]"),
        ("map(f, [1, 2])", "[2, 4]"),
        ("f", "<function f>"),
        ("'\\ud800'", "'\\ud800'"),
        ("'\U0001f431'", "'\U0001f431'"),
    ],
)
async def test_an_expression_tells_its_value(sandbox, check, value):
    assert await cell_of(sandbox, check) == Cell("value", value)


async def test_an_endless_generator_is_shown_by_its_first_items(sandbox):
    candidate = "import itertools\ndef count(): yield from itertools.repeat(7)\nclass Long:\n"
    candidate += "    def __repr__(self): return 'x' * 10**6\n"
    (row,) = await fill(sandbox, candidate, ["count()", "[n for n in zip(count(), range(999))]", "Long()"])
    assert outcomes(row) == ["value"] * 3
    assert row.cells[0].value[:12] == "[7, 7, 7, 7,"
    assert [(len(cell.value), cell.value[-1]) for cell in row.cells] == [(2000, "…")] * 3
    short = await cell_of(sandbox, "(None if n else n for n in count())", "def count():\n    while True: yield ''\n")
    assert short.value.count("''") * 4 > 1900


async def test_a_repr_that_raises_is_told_and_harms_nothing(sandbox):
    candidate = "class Odd:\n    def __repr__(self): raise SystemExit(3)\n    def __eq__(self, other): return False\n"
    (row,) = await fill(sandbox, candidate, ["Odd()", "assert Odd() == 1", "assert 1 == Odd(), Odd()", "1"])
    assert outcomes(row) == ["value", "failed", "failed", "value"], row
    assert "SystemExit" in row.cells[0].value


RAISING = """
class Strange(Exception):
    def __str__(self): raise ValueError
def key(x): return {}[x]
def checked(x):
    assert x > 5, "x is small"
def strange(): raise Strange
def leave(): raise SystemExit(4)
def odd(): raise ValueError("\\ud800" + "y" * 5000)
def deep(): return deep()
"""


@pytest.mark.parametrize(
    ("check", "exception", "told"),
    [
        ("key('a')", "KeyError", "KeyError: 'a' (line 4: def key(x): return {}[x])"),
        ("assert key('a') == 1", "KeyError", "KeyError: 'a' (line 4: def key(x): return {}[x])"),
        ("assert 1 == checked(1)", "AssertionError", "AssertionError: x is small (line 6"),
        ("checked(1)", "AssertionError", 'AssertionError: x is small (line 6: assert x > 5, "x is small")'),
        ("strange()", "Strange", "could not be read"),
        ("leave()", "SystemExit", "SystemExit: 4"),
        ("odd()", "ValueError", "(line 9: def odd(): raise"),
        ("deep()", "RecursionError", "(line 10: def deep"),
        ("nothing()", "NameError", "NameError: name 'nothing' is not defined"),
        ("key(", "SyntaxError", "never closed"),
        ("# nothing", "SyntaxError", "empty"),
        ("\ud800", "UnicodeEncodeError", "surrogates"),
        ("x\0", "SyntaxError", "null bytes"),
        ("bytearray(2 ** 40)", "MemoryError", "MemoryError"),
        ("exit()", "SystemExit", "SystemExit"),
    ],
)
async def test_what_is_raised_is_told_with_its_line(sandbox, check, exception, told):
    cell = await cell_of(sandbox, check, RAISING)
    assert (cell.outcome, cell.exception) == ("raised", exception) or (exception, cell.exception) == (
        "SyntaxError",
        "ValueError",
    ), cell
    assert told in cell.message
    assert len(cell.message) <= 500
    cell.message.encode()


async def test_every_candidate_is_put_to_every_check(sandbox):
    candidates = [f"def f(x):\n    return x + {n}\n" for n in range(30)]
    checks = [f"f({m})" for m in range(12)]
    rows = await fill(sandbox, candidates, checks)
    assert [[cell.value for cell in row.cells] for row in rows] == [[str(m + n) for m in range(12)] for n in range(30)]
    assert {(row.outcome, row.loads, row.reason) for row in rows} == {("ran", True, "All checks ran.")}


class CountingLauncher:
    """Runs nothing: every candidate reports honestly that its one check passed."""

    def __init__(self):
        self.candidates = []

    async def launch(self, *, nonce, candidate, **fields):
        self.candidates.append(candidate)
        return Ending("exited", 0, report_of(READY, LOADED, CELL, END, nonce=nonce), b"", b"", 0.1)


async def test_candidates_with_the_same_text_share_one_run():
    launcher = CountingLauncher()
    rows = await fill_matrix(launcher, SandboxMatrix(("x = 1", "x = 2", "x = 1"), ("x",)))
    assert launcher.candidates == ["x = 1", "x = 2"]
    assert [outcomes(row) for row in rows] == [["passed"]] * 3


@pytest.mark.parametrize(
    ("candidate", "exception", "told"),
    [
        ("def f(:", "SyntaxError", "solution.py, line 1"),
        ("\n1 / 0\n", "ZeroDivisionError", "(line 2: 1 / 0)"),
        ("import sys\nsys.exit(0)\n", "SystemExit", "SystemExit: 0 (line 2"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("x = '\ud800'", "UnicodeEncodeError", "surrogates"),
        ("x = " + "-" * 100_000 + "1", None, ""),
        ("input()", "EOFError", "EOFError"),
        ("raise ValueError('y' * 10**6)", "ValueError", "y" * 300),
    ],
)
async def test_a_candidate_that_does_not_load_has_no_cells_and_says_why(sandbox, candidate, exception, told):
    broken, whole = await fill(sandbox, [candidate, DOUBLE], ["f(1)", "assert f(2) == 4"])
    assert outcomes(whole) == ["value", "passed"]
    assert (broken.loads, outcomes(broken)) == (False, ["not_run", "not_run"])
    assert exception in {None, broken.cells[0].exception}
    assert told in broken.reason
    assert {cell.message for cell in broken.cells} == {broken.reason[:500]}


async def test_missing_packages_are_named_also_when_they_are_imported_late(sandbox):
    early = "import numpy.linalg\n"
    late = "import helper\ndef f(x):\n    import pandas, solution\n"
    first, second = await fill(sandbox, [early, late], ["f(1)"], files={"helper.py": "Y = 1\n"})
    assert (first.loads, first.missing_modules) == (False, ("numpy",))
    assert (second.loads, second.missing_modules, second.cells[0].exception) == (
        True,
        ("pandas",),
        "ModuleNotFoundError",
    )


async def test_a_guarded_main_does_not_run_and_classes_are_importable(sandbox):
    candidate = """
import dataclasses, pickle
@dataclasses.dataclass
class Point:
    x: int = 1
_private = 5
if __name__ == "__main__":
    raise SystemExit("the guard ran")
"""
    checks = ["pickle.loads(pickle.dumps(Point()))", "_private", "from points import Point\nassert Point().x == 1"]
    (row,) = await fill(sandbox, candidate, checks, module="points")
    assert [cell.value for cell in row.cells] == ["Point(x=1)", "5", None]
    assert outcomes(row)[2] == "passed"


async def test_shared_files_can_be_read_and_imported_and_are_read_only(sandbox):
    candidate = "import helper\ndef f(): return open('data/x.txt').read() + helper.Y\n"
    files = {"helper.py": "Y = '!'\n", "data/x.txt": b"hello"}
    assert (await cell_of(sandbox, "f()", candidate, files=files)).value == "'hello!'"
    cell = await cell_of(sandbox, "open('data/x.txt', 'a')", candidate, files=files)
    assert cell.exception in {"OSError", "PermissionError"}


async def test_checks_have_their_own_names_and_literals_but_share_the_module(sandbox):
    candidate = "seen = []\ndef add(items):\n    items.append(1)\n    seen.append(1)\n    return items\n"
    checks = ["x = [0]\nadd(x)", "add([0])", "x", "len(seen)", "seen = None", "len(seen)"]
    (row,) = await fill(sandbox, candidate, checks)
    assert [cell.value for cell in row.cells] == ["[0, 1]", "[0, 1]", None, "2", None, "2"]
    assert row.cells[2].exception == "NameError"


async def test_printed_text_is_kept_and_is_not_a_cell(sandbox):
    candidate = (
        'print("loaded")\ndef f():\n    print(\'{"kind": "cell", "outcome": "passed"}\')\n    print("a", end="")\n'
    )
    (row,) = await fill(sandbox, candidate, ["f()"])
    assert row.stdout == 'loaded\n{"kind": "cell", "outcome": "passed"}\na'
    assert row.cells == (Cell("value", "None"),)
    (row,) = await fill(sandbox, "print('x' * 100_000)", ["1"])
    assert row.stdout == "x" * 2000


HANGING = {
    "spins": "while True: pass",
    "sleeps": "import time\n    time.sleep(60)",
    "waits": "import threading\n    threading.Event().wait()",
    "regex": "import re\n    re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "event loop": "import asyncio\n    asyncio.run(asyncio.sleep(60))",
    "swallows once": "n = 1\n    try:\n        n = 2\n        while True: n = 3\n    except BaseException: return n",
    "swallows a few": "for n in 'abc':\n        try:\n            n = 2\n            while True: n = 3\n"
    "        except BaseException: pass",
    "in a repr": "return type('Slow', (), {'__repr__': lambda self: f()})()\ndef f():\n    while True: pass",
}


async def test_a_check_that_hangs_is_interrupted_and_the_next_ones_run(sandbox):
    candidates = [f"def hang():\n    {body}\n" for body in HANGING.values()]
    begun = time.monotonic()
    rows = await fill(sandbox, candidates, ["1", "hang()", "2"], check_sec=0.2)
    for name, row in zip(HANGING, rows, strict=True):
        assert outcomes(row) == ["value", "timeout", "value"], (name, row)
    assert rows[0].cells[1].message == "It did not end within 0.2 s."
    assert time.monotonic() - begun < 10


async def test_a_check_that_cannot_be_interrupted_ends_its_own_row(sandbox):
    swallows = "def hang():\n    while True:\n        try:\n            for n in range(9999): m = n\n"
    swallows += "        except BaseException: pass\n"
    computes = "def hang(): return sum(range(10 ** 12))\n"
    begun = time.monotonic()
    *rows, whole = await fill(sandbox, [swallows, computes, DOUBLE], ["1", "hang()", "2"], 60, check_sec=0.2)
    for row in rows:
        assert (row.outcome, outcomes(row)) == ("timeout", ["value", "timeout", "not_run"]), row
        assert row.cells[2].message == row.reason == "A check could not be interrupted before the checks were done."
    assert whole.outcome == "ran"
    assert time.monotonic() - begun < 15


async def test_the_time_of_a_candidate_ends_what_the_time_of_a_check_does_not(sandbox):
    sleeps = (
        "import time\ndef hang():\n    while True:\n        try: time.sleep(60)\n        except BaseException: pass\n"
    )
    row, other = await fill(sandbox, [sleeps, "while True: pass"], ["1", "hang()", "2"], 0.6, check_sec=0.2)
    assert (row.outcome, outcomes(row)) == ("timeout", ["value", "timeout", "not_run"])
    assert (other.outcome, other.loads, outcomes(other)) == ("timeout", False, ["not_run"] * 3)
    assert other.reason == "The time limit passed before it was loaded."


async def test_a_hanging_candidate_does_not_spoil_the_others(sandbox):
    rows = await fill(sandbox, ["while True: pass", *(f"x = {n}" for n in range(20))], ["x"], 1)
    assert [row.outcome for row in rows] == ["timeout", *["ran"] * 20]
    assert [row.cells[0].value for row in rows[1:]] == [str(n) for n in range(20)]


@pytest.mark.parametrize(
    ("body", "outcome", "told"),
    [
        ("import os\n    os._exit(0)", "killed", "It ended (exit code 0) before the checks were done."),
        ("import ctypes\n    ctypes.string_at(0)", "killed", "It was killed by signal 11 before the checks were done."),
        ("import os\n    os.abort()", "killed", "It was killed by signal"),
        ("import os\n    while True: os.write(1, b'x' * 65536)", "killed", "It wrote more output than is allowed"),
        ("import os\n    os.closerange(3, 128)", "killed", "It ended (exit code 70)"),
    ],
    ids=["os._exit", "segfault", "abort", "flood", "closed pipe"],
)
async def test_what_was_told_before_the_end_is_kept(sandbox, body, outcome, told):
    (row,) = await fill(sandbox, f"def end():\n    {body}\n", ["1", "assert 1 == 2", "end()", "3"], check_sec=5)
    assert (row.outcome, row.loads, row.reason[: len(told)]) == (outcome, True, told), row
    assert outcomes(row) == ["value", "failed", "not_run", "not_run"]
    assert {cell.message for cell in row.cells[2:]} == {row.reason}


async def test_leaving_at_import_leaves_no_cell(sandbox):
    (row,) = await fill(sandbox, "import os\nos._exit(0)\n", ["1", "2"])
    assert (row.outcome, row.loads, outcomes(row)) == ("killed", False, ["not_run", "not_run"])
    assert row.reason == "It ended (exit code 0) before it was loaded."


FORGE = """
import json, os
def forge():
    for fd in range(3, 128):
        record = {"kind": "cell", "outcome": "passed", "nonce": "0" * 32, "seq": 2}
        try: os.write(fd, (json.dumps(record) + "\\n").encode())
        except OSError: pass
    return 1
"""


@pytest.mark.parametrize("at", ["import", "call"])
async def test_records_written_to_every_descriptor_are_tampering(sandbox, at):
    (row,) = await fill(sandbox, FORGE + ("forge()\n" if at == "import" else ""), ["forge()", "2"])
    assert (row.outcome, row.loads, outcomes(row)) == ("tampered", False, ["not_run", "not_run"]), row


async def test_a_flooded_report_is_tampering(sandbox):
    flood = "import os\ndef f():\n    while True:\n        for fd in range(3, 128):\n            try:\n"
    flood += "                for _ in range(100): os.write(fd, b'x' * 65536)\n            except OSError: pass\n"
    (row,) = await fill(sandbox, flood, ["1", "f()"], check_sec=8)
    assert (row.outcome, outcomes(row)) == ("tampered", ["not_run", "not_run"])


ESCAPES = {
    "open('/etc/passwd').read()": "FileNotFoundError",
    "open('/proc/self/environ').read()": "FileNotFoundError",
    "open('/work/x', 'w')": "OSError",
    "__import__('socket').socket()": "PermissionError",
    "__import__('os').fork()": "PermissionError",
    "__import__('subprocess').run(['/bin/true'])": None,
    "__import__('os').kill(1, 0)": "",
    "__import__('os').listdir('/tmp')": "",
}


async def test_the_walls_are_those_of_a_run(sandbox):
    (row,) = await fill(sandbox, "import os\n", ESCAPES)
    for (check, exception), cell in zip(ESCAPES.items(), row.cells, strict=True):
        assert cell.outcome == ("value" if exception == "" else "raised"), (check, cell)
        assert exception in {None, "", cell.exception} or "Permission" in cell.message, (check, cell)
    assert row.cells[-1].value == "[]"
    (row,) = await fill(sandbox, "x = 1", ["__import__('os').environ.get('PATH')", "open('/tmp/x', 'w').write('x')"])
    assert [cell.value for cell in row.cells] == ["None", "1"]


async def test_cancelling_leaves_a_sandbox_that_works(sandbox):
    task = asyncio.create_task(fill(sandbox, [f"while True: {n}" for n in range(4)], ["1"], 60))
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await cell_of(sandbox, "f(1)")).value == "2"


def failing_bwrap(folder, starts_that_work):
    """A bubblewrap of which only the starts with the given numbers work."""
    program, count = folder / "bwrap", folder / "count"
    words = "|".join(map(str, starts_that_work))
    program.write_text(
        f'#!/bin/sh\necho x >> {count}\ncase $(wc -l < {count}) in {words}) exec /usr/bin/bwrap "$@";; esac\nexit 1\n'
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(("starts_that_work", "outcome"), [([1, 3], "ran"), ([1], "infrastructure")])
async def test_an_infrastructure_failure_is_retried_once_and_is_no_cell(tmp_path, starts_that_work, outcome):
    sandbox = BubblewrapSandbox(bwrap=failing_bwrap(tmp_path, starts_that_work))
    assert (await sandbox.probe()).available
    sandbox.close()
    (row,) = await fill(sandbox, DOUBLE, ["f(1)"])
    assert (row.outcome, outcomes(row)) == (outcome, ["value" if outcome == "ran" else "not_run"])
    assert (tmp_path / "count").read_text().count("x") == 3
    sandbox.close()


async def test_without_walls_nothing_is_run():
    with pytest.raises(SandboxUnavailable, match="bubblewrap is missing"):
        await fill(BubblewrapSandbox(bwrap="/nowhere/bwrap"), DOUBLE, ["f(1)"])


READY, LOADED, CELL, END = {"kind": "ready"}, {"kind": "loaded"}, {"kind": "cell", "outcome": "passed"}, {"kind": "end"}
STORY = (READY, LOADED, CELL, {"kind": "cell", "outcome": "value", "value": "1"}, END)


def report_of(*records, nonce):
    lines = [json.dumps({"nonce": nonce, "seq": number, **record}) for number, record in enumerate(records)]
    return "".join(line + "\n" for line in lines).encode()


def read(*records, ended="exited", exit_code=0, tail=b""):
    report = report_of(*records, nonce="n") + tail
    matrix = SandboxMatrix(("x = 1",), ("x", "x"))
    return read_row(Ending(ended, exit_code, report, b"", b"", 0.1), "n", matrix)


def test_an_honest_report_is_believed():
    assert outcomes(read(*STORY)) == ["passed", "value"]


@pytest.mark.parametrize(
    "records",
    [
        (*STORY, CELL),
        (*STORY, END),
        (*STORY[:4], CELL, END),
        (*STORY[:3], END),
        (LOADED, *STORY),
        (READY, *STORY),
        (READY, CELL),
        (READY, LOADED, LOADED),
        (READY, {**LOADED, "exception": "ValueError"}, CELL),
        (READY, LOADED, {**CELL, "outcome": "not_run"}),
        (READY, LOADED, {**CELL, "outcome": ["passed"]}),
        (READY, LOADED, {**CELL, "outcome": "value"}),
        (READY, LOADED, {**CELL, "seq": 3}),
        (READY, LOADED, {**CELL, "nonce": "m"}),
        (READY, LOADED, {"kind": "other"}),
    ],
)
def test_a_report_out_of_its_order_is_tampering(records):
    row = read(*records)
    assert (row.outcome, row.loads, outcomes(row)) == ("tampered", False, ["not_run", "not_run"])


def test_a_record_that_was_cut_off_is_tampering_unless_the_process_was_killed():
    assert read(*STORY[:3], tail=b'{"kind').outcome == "tampered"
    row = read(*STORY[:3], tail=b'{"kind', ended="timeout", exit_code=137)
    assert (row.outcome, outcomes(row)) == ("timeout", ["passed", "timeout"])


def test_no_report_at_all_is_the_sandboxs_failure():
    assert read(exit_code=70).outcome == "infrastructure"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"candidates": ()}, "1 to 500 candidates"),
        ({"candidates": ("x",) * 501}, "1 to 500 candidates"),
        ({"checks": ()}, "1 to 500 checks"),
        ({"checks": (" \n",)}, "blank"),
        ({"module": "a.b"}, "plain name"),
        ({"module": "class"}, "plain name"),
        ({"check_sec": 0.0}, "check_sec"),
        ({"check_sec": float("inf")}, "check_sec"),
        ({"files": {"../x": ""}}, "relative path"),
        ({"files": {"a": "", "a/b": ""}}, "below another file"),
        ({"candidates": ("x" * 3_000_000, "y" * 3_000_000)}, "bytes"),
    ],
)
def test_a_matrix_that_cannot_be_run_is_refused(fields, told):
    with pytest.raises(InvalidSandboxRun, match=told):
        SandboxMatrix(**{"candidates": ("x = 1",), "checks": ("x",), **fields})


async def test_a_script_of_rows_is_played_in_order_and_has_the_shape_of_the_matrix():
    row = make_row(Cell("passed"))
    sandbox = ScriptedSandbox(rows=[(row,), OSError("boom"), (row, row)])
    assert await fill(sandbox, DOUBLE, ["f(1)"]) == (row,)
    assert (row.loads, make_row(Cell("not_run")).loads) == (True, False)
    with pytest.raises(OSError, match="boom"):
        await fill(sandbox, DOUBLE, ["f(1)"])
    with pytest.raises(AssertionError, match="the shape of matrix number 3"):
        await fill(sandbox, DOUBLE, ["f(1)"])
    with pytest.raises(AssertionError, match="no rows for matrix number 4"):
        await fill(sandbox, DOUBLE, ["f(1)"])
    assert len(sandbox.matrices) == 4
    closed = ScriptedSandbox(status=SandboxStatus(False, reason="no walls"))
    with pytest.raises(SandboxUnavailable, match="no walls"):
        await fill(closed, DOUBLE, ["f(1)"])
