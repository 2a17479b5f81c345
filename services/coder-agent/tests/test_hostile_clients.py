"""Clients that leave, crowd or send what nobody expects, at the service's door."""

import ast
import asyncio
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from coder_agent import source_text
from coder_agent.candidates import Candidate
from coder_agent.decision import TIERS
from coder_agent.graph import build_graph, run_graph
from coder_agent.means import Means
from coder_agent.settings import Settings
from coder_agent.source_text import imports_in, tree_of
from coder_agent.state import CodingState, Task
from kitty_sandbox import CaseResult, Cell
from kitty_sandbox.testing import ScriptedSandbox, every, make_result

MOST_AT_ONCE = 4
REQUEST = "Write add(a, b). add(1, 2) == 3"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
PASSED = CaseResult("test_solution.py::test_add_1_2", "passed")
BYTE_ORDER_MARK = "\ufeff"


class GatedSandbox(ScriptedSandbox):
    """Lets every run pass, once it is opened."""

    def __init__(self):
        super().__init__(*[make_result("passed", PASSED)] * 100, rows=every(Cell("passed")))
        self.waiting = 0
        self.gate = asyncio.Event()

    async def matrix(self, matrix):
        self.loop = asyncio.get_running_loop()
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().matrix(matrix)

    def open(self):
        self.loop.call_soon_threadsafe(self.gate.set)


def wait_until(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def jobs(agent):
    health = agent.get("/healthz").json()
    return health["jobs_running"], health["jobs_queued"]


def frames(response):
    return (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))


def test_leaving_a_stream_stops_the_sandbox_run(start):
    sandbox = GatedSandbox()
    agent, _ = start(RIGHT, sandbox=sandbox)
    url = f"{agent.base_url}/api/coding/stream"
    with httpx.stream("POST", url, json={"request": REQUEST}, timeout=30, trust_env=False) as response:
        seen = frames(response)
        next(frame for frame in seen if frame["type"] == "run_start")
        wait_until(lambda: sandbox.waiting == 1)
        assert jobs(agent) == (1, 0)
    wait_until(lambda: sandbox.waiting == 0, seconds=20)
    wait_until(lambda: jobs(agent) == (0, 0), seconds=20)


async def test_a_job_that_is_cancelled_again_and_again_leaves_no_step_running():
    writing = []

    class Writer:
        async def complete(self, *prompt):
            writing.append(prompt)
            try:
                await asyncio.Event().wait()
            finally:
                writing.clear()

    async def nothing(state):
        pass

    means = Means(Writer(), ScriptedSandbox(), Settings(_env_file=None), lambda event: None, lambda step, seconds: None)
    task = Task(REQUEST, TIERS["fast"])
    job = asyncio.create_task(run_graph(build_graph(), CodingState(task=task), means, nothing))
    async with asyncio.timeout(10):
        while not writing:  # noqa: ASYNC110 - the graph tells nobody
            await asyncio.sleep(0.01)
    while not job.done():
        job.cancel()
        await asyncio.sleep(0)
    assert (job.cancelled(), writing) == (True, [])


def test_jobs_beyond_what_can_run_wait_in_order_and_none_is_lost(start):
    sandbox = GatedSandbox()
    agent, model = start(RIGHT, sandbox=sandbox, coder_jobs_at_once=MOST_AT_ONCE)
    answers = []
    threads = []

    def ask(number):
        request = f"{REQUEST} # number {number}"
        threads.append(threading.Thread(target=lambda: answers.append(agent.generate(request, tier="fast"))))
        threads[-1].start()

    url = f"{agent.base_url}/api/coding/stream"
    with httpx.stream("POST", url, json={"request": REQUEST, "tier": "fast"}, timeout=60, trust_env=False):
        for number in range(1, MOST_AT_ONCE):
            ask(number)
        wait_until(lambda: sandbox.waiting == MOST_AT_ONCE)
        for waiting in range(3):
            ask(MOST_AT_ONCE + waiting)
            wait_until(lambda waiting=waiting: jobs(agent) == (MOST_AT_ONCE, waiting + 1))
        assert "jobs_queued 3.0" in agent.get("/metrics").text
        assert agent.generate(REQUEST, deadline_seconds=0.2).json()["code"] == "deadline"
        assert len(model.generations) == MOST_AT_ONCE
    wait_until(lambda: len(model.generations) == MOST_AT_ONCE + 1)
    assert f"number {MOST_AT_ONCE}" in str(model.generations[-1].messages)
    sandbox.open()
    for thread in threads:
        thread.join(30)
    assert [(answer.status_code, "def add" in answer.json()["code"]) for answer in answers] == [(200, True)] * (
        MOST_AT_ONCE + 2
    )
    assert jobs(agent) == (0, 0)


def test_a_lone_surrogate_in_what_a_guest_wrote_is_replaced_in_every_answer(start):
    failed = CaseResult(PASSED.id, "failed", "ValueError: \ud800 boom", "ValueError")
    result = make_result("failed", failed, stdout="\udcff")
    rows = every(Cell("raised", exception="ValueError", message="\ud800 boom"))
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(*[result] * 4, rows=rows))
    answer = agent.generate(REQUEST, tier="fast", max_refinements=0)
    assert answer.status_code == 200
    assert "ValueError: \ufffd boom" in answer.json()["error"]
    url, body = f"{agent.base_url}/api/coding/stream", {"request": REQUEST, "tier": "fast", "max_refinements": 0}
    with httpx.stream("POST", url, json=body, timeout=30, trust_env=False) as response:
        *_, last = frames(response)
    assert last["result"]["run_stdout"] == "\ufffd"


@pytest.mark.parametrize("name", ["foo bar", "größe", "a\ud800", "a" * 100])
def test_a_missing_module_whose_name_is_no_package_gets_an_answer(start, name):
    result = replace(make_result("failed"), missing_modules=(name,))
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(result, rows=every(Cell("not_run"), missing=(name,))))
    answer = agent.generate(REQUEST, tier="fast", max_refinements=0)
    assert (answer.status_code, answer.json()["verdict"]) == (200, "not_verified")
    assert "pip install" not in answer.json()["error"]


def test_code_too_deep_to_be_compared_by_its_tree_is_compared_as_written():
    code = "def f(x):\n    if x == 0: return 0\n" + "    elif x == 1: return 1\n" * 400
    limit = sys.getrecursionlimit()  # what ran before in this process may have raised it
    sys.setrecursionlimit(1000)
    try:
        assert Candidate(0, code, ("f",), "sample").form == code
    finally:
        sys.setrecursionlimit(limit)


def test_of_long_tests_only_a_little_is_parsed_for_their_imports(monkeypatch):
    """Parsing holds Python's lock, so no other request would be answered meanwhile."""
    parsed = []
    monkeypatch.setattr(source_text, "tree_of", lambda source: parsed.append(len(source)) or ast.parse(source))
    head = "import os, re  # both\nfrom adder import (\n    add,  # this\n    sub,\n)\r\nfrom adder import mul\n"
    assert imports_in(head + "a;" * 90_000) == {"os": (), "re": (), "adder": ("add", "sub", "mul")}
    assert imports_in(f"{head}import import\n" + "a;" * 90_000) == imports_in(head), "one line costs only itself"
    assert len(imports_in("".join(f"import a{n}\n" for n in range(22_000)))) == source_text.MOST_IMPORTS
    assert imports_in("x = " + "-" * 200_000 + "1") == {}
    assert imports_in("import " + " " * 190_000 + "!") == imports_in("import a" + " " * 190_000 + "!") == {}
    assert max(parsed) <= source_text.LONGEST_PARSED


def test_jobs_that_read_code_at_the_same_time_do_not_disturb_each_other():
    code = "def f(x):\n    return [a + 1 for a in (x, 1, 2)]\n" * 20

    class Dropped:
        """Found by the garbage collector, which then runs Python amid whatever goes on."""

        def __init__(self):
            self.own = self

        def __del__(self):
            sum(range(50))

    def read(_):
        litter = [Dropped() for _ in range(20)]
        return len(litter) + len(tree_of(code).body)

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(read, range(2000))) == {40}


def test_a_byte_order_mark_is_not_run_and_the_tests_come_back_with_it(start):
    sandbox = ScriptedSandbox(*[make_result("failed")] * 3, rows=every(Cell("passed")))
    agent, _ = start(RIGHT, sandbox=sandbox)
    tests = f"{BYTE_ORDER_MARK}from adder import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    files = {"rates.py": f"{BYTE_ORDER_MARK}RATE = 2\n", "rates.csv": f"{BYTE_ORDER_MARK}a,b\n"}
    answer = agent.generate(REQUEST, tests=tests, files=files, tier="fast", max_refinements=0).json()
    assert (answer["tests"], answer["module"]) == (tests, "adder.py")
    ran = sandbox.runs[-1].files
    assert (ran["rates.py"], ran["rates.csv"]) == ("RATE = 2\n", f"{BYTE_ORDER_MARK}a,b\n")
    assert [ran[path] for path in sandbox.runs[-1].tests if "caller" in path] == [tests.removeprefix(BYTE_ORDER_MARK)]


@pytest.mark.parametrize(
    ("tests", "missing"),
    [
        ("import hypothesis\n\n\ndef test_add(): pass\n", "hypothesis"),
        ("import pandas\nfrom solution import add\n\n\ndef test_add(): pass\n", "pandas"),
    ],
)
def test_a_library_that_only_the_callers_tests_need_is_named_with_the_command_that_adds_it(start, tests, missing):
    result = replace(make_result("failed"), missing_modules=(missing,))
    agent, _ = start(RIGHT, sandbox=ScriptedSandbox(result, result, rows=every(Cell("passed"))))
    answer = agent.generate(REQUEST, tests=tests, tier="fast").json()
    assert f"pip install pytest {missing}" in answer["error"]
