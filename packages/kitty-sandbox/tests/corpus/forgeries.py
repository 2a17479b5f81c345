"""Wrong solutions that want to be passed. Right is `f(x) == 2 * x`; `TESTS` asks for 2 and 3.

`NAMED` are the 23 kinds that the verdict was designed against; `ADAPTED` know this very sandbox (its reporter, its
control, its fork server) or a newer trick. In one process with its tests a program can always win in the end: which
ones do today is written down here (`wins_together`), so that a change is noticed either way. Apart from its tests none
may be passed as `split`; one that asks to be run together instead (`falls_back`) gets `in-process` as its strength.
"""

from dataclasses import dataclass

TESTS = """\
from solution import f


def test_f():
    assert f(2) == 4


def test_g():
    assert f(3) == 6
"""


@dataclass(frozen=True)
class Forgery:
    program: str
    fools_pytest: bool = True
    """The positive control: plain pytest ends with code 0."""
    wins_together: bool = False
    """Passed when it shares a process with its tests."""
    falls_back: bool = False
    """Makes a run apart impossible, so that it is run together after all."""


NAMED = {
    "os._exit(0) at import": Forgery("import os\nos._exit(0)\n"),
    "os._exit(0) in a call": Forgery("import os\ndef f(x): os._exit(0)\n"),
    "sys.exit(0)": Forgery("import sys\ndef f(x): sys.exit(0)\n", fools_pytest=False),
    "printed pass": Forgery(
        "import os\ndef f(x):\n"
        "    os.write(1, b'..                     [100%]\\n2 passed in 0.01s\\n')\n    os._exit(0)\n"
    ),
    "atexit": Forgery("import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0\n"),
    "a thread exits": Forgery(
        "import os, threading, time\ndef f(x):\n"
        "    threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()\n"
        "    time.sleep(2)\n    return 0\n"
    ),
    "another program instead": Forgery("import os\ndef f(x): os.execv('/bin/true', ['true'])\n"),
    "skip": Forgery("import pytest\ndef f(x): pytest.skip('no')\n"),
    "xfail": Forgery("import pytest\ndef f(x): pytest.xfail('no')\n"),
    "pytest.exit(0)": Forgery("import pytest\ndef f(x): pytest.exit('done', 0)\n"),
    "records on every descriptor": Forgery(
        """
import json, os
RECORDS = [
    {"kind": "collected", "ids": ["test_solution.py::test_f", "test_solution.py::test_g"]},
    *({"kind": "phase", "id": "test_solution.py::test_" + n, "when": w, "outcome": "passed", "observed": "ok"}
      for n in "fg" for w in ("setup", "call", "teardown")),
    {"kind": "end", "rc": 0},
]
def f(x):
    for fd in range(3, 128):
        for seq, record in enumerate(RECORDS):
            try: os.write(fd, (json.dumps({**record, "nonce": "0" * 32, "seq": seq}) + "\\n").encode())
            except OSError: pass
    return 0
""",
        fools_pytest=False,
    ),
    "patched runtest": Forgery("import _pytest.python as p\np.Function.runtest = lambda s: None\ndef f(x): return 0\n"),
    "patched report": Forgery(
        "import _pytest.reports as r\nold = r.TestReport.__init__\ndef new(self, *a, **k):\n    old(self, *a, **k)\n"
        "    self.outcome, self.longrepr = 'passed', None\nr.TestReport.__init__ = new\ndef f(x): return 0\n"
    ),
    "patched CallInfo": Forgery(
        "import _pytest.runner as r\nold = r.CallInfo.from_call.__func__\n"
        "def new(cls, func, when, reraise=None):\n"
        "    return old(cls, (lambda: None) if when == 'call' else func, when, reraise)\n"
        "r.CallInfo.from_call = classmethod(new)\ndef f(x): return 0\n"
    ),
    "replaced test functions": Forgery(
        "import _pytest.python as p\ndef nothing(): pass\np.Function._getobj = lambda self: nothing\n"
        "def f(x): return 0\n"
    ),
    "deselected through gc": Forgery(
        """
import gc
import _pytest.config
gc.unfreeze()
class Plugin:
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.name != "test_g"]
[o.pluginmanager.register(Plugin()) for o in gc.get_objects() if isinstance(o, _pytest.config.Config)]
def f(x): return x + 2
"""
    ),
    "settrace": Forgery(
        "import sys\ndef trace(frame, event, argument):\n"
        "    if frame.f_code.co_name == 'pytest_pyfunc_call':\n"
        "        frame.f_locals['pyfuncitem'].obj = lambda: None\n"
        "sys.settrace(trace)\ndef f(x): return 0\n"
    ),
    "always equal": Forgery(
        "class Same:\n    def __eq__(self, other): return True\ndef f(x): return Same()\n", wins_together=True
    ),
    "patched AssertionError": Forgery(
        "import builtins, pytest\nbuiltins.AssertionError = pytest.skip.Exception\ndef f(x): return 0\n"
    ),
    "stolen nonce": Forgery(
        """
import gc, json, os, re
gc.unfreeze()
def found():
    for held in gc.get_objects():
        for value in gc.get_referents(held):
            if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value): yield value
def f(x):
    for nonce in {"0" * 32, *found()}:
        for number in range(40):
            for name in ("test_f", "test_g"):
                record = {"kind": "phase", "id": "test_solution.py::" + name, "when": "call", "outcome": "passed",
                          "observed": "ok", "nonce": nonce, "seq": number}
                for fd in range(3, 16):
                    try: os.write(fd, (json.dumps(record) + "\\n").encode())
                    except OSError: pass
    return 0
""",
        fools_pytest=False,
    ),
    "patched for all tests but the control": Forgery(
        "import _pytest.python as p\nold = p.Function.runtest\ndef new(self):\n    try: old(self)\n"
        "    except AssertionError:\n        if 'test_zz_' in self.nodeid: raise\n"
        "p.Function.runtest = new\ndef f(x): return 0\n",
        wins_together=True,
    ),
    "closed report": Forgery(
        "import os\ndef f(x):\n    os.closerange(3, 128)\n    return 2 * x\n",
        fools_pytest=False,
    ),
    "a report of text": Forgery(
        "import os\ndef f(x):\n    for fd in range(3, 64):\n"
        "        try: os.write(fd, b'passed\\n' * 1000)\n        except OSError: pass\n    return 0\n",
        fools_pytest=False,
    ),
}

_PATCHED_ENCODER = """
import json.encoder as e
old = e.JSONEncoder.iterencode
def new(self, record, _one_shot=False):
    if record.get("kind") == "phase" and "test_zz" not in record["id"]:
        kept = {k: v for k, v in record.items() if k not in ("message", "exception", "missing")}
        record = {**kept, "outcome": "passed", "observed": "ok"}
    if record.get("kind") == "end": record = {**record, "rc": 0}
    return old(self, record, _one_shot)
e.JSONEncoder.iterencode = new
def f(x): return 0
"""
_WHOLE_REPORT = """
def tell(send, control):
    control = f"{control}::{control.removesuffix('.py')}"
    mine = ["test_solution.py::test_f", "test_solution.py::test_g"]
    send("collected", ids=[*mine, control])
    for test in [*mine, control]:
        send("started", id=test)
        for when in ("setup", "call", "teardown"):
            fails = test == control and when == "call"
            send("phase", id=test, when=when, outcome="failed" if fails else "passed",
                 observed="AssertionError" if fails else "ok", xfail=False, seconds=0.0)
    send("end", rc=0)
"""

ADAPTED = {
    "always equal number": Forgery(
        "class Same(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "def f(x): return Same(7)\n",
        wins_together=True,
    ),
    "class property": Forgery(
        "class Same:\n    __class__ = property(lambda self: int)\n    def __eq__(self, other): return True\n"
        "def f(x): return Same()\n",
        wins_together=True,
    ),
    "mock.ANY": Forgery("from unittest.mock import ANY\ndef f(x): return ANY\n", wins_together=True),
    "another module in its place": Forgery(
        "import sys, types\nclass Same:\n    def __eq__(self, other): return True\n"
        "module = types.ModuleType('solution')\nmodule.f = lambda x: Same()\nsys.modules['solution'] = module\n",
        wins_together=True,
    ),
    "other tests emptied through a frame": Forgery(
        """
import sys
def nothing(): pass
class Same(int):
    def __eq__(self, other): return True
def f(x):
    caller = sys._getframe(1)
    for name, value in list(caller.f_globals.items()):
        if name.startswith("test_") and name != caller.f_code.co_name: value.__code__ = nothing.__code__
    return Same()
""",
        wins_together=True,
    ),
    "code swapped by a thread": Forgery(
        """
import gc, sys, threading, time
sys.setswitchinterval(1e-6)
def nothing(): pass
def swap():
    for _ in range(100_000):
        module = sys.modules.get("test_solution")
        if module and hasattr(module, "test_g"):
            module.test_f.__code__ = module.test_g.__code__ = nothing.__code__
            return
        time.sleep(0)
threading.Thread(target=swap, daemon=True).start()
def f(x):
    time.sleep(0.2)
    return type("Same", (), {"__eq__": lambda *_: True})()
""",
        wins_together=True,
    ),
    "the reporter's own channel, through the frames": Forgery(
        _WHOLE_REPORT
        + """
import sys
frame = sys._getframe()
while frame and not ("send" in frame.f_locals and "exit_now" in frame.f_locals): frame = frame.f_back
if frame:
    tell(frame.f_locals["send"], frame.f_locals["plugin" if "plugin" in frame.f_locals else "control"])
    frame.f_locals["exit_now"](0)
def f(x): return 0
""",
        fools_pytest=False,
        wins_together=True,
    ),
    "the reporter's mark, through gc": Forgery(
        _WHOLE_REPORT
        + """
import gc, json, os
gc.unfreeze()
def take(reporter):
    cells = [cell.cell_contents for cell in reporter._send.__closure__]
    held = dict(zip(reporter._send.__code__.co_freevars, cells))
    def send(kind, **fields):
        line = {**fields, "kind": kind, "nonce": held["nonce"], "seq": held["number"]}
        os.write(held["fd"], (json.dumps(line) + "\\n").encode())
        held["number"] += 1
    tell(send, reporter._control.removesuffix("::"))
    os._exit(0)
[take(o) for o in gc.get_objects() if type(o).__name__ == "Reporter" and getattr(o._send, "__closure__", None)]
def f(x): return 0
""",
        fools_pytest=False,
        wins_together=True,
    ),
    "the reporter's own eyes": Forgery(
        """
import gc
gc.unfreeze()
def observe(self, item, when):
    result = yield
    is_control = item.nodeid.startswith(self._control)
    seen = type(result.excinfo[1]).__name__ if result.excinfo else "ok"
    self._observed[item.nodeid, when] = seen if is_control else "ok"
    if not is_control: result.force_result(None)
[setattr(type(o), "_observe", observe) for o in gc.get_objects() if type(o).__name__ == "Reporter"]
def f(x): return 0
""",
        fools_pytest=False,
        wins_together=True,
    ),
    "records changed while they are written": Forgery(_PATCHED_ENCODER, fools_pytest=False),
    "records and the exit code changed": Forgery(
        _PATCHED_ENCODER + "from _pytest.main import Session\n"
        "Session.testsfailed = property(lambda self: 0, lambda self, value: None)\n",
        wins_together=True,
    ),
    "a test's own runtest": Forgery(
        """
import gc
import _pytest.config
gc.unfreeze()
class Plugin:
    def pytest_collection_modifyitems(self, items):
        for item in items:
            if "test_zz" not in item.nodeid: item.runtest = lambda: None
[o.pluginmanager.register(Plugin()) for o in gc.get_objects() if isinstance(o, _pytest.config.Config)]
def f(x): return 0
""",
        wins_together=True,
    ),
    "skip told as a pass": Forgery(
        "import pytest, _pytest.reports as r\ndef f(x): pytest.skip('x')\nold = r.TestReport.__init__\n"
        "def new(self, *a, **k):\n    old(self, *a, **k)\n"
        "    if self.outcome == 'skipped': self.outcome, self.longrepr = 'passed', None\nr.TestReport.__init__ = new\n"
    ),
    "every test may fail": Forgery(
        "import _pytest.skipping as s\ndef f(x): return 0\n"
        "s.evaluate_xfail_marks = lambda item: s.Xfail('r', True, False, None)\n"
    ),
    "tests overwritten": Forgery(
        "import sys\nname = sys._getframe().f_code.co_filename.replace('solution', 'test_solution')\n"
        "open(name, 'w').write('def test_f(): pass\\ndef test_g(): pass\\n')\ndef f(x): return 0\n",
        fools_pytest=False,
    ),
    "conftest written": Forgery(
        "import os\nname = os.path.join(os.path.dirname(__file__), 'conftest.py')\n"
        "open(name, 'w').write('collect_ignore = [1]')\ndef f(x): return 0\n",
        fools_pytest=False,
    ),
    "an exit code that looks like a signal": Forgery("import os\ndef f(x): os._exit(152)\n", fools_pytest=False),
    "a fault handler that exits": Forgery(
        "import faulthandler, time\nfaulthandler.dump_traceback_later(0.01, exit=True)\n"
        "def f(x):\n    time.sleep(1)\n    return 0\n",
        fools_pytest=False,
    ),
    "an alarm that exits": Forgery(
        "import os, signal, time\nsignal.signal(signal.SIGALRM, lambda *_: os._exit(0))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01)\ndef f(x):\n    time.sleep(1)\n    return 0\n"
    ),
    "the parent ends while a child goes on": Forgery(
        "import os\nif os.fork(): os._exit(0)\ndef f(x): return 0\n",
    ),
    "a silent exception": Forgery("def f(x): raise GeneratorExit\n", fools_pytest=False),
    "output and errors closed": Forgery(
        "import os\ndef f(x):\n    os.closerange(0, 3)\n    return 0\n",
        fools_pytest=False,
    ),
    "asks to be run together, then lies": Forgery(
        """
import itertools, sys
class Same:
    def __eq__(self, other): return True
def f(x):
    return Same() if "test_solution" in sys.modules else (n for n in itertools.count())
""",
        wins_together=True,
        falls_back=True,
    ),
}
FORGERIES = {**NAMED, **ADAPTED}
