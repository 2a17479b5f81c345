"""A job that was handed in outlives the program that runs it, with the stack, without it, and on two machines.

All real programs; another machine is another state and another folder.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import psutil
import pytest

from kitty_core.testing import free_ports, running_postgres
from kitty_llm.testing import ScriptedModel

RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
REQUEST = "Write add(a, b). add(1, 2) == 3 and add(0, 5) == 5"
OURS = ("LLAMACPP_", "KITTY_", "CODER_", "GATEWAY_", "BRAIN_", "BROKER_", "AUDIT_", "DATABASE_", "JOBS_")
PORTS = ("GATEWAY_PORT", "BRAIN_PORT", "CODER_PORT", "BROKER_PORT")
WITHIN_SEC = 300


class Kitty:
    """The command line, in a folder and a state of its own."""

    def __init__(self, folder, model):
        self.model = model
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        folders = {name: str(folder / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        bases = {name: model.base_url for name in ("LLAMACPP_CODER_BASE", "LLAMACPP_Q4_BASE")}
        self.env = kept | folders | ports | bases | {"JOBS_LEASE_SEC": "2"}

    def command(self, *words):
        options = {"cwd": self.folder, "env": self.env, "stdin": subprocess.DEVNULL, "text": True}
        return [sys.executable, "-m", "kitty_cli.main", *words], options

    def __call__(self, *words):
        command, options = self.command(*words)
        return subprocess.run(command, capture_output=True, timeout=WITHIN_SEC, check=False, **options)

    def start(self, *words):
        command, options = self.command(*words)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def coder_agent(self):
        """Of the stack, else the one that a command line started."""
        document = json.loads(self("status", "--json").stdout)
        running = document["stack"]["programs"] if document["stack"] else document["services"]
        return next(one for one in running if one["base_url"].endswith(f":{self.env['CODER_PORT']}"))


@pytest.fixture
def kitty(tmp_path):
    """With a model that takes some seconds for its answer."""
    with ScriptedModel(RIGHT, chunk_chars=1, delay_sec=0.1).threaded() as model:
        made = Kitty(tmp_path, model)
        try:
            yield made
        finally:
            made("down")
            made("stop")


@pytest.fixture
def machines(tmp_path):
    """Two machines with one PostgreSQL and one audit key; the stack's runs one job at once."""
    with running_postgres() as server, ScriptedModel(RIGHT, chunk_chars=2, delay_sec=0.1).threaded() as model:
        made = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            made.append(Kitty(tmp_path / name, model))
            made[-1].env |= {"DATABASE_URL": server.get_uri(), "AUDIT_KEY": "ab" * 32, "CODER_JOBS_AT_ONCE": "1"}
        del made[1].env["CODER_PORT"]
        try:
            yield made
        finally:
            made[0]("down")


@contextmanager
def watching(kitty, job_id):
    """A `jobs watch`, once it has shown that the code is being written."""
    process = kitty.start("jobs", "watch", job_id)
    try:
        assert any("writing the code" in line for line in process.stderr), "it ended without"
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def check_trail(kitty, job_id):
    rows = json.loads(kitty("audit", "list", "--json").stdout)["entries"]
    assert [(row["job_id"], row["verdict"]) for row in rows] == [(job_id, "verified")]
    assert kitty("audit", "verify").returncode == 0


@pytest.mark.timeout(2 * WITHIN_SEC)
def test_a_detached_job_of_the_stack_outlives_its_coder_agent_and_its_watcher_sees_it_verified(kitty):
    began = kitty("up")
    assert began.returncode == 0, began.stderr
    handed_in = kitty("code", REQUEST, "--tier", "fast", "--detach")
    job_id = handed_in.stdout.strip()
    assert (handed_in.returncode, len(job_id)) == (0, 32), handed_in.stderr
    with watching(kitty, job_id) as process:
        killed = kitty.coder_agent()["pid"]
        psutil.Process(killed).kill()
        out, said = process.communicate(timeout=WITHIN_SEC)
    assert process.returncode == 0, said
    assert "def add(a, b)" in out
    assert "trying again" in said
    assert kitty.coder_agent()["pid"] != killed
    job = json.loads(kitty("jobs", "show", job_id[:6], "--json").stdout)
    assert (job["status"], job["verdict"], job["attempt"], job["user_id"]) == ("succeeded", "verified", 2, "local")
    check_trail(kitty, job_id)


@pytest.mark.timeout(2 * WITHIN_SEC)
def test_without_the_stack_a_job_that_its_service_left_is_taken_up_by_the_next_command(kitty):
    job_id = kitty("code", REQUEST, "--tier", "fast", "--detach").stdout.strip()
    wait_until(lambda: kitty.model.generations)
    psutil.Process(kitty.coder_agent()["pid"]).kill()
    done = kitty("jobs", "watch", job_id)
    assert done.returncode == 0, done.stderr
    assert "def add(a, b)" in done.stdout
    assert "Starting the coder-agent" in done.stderr
    check_trail(kitty, job_id)


@pytest.mark.timeout(2 * WITHIN_SEC)
def test_an_idle_service_stays_for_a_job_that_runs_and_one_that_waits_and_then_stops(kitty):
    kitty.env |= {"KITTY_IDLE_STOP_SEC": "1", "CODER_JOBS_AT_ONCE": "1"}
    first, second = (kitty("code", REQUEST, "--tier", "fast", "--detach").stdout.strip() for _ in range(2))
    pid = kitty.coder_agent()["pid"]
    url = f"http://127.0.0.1:{kitty.env['CODER_PORT']}/api/coding/jobs/{second}"
    with watching(kitty, second) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WITHIN_SEC)
    assert process.returncode == 130
    assert f"jobs watch {second}" in said
    assert httpx.get(url, timeout=30, trust_env=False).json()["status"] == "running", "it was left running"
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 120)
    states = {job["job_id"]: job["verdict"] for job in json.loads(kitty("jobs", "list", "--json").stdout)["jobs"]}
    assert states == {first: "verified", second: "verified"}


@pytest.mark.timeout(2 * WITHIN_SEC)
def test_a_worker_on_another_machine_takes_jobs_of_the_stack_and_gives_them_back_when_it_is_told_to_end(machines):
    stack, other = machines
    assert stack("up").returncode == 0
    worker = other.start("worker")
    ids = [stack("code", REQUEST, "--tier", "fast", "--detach").stdout.strip() for _ in range(4)]

    def jobs():
        return json.loads(stack("jobs", "list", "--json").stdout)["jobs"]

    def taken_by(pid):
        return [job for job in jobs() if (job["worker"] or "").split(":")[1:2] == [str(pid)]]

    wait_until(lambda: any(job["status"] == "succeeded" for job in taken_by(worker.pid)))
    wait_until(lambda: any(job["status"] == "running" for job in taken_by(worker.pid)))
    worker.terminate()
    _, said = worker.communicate(timeout=WITHIN_SEC)
    assert "A worker of the queue default at postgresql://" in said
    assert "Traceback" not in said
    wait_until(lambda: all(job["verdict"] == "verified" for job in jobs()))
    assert {job["job_id"] for job in jobs()} == set(ids)
    assert [job["attempt"] for job in jobs()].count(2) == 1, "one was given back, none ran twice"
    rows = json.loads(stack("audit", "list", "--json").stdout)["entries"]
    assert sorted(row["job_id"] for row in rows) == sorted(ids)
    assert other("audit", "verify").returncode == 0
    pruned = other("jobs", "prune", "--keep", "1")
    assert (pruned.returncode, "Deleted 3 jobs" in pruned.stdout) == (0, True), pruned.stderr
    assert [job["job_id"] for job in jobs()] == [ids[-1]]
