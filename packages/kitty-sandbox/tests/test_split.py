"""Tests and program in two processes: what crosses, what falls back to one process, and what cannot be forged."""

import pytest

from kitty_sandbox import SandboxLimits, SandboxRun

HEAD = "import pytest\nfrom solution import f\n"


def make_run(program, tests, **files):
    tests = tests if tests.startswith(("import", "from")) else HEAD + tests
    return SandboxRun(
        {"solution.py": program, "test_solution.py": tests, **files},
        ("test_solution.py",),
        SandboxLimits(timeout_sec=10),
        split=True,
    )


PLAIN = {
    "numbers": ("def f(x): return x * 2\n", "f(2) == 4 and f(-1.5) == -3.0 and f(10**40) == 2 * 10**40"),
    "not a number": ("def f(): return float('nan')\n", "f() != f()"),
    "infinite": ("def f(): return float('-inf')\n", "f() == float('-inf')"),
    "complex": ("def f(): return 1 + 2j\n", "f() == 1 + 2j"),
    "text and bytes": ("def f(x): return x[::-1]\n", "f('äb') == 'bä' and f(b'ab') == b'ba'"),
    "lone surrogate": ("def f(): return chr(0xd800)\n", "f() == chr(0xd800)"),
    "containers": (
        "def f(*a, **k): return [a, k, {1, 2}]\n",
        "f(1, [2], k={'x': (3,)}) == [(1, [2]), {'k': {'x': (3,)}}, {2, 1}]",
    ),
    "nothing": ("def f(): pass\n", "f() is None"),
    "range": ("def f(): return range(3)\n", "f() == range(3) and list(f()) == [0, 1, 2]"),
    "generator": ("def f():\n    yield 1\n    yield 2\n", "next(f()) == 1 and list(f()) == [1, 2]"),
    "lazy objects": ("def f(x): return map(str, x)\n", "list(f([1])) == ['1']"),
    "decimal": ("from decimal import Decimal\ndef f(): return Decimal('0.1')\n", "str(f()) == '0.1'"),
    "fraction": ("from fractions import Fraction\ndef f(): return Fraction(1, 3)\n", "f() * 3 == 1"),
    "dates": (
        "import datetime as d\ndef f(x): return x + d.timedelta(days=1)\n",
        "str(f(__import__('datetime').date(2024, 2, 28))) == '2024-02-29'",
    ),
    "counter": (
        "from collections import Counter\ndef f(x): return Counter(x)\n",
        "f('aab') == {'a': 2, 'b': 1} and f('aab').most_common(1) == [('a', 2)]",
    ),
    "named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)\n",
        "f() == (1, 2)",
    ),
    "enumeration of integers": (
        "import enum\nclass C(enum.IntEnum):\n    RED = 1\ndef f(): return [C.RED]\n",
        "f() == [1]",
    ),
    "cached": ("import functools\n@functools.cache\ndef f(x): return x\n", "f(1) == 1"),
    "of the library": ("from math import gcd as f\n", "f(4, 6) == 2"),
    "deep call": ("def f(n): return n and f(n - 1)\n", "f(900) == 0"),
    "approximately": ("def f(): return [0.1 + 0.2]\n", "f() == pytest.approx([0.3])"),
    "beside a constant that is not plain": ("TYPES = (int, str)\ndef f(x): return isinstance(x, TYPES)\n", "f(1)"),
    "keyword only": ("def f(a, /, *, b=1): return a + b\n", "f(1, b=2) == 3 and f(1) == 2"),
}


@pytest.mark.parametrize(("program", "check"), PLAIN.values(), ids=PLAIN)
async def test_plain_data_crosses_as_it_is(sandbox, program, check):
    result = await sandbox.run(make_run(program, f"def test_f(): assert {check}\n"))
    assert (result.outcome, result.verdict_strength) == ("passed", "split"), result
    wrong = await sandbox.run(make_run(program, f"def test_f(): assert not ({check})\n"))
    assert (wrong.outcome, wrong.verdict_strength) == ("failed", "split"), wrong


RAISED = {
    "builtin": ("raise ValueError('no x')", "ValueError, match='^no x$'"),
    "key": ("{}['a']", "KeyError, match=\"^'a'$\""),
    "of the library": ("import json; json.loads('{')", "__import__('json').JSONDecodeError"),
    "own, by its base": ("class E(LookupError): pass\n    raise E('gone')", "LookupError, match='^gone$'"),
    "exit": ("raise SystemExit(3)", "SystemExit"),
    "unicode": ("b'\\xff'.decode()", "UnicodeDecodeError"),
    "attribute": ("None.x", "AttributeError"),
    "system": ("open('/nowhere')", "FileNotFoundError"),
}


@pytest.mark.parametrize(("body", "expected"), RAISED.values(), ids=RAISED)
async def test_exceptions_cross(sandbox, body, expected):
    tests = f"def test_f():\n    with pytest.raises({expected}): f()\n"
    result = await sandbox.run(make_run(f"def f():\n    {body}\n", tests))
    assert (result.outcome, result.verdict_strength) == ("passed", "split"), result


async def test_the_arguments_of_a_system_error_cross(sandbox):
    tests = (
        "import errno\n"
        + HEAD
        + "def test_f():\n    with pytest.raises(OSError) as e: f()\n    assert e.value.errno == 2\n"
    )
    assert (await sandbox.run(make_run("def f(): open('/nowhere')\n", tests))).verdict_strength == "split"


UNFIT = {
    "class": ("class f:\n    def __init__(self): self.x = 1\n", "def test_f(): assert f().x == 1\n"),
    "object": ("class A:\n    x = 1\ndef f(): return A()\n", "def test_f(): assert f().x == 1\n"),
    "callback": ("def f(g): return g(1)\n", "def test_f(): assert f(lambda x: x + 1) == 2\n"),
    "changed argument": ("def f(x): x.append(1)\n", "def test_f():\n    x = []\n    f(x)\n    assert x == [1]\n"),
    "captured output": (
        "def f(): print('hi')\n",
        "def test_f(capsys):\n    f()\n    assert capsys.readouterr().out == 'hi\\n'\n",
    ),
    "patched module": (
        "import time\ndef f(): return time.time()\n",
        "def test_f(monkeypatch):\n    monkeypatch.setattr('time.time', lambda: 1)\n    assert f() == 1\n",
    ),
    "changed module": (
        "X = 1\ndef f(): return X\n",
        "import solution\ndef test_f():\n    solution.X = 2\n    assert solution.f() == 2\n",
    ),
    "attribute of a function": (
        "import functools\n@functools.cache\ndef f(): return 1\n",
        "def test_f():\n    f()\n    assert f.cache_info().misses == 1\n",
    ),
    "own exception": (
        "class E(Exception): pass\ndef f(): raise E\n",
        "from solution import E, f\nimport pytest\ndef test_f():\n    with pytest.raises(E): f()\n",
    ),
    "coroutine": (
        "async def f(): return 1\n",
        "import asyncio\n" + HEAD + "def test_f(): assert asyncio.run(f()) == 1\n",
    ),
    "class by a star": (
        "class A:\n    x = 1\ndef f(): return 1\n",
        "from solution import *\ndef test_f(): assert A.x == f()\n",
    ),
    "context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef f(): yield 1\n",
        "def test_f():\n    with f() as x: assert x == 1\n",
    ),
    "endless": (
        "import itertools\ndef f(): return (x for x in itertools.count())\n",
        "def test_f(): assert next(f()) == 0\n",
    ),
    "mutable constant": ("X = [1]\ndef f(): return X\n", "from solution import X\ndef test_f(): assert X == [1]\n"),
}


@pytest.mark.parametrize(("program", "tests"), UNFIT.values(), ids=UNFIT)
async def test_what_needs_one_process_gets_it_and_says_so(sandbox, program, tests):
    result = await sandbox.run(make_run(program, tests))
    assert (result.outcome, result.verdict_strength) == ("passed", "in-process"), result


async def test_modules_packages_and_data_files_are_found(sandbox):
    run = SandboxRun(
        {
            "pkg/__init__.py": "",
            "pkg/deep/tool.py": "from helper import K\ndef g(): return K\n",
            "helper.py": "K = 3\n",
            "data.txt": "x",
            "test_a.py": "import pkg.deep.tool as t\nfrom pkg.deep import tool\nfrom helper import K\n"
            "def test_a(): assert t.g() == tool.g() == K == 3 and open('data.txt').read() == 'x'\n",
        },
        ("test_a.py",),
        split=True,
    )
    result = await sandbox.run(run)
    assert (result.outcome, result.verdict_strength) == ("passed", "split"), result


async def test_files_in_tmp_are_shared_and_prints_are_kept(sandbox):
    program = "from pathlib import Path\ndef f(path):\n    print('seen')\n    Path(path).write_text('out')\n"
    tests = "def test_f(tmp_path):\n    f(str(tmp_path / 'x'))\n    assert (tmp_path / 'x').read_text() == 'out'\n"
    result = await sandbox.run(make_run(program, tests))
    assert (result.outcome, result.verdict_strength, result.stdout) == ("passed", "split", "seen\n"), result


async def test_errors_of_the_program_are_told_as_in_one_process(sandbox):
    missing = await sandbox.run(make_run("import numpy_of_tomorrow\n", "def test_f(): f()\n"))
    assert missing.missing_modules == ("numpy_of_tomorrow",)
    broken = await sandbox.run(make_run("def f(:\n", "def test_f(): f()\n"))
    assert (broken.outcome, broken.cases[0].exception) == ("failed", "SyntaxError")
    absent = await sandbox.run(make_run("g = 1\n", "def test_f(): f()\n"))
    assert (absent.outcome, absent.cases[0].exception) == ("failed", "ImportError")
    assert "cannot import name 'f'" in absent.cases[0].message


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("import os\n    os._exit(0)", "failed"),
        ("while True: pass", "timeout"),
        ("import ctypes\n    ctypes.string_at(0)", "failed"),
    ],
)
async def test_a_program_that_ends_or_hangs_fails_its_tests(sandbox, body, outcome):
    run = make_run(f"def f():\n    {body}\n", "def test_f(): assert f() == 1\n")
    result = await sandbox.run(SandboxRun(run.files, run.tests, SandboxLimits(timeout_sec=1), split=True))
    assert (result.outcome, result.verdict_strength) == (outcome, "split"), result


FORGERIES = {
    "always equal": "class A:\n    def __eq__(self, o): return True\ndef f(): return A()\n",
    "always equal in a list": "class A(int):\n    def __eq__(self, o): return True\ndef f(): return [A(7)]\n",
    "always equal number": "class A(int):\n    __eq__ = lambda s, o: True\n    __hash__ = int.__hash__\n"
    "def f(): return A(7)\n",
    "class property": "class A:\n    __class__ = property(lambda s: int)\n    def __eq__(self, o): return True\n"
    "def f(): return A()\n",
    "mock": "from unittest.mock import ANY\ndef f(): return ANY\n",
    "lying module": "import sys\nclass M:\n    def __getattr__(self, n): return lambda *a: Y()\n"
    "class Y:\n    def __eq__(self, o): return True\n    def __hash__(self): return 1\n"
    "def f(): return Y()\nsys.modules['solution'].f = f\n",
    "frames": "import sys\ndef f():\n    g = sys._getframe(1).f_globals\n    for n in list(g):\n"
    "        if n.startswith('test'): g[n] = lambda: None\n    return 0\n",
    "runtest": "import _pytest.python as p\np.Function.runtest = lambda self: None\ndef f(): return 0\n",
    "exit": "import pytest\ndef f(): pytest.exit('done', 0)\n",
    "skip": "import pytest\ndef f(): pytest.skip('no')\n",
    "records on every descriptor": "import os\ndef f():\n    for fd in range(3, 64):\n"
    "        try: os.write(fd, b'{}\\n')\n"
    "        except OSError: pass\n    return 0\n",
    "answers nobody asked for": "import json, os\ndef f():\n    for fd in range(3, 64):\n"
    "        d = json.dumps({'value': {'int': '0x4'}}).encode()\n"
    "        try: os.write(fd, len(d).to_bytes(4, 'big') + d)\n        except OSError: pass\n    os._exit(0)\n",
}


@pytest.mark.parametrize("name", sorted(set(FORGERIES) - {"answers nobody asked for"}))
async def test_a_forged_pass_is_caught(sandbox, name):
    tests = "def test_f():\n    assert f() == 4\ndef test_g():\n    assert f() == [4]\n"
    run = make_run(FORGERIES[name], tests)
    result = await sandbox.run(SandboxRun(run.files, run.tests, SandboxLimits(timeout_sec=2), split=True))
    assert (result.passed, result.verdict_strength) == (False, "split"), result


async def test_an_answer_may_be_any_value_but_each_call_has_its_own(sandbox):
    """Writing answers ahead is only another way to return a value: it must be the right one each time."""
    tests = "def test_f():\n    assert f() == 4\n    assert f() == 5\n"
    assert not (await sandbox.run(make_run(FORGERIES["answers nobody asked for"], tests))).passed


async def test_the_program_never_sees_the_tests(sandbox):
    program = """
import gc, os, sys
def f():
    mark = ' '.join(['SECRET', 'OF THE TESTS'])
    held = [o for o in gc.get_objects() if isinstance(o, (dict, list, tuple)) and any(
        isinstance(v, str) and mark in v for v in (o.values() if isinstance(o, dict) else o))]
    return [sorted(os.listdir('/work')), len(held), [name for name in sys.modules if 'test_solution' in name]]
"""
    tests = "SECRET = 'SECRET OF THE TESTS'\ndef test_f(): assert f() == [['solution.py'], 0, []]\n"
    result = await sandbox.run(make_run(program, tests))
    assert (result.outcome, result.verdict_strength) == ("passed", "split"), result
