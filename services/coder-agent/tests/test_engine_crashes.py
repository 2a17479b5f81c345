"""Workers as processes of their own that are killed, stopped and starved in the middle of a job."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import URL, text

from coder_agent.coding_job import cancelled_ending, new_job
from coder_agent.coding_request import CodingRequest
from coder_agent.engine.database import JobDatabase
from coder_agent.engine.errors import StoreIsUnavailable
from coder_agent.engine.store import JobStore
from coder_agent.runner import Ids
from kitty_core.database import database_url, open_database
from kitty_core.testing import running_postgres
from kitty_llm.testing import ScriptedModel

NEST = Path(__file__).parent / "worker_nest.py"
LEASE_SEC = 1.0
NOTE = json.dumps({"tool": "coding.generate", "decision": "allowed", "hazard_class": "low", "args_sha256": "a" * 64})
SLOW = "import time\n\ntime.sleep(0.25)\n\n\n"
CRASHES = f"```python\n{SLOW}def add(a, b):\n    return a + c\n```"
RIGHT = f"```python\n{SLOW}def add(a, b):\n    return a + b\n```"
CHECKS = "1, 2) == 3\nassert add(0, 5) == 5\nassert add(-1, 1) == 0\nassert add(10, 20) == 30\n"
REQUEST = "Write add(a, b) that returns the sum of two numbers, the way of {}"
STEPS = 8
"""Of the workflow, with this model."""
AT_ONCE = 3
"""Jobs that are disturbed at the same time."""


def model_answer(messages):
    """Each step's answer, whenever it is asked for: the first code crashes, its correction is right."""
    asked = str(messages)
    if "JSON list" in asked:
        return '["Add the numbers.", "Return the sum."]'
    if "Describe in at most two" in asked:
        return "It adds two numbers."
    if "checks of" in messages[-1 if messages[-1]["role"] == "user" else -2]["content"]:
        return CHECKS
    is_first = "Running it showed" not in asked and "# " not in str(messages[-1]["content"])
    return CRASHES if is_first else RIGHT


class Nest:
    """Workers over one database, and what a test sees of their jobs."""

    def __init__(self, address, model, folder, lease_sec):
        self.model = model
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        self.state = folder / "state"
        env = {
            **kept,
            "XDG_STATE_HOME": str(self.state),
            "DATABASE_URL": address.render_as_string(hide_password=False),
            "LLAMACPP_F16_BASE": model.base_url,
            "LLAMACPP_Q4_BASE": model.base_url,
            "CODER_PORT": "0",
            "CODER_SUMMARY": "model",
            "CODER_JOBS_AT_ONCE": "1",
            "JOBS_LEASE_SEC": str(lease_sec),
        }
        self.log = (folder / "workers.log").open("w")
        self._nest = subprocess.Popen(
            [sys.executable, str(NEST)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.engine = open_database(address)
        JobDatabase(self.engine).prepare()
        self.store = JobStore(JobDatabase(self.engine))
        self._hatching = threading.Lock()

    def hatch(self):
        with self._hatching:
            self._nest.stdin.write("one more\n")
            self._nest.stdin.flush()
            return int(self._nest.stdout.readline())

    def submit(self, way="ann", **fields):
        """A job; by its `way` its calls are told from those of others."""
        body = CodingRequest(request=REQUEST.format(way), tier="deep", **fields)
        ids = Ids(uuid4().hex, "request", None, "ann")
        return self.store.submit(new_job(body, ids, NOTE, is_attached=False), 1000, 60)[0].id

    def job(self, job_id):
        return self.store.get(job_id)

    def worker_of(self, job_id):
        worker = self.job(job_id).worker
        return int(worker.split(":")[1]) if worker else None

    def steps_done(self, job_id):
        """How many steps of the workflow are kept."""
        with self.engine.connect() as connection:
            query = text("SELECT state FROM coder_jobs WHERE id = :id")
            state = connection.execute(query, {"id": job_id}).scalar_one()
        if state is None:
            return 0
        state = json.loads(state)["state"]
        return 1 + len(state.get("steps", ())) + ("report" in state) + ("summary" in state)

    def await_step(self, job_id, step):
        """Returns in the middle of the step before which `step` others are kept."""
        wait_until(lambda: self.worker_of(job_id) and self.steps_done(job_id) == step)
        time.sleep(0.15)

    def ended(self, job_id, seconds=110):
        wait_until(lambda: self.job(job_id).is_told, seconds)
        return self.job(job_id)

    def events(self, job_id):
        found, is_all = self.store.events_after(job_id, 0)
        assert is_all
        assert [event.id for event in found] == list(range(1, len(found) + 1))
        return [json.loads(event.data) for event in found]

    def rows(self, job_id):
        """How many audit rows the job has."""
        with self.engine.connect() as connection:
            query = text("SELECT count(*) FROM tool_invocations WHERE job_id = :id")
            return connection.execute(query, {"id": job_id}).scalar_one()

    def calls(self, way):
        """Of the model, for the job of that `way`."""
        return sum(REQUEST.format(way) in str(call.body) for call in self.model.generations)

    def streams_open(self, way):
        """Whether the model still writes for the job of that `way`."""
        return sum(REQUEST.format(way) in str(call.body) and call.ended_at is None for call in self.model.generations)

    def close(self):
        self._nest.stdin.close()
        self._nest.wait(20)
        self._nest.stdout.close()
        self.log.close()
        self.engine.dispose()


def wait_until(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while True:
        with suppress(StoreIsUnavailable):
            if condition():
                return
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def nest_at(address, folder, lease_sec=LEASE_SEC):
    with ScriptedModel(model_answer, chunk_chars=24, delay_sec=0.1).threaded() as model:
        made = Nest(address, model, folder, lease_sec)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def nest(address, tmp_path):
    with nest_at(address, tmp_path) as made:
        yield made


def assert_ended_well(nest, job_id, likes):
    """The job came to what an undisturbed one comes to, and left one row and one last event."""
    job, answer = nest.ended(job_id), json.loads(likes.answer)["body"]
    assert (job.status, job.verdict) == (likes.status, likes.verdict) == ("succeeded", "verified")
    body = json.loads(job.answer)["body"]
    for name in ("code", "tests", "summary", "plan", "refinement_count", "confidence", "evidence"):
        assert body[name] == answer[name], name
    kinds = [event["type"] for event in nest.events(job_id)]
    assert kinds.count("complete") == 1
    assert kinds[-1] == "complete"
    assert nest.rows(job_id) == 1


KILLS = [*((step,) for step in range(STEPS)), (2, 5), (1, 4, 7)]
"""For each job the steps in which its workers are killed, one after another. On two databases that is 20 jobs."""


def test_a_worker_that_is_killed_in_the_middle_of_any_step_costs_that_step_alone(nest):
    undisturbed = one_undisturbed(nest)
    at_the_same_time(lambda steps: kill_in(nest, steps, undisturbed), KILLS)


def kill_in(nest, steps, undisturbed):
    """Kills the worker of a new job in the middle of each of its `steps`; each time another one goes on."""
    way = f"kill {steps}"
    job_id = nest.submit(way)
    resumes = 0
    for step in steps:
        nest.await_step(job_id, step)
        holder, done = nest.worker_of(job_id), nest.steps_done(job_id)
        os.kill(holder, signal.SIGKILL)
        nest.hatch()
        resumes += done > 0
        wait_until(lambda holder=holder: nest.worker_of(job_id) not in (holder, None))
    assert_ended_well(nest, job_id, undisturbed)
    assert nest.job(job_id).attempt == 1 + len(steps)
    again = nest.calls(way) - nest.calls("ann")
    assert again <= len(steps), f"{again} calls more after kills in {steps}"
    assert [event["type"] for event in nest.events(job_id)].count("resumed") == resumes


def test_a_job_is_cancelled_in_the_middle_of_any_step_by_another_process_and_goes_on_later(nest):
    undisturbed = one_undisturbed(nest)
    ran = at_the_same_time(lambda step: cancel_in(nest, step, undisturbed), range(STEPS))
    assert any(ran), "some were cancelled while something ran in the sandbox"


def cancel_in(nest, step, undisturbed):
    """Within two seconds the job is cancelled, the model silent and the sandbox empty; then the job is resumed.

    Returns how many processes ran in the sandbox.
    """
    way = f"cancel {step}"
    job_id = nest.submit(way)
    nest.await_step(job_id, step)
    began, runs = time.monotonic(), sandbox_runs(nest.worker_of(job_id))
    nest.store.cancel(job_id, cancelled_ending())
    wait_until(lambda: nest.job(job_id).status == "cancelled" and not nest.streams_open(way), seconds=2)
    wait_until(lambda: not any(run.is_running() for run in runs), seconds=2)
    assert time.monotonic() - began < 2
    calls = nest.calls(way)
    time.sleep(0.5)
    assert (nest.job(job_id).status, nest.calls(way)) == ("cancelled", calls), "nothing goes on behind its back"
    nest.store.resume(job_id, 1000)
    assert_ended_well(nest, job_id, undisturbed)
    assert nest.job(job_id).attempt == 2
    assert nest.calls(way) - nest.calls("ann") <= 1
    assert [event["type"] for event in nest.events(job_id)].count("error") == 1
    return len(runs)


def test_a_model_server_that_is_restarted_in_the_middle_of_a_word_costs_that_answer_alone(tmp_path):
    with nest_at(sqlite_in(tmp_path), tmp_path) as nest:
        nest.hatch()
        undisturbed = nest.ended(nest.submit())
        job_id = nest.submit("restart")
        for number in (1, 3):  # its calls: the first code, the checks
            wait_until(lambda number=number: nest.calls("restart") > number and nest.streams_open("restart"))
            time.sleep(0.15)
            with nest.model.away():
                time.sleep(1)
        assert_ended_well(nest, job_id, undisturbed)
        assert nest.job(job_id).attempt == 1
        assert nest.calls("restart") - nest.calls("ann") == 2


def sqlite_in(folder):
    return URL.create("sqlite", database=str(folder / "jobs.sqlite3"))


def one_undisturbed(nest):
    """Workers for all, and a job that nobody disturbs."""
    for _ in range(AT_ONCE + 1):
        nest.hatch()
    return nest.ended(nest.submit())


def at_the_same_time(disturb, jobs):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(disturb, jobs))


def sandbox_runs(worker):
    """What a worker's fork servers have forked."""
    below = psutil.Process(worker).children(recursive=True)
    servers = {process.pid for process in below if "guest" in process.cmdline() and process.name() != "bwrap"}
    return [process for process in below if process.ppid() in servers]


def test_a_worker_that_is_stopped_and_goes_on_later_writes_nothing_more(nest):
    nest.hatch()
    undisturbed = nest.ended(nest.submit())
    job_id = nest.submit()
    wait_until(lambda: nest.steps_done(job_id) == 2)
    first = nest.worker_of(job_id)
    os.kill(first, signal.SIGSTOP)
    second = nest.hatch()
    wait_until(lambda: nest.worker_of(job_id) == second)
    os.kill(first, signal.SIGCONT)
    assert_ended_well(nest, job_id, undisturbed)
    assert (nest.job(job_id).attempt, nest.worker_of(job_id)) == (2, second)
    time.sleep(1)
    assert_ended_well(nest, job_id, undisturbed)
    again = nest.submit()
    assert_ended_well(nest, again, undisturbed)


def test_a_worker_that_is_told_to_end_gives_its_job_back_at_once(nest):
    nest.hatch()
    undisturbed = nest.ended(nest.submit())
    job_id = nest.submit()
    wait_until(lambda: nest.steps_done(job_id) == 2)
    first = nest.worker_of(job_id)
    second = nest.hatch()
    os.kill(first, signal.SIGTERM)
    wait_until(lambda: nest.worker_of(job_id) == second, seconds=30)
    assert_ended_well(nest, job_id, undisturbed)
    assert nest.job(job_id).attempt == 2


def test_a_full_disk_costs_time_and_nothing_else(tmp_path):
    with nest_at(sqlite_in(tmp_path), tmp_path, 20) as nest:
        worker = nest.hatch()
        undisturbed = nest.ended(nest.submit())
        job_id = nest.submit()
        wait_until(lambda: nest.steps_done(job_id) == 1)
        usual = resource.prlimit(worker, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        time.sleep(10)
        assert not nest.job(job_id).has_ended
        resource.prlimit(worker, resource.RLIMIT_FSIZE, usual)
        assert_ended_well(nest, job_id, undisturbed)
        assert nest.job(job_id).attempt == 1, "its lease is longer than that"


def test_a_database_that_is_restarted_costs_time_and_nothing_else(tmp_path):
    with running_postgres() as server:
        address = database_url({"DATABASE_URL": server.get_uri()}, "jobs")
        with nest_at(address, tmp_path) as nest:
            nest.hatch()
            undisturbed = nest.ended(nest.submit())
            job_id = nest.submit()
            wait_until(lambda: nest.steps_done(job_id) == 2)
            server.stop()
            time.sleep(1)
            server.start()
            assert_ended_well(nest, job_id, undisturbed)
