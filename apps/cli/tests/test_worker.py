"""`worker`: what it wants to know before it becomes the service, and what it tells it. The service is a stand-in."""

import json

import pytest

from kitty_cli.worker import WorkerOptions, worker_environment

SHARED = "postgresql://ann:hidden@box/kitty"
SERVICE = """
import json, os
names = ("CODER_PORT", "JOBS_QUEUE", "CODER_JOBS_AT_ONCE", "DATABASE_URL", "KITTY_IDLE_STOP_SEC", "LLAMACPP_CODER_BASE")
print(json.dumps({name: os.environ.get(name) for name in names}))
"""


@pytest.fixture
def worker(cli, scripted):
    """The command line where a model server is there."""
    package = cli.folder / "stand_in" / "coder_agent"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(SERVICE)
    base = scripted().base_url
    cli.env |= {"PYTHONPATH": str(cli.folder / "stand_in"), "LLAMACPP_CODER_BASE": base, "DATABASE_URL": SHARED}
    return cli


def test_it_becomes_a_service_for_the_database_with_this_machines_models(worker):
    del worker.env["CODER_PORT"]
    worker.env["KITTY_IDLE_STOP_SEC"] = "900"
    done = worker.run("worker", "--queue", "night", "--at-once", "3")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "CODER_PORT": "0",
        "JOBS_QUEUE": "night",
        "CODER_JOBS_AT_ONCE": "3",
        "DATABASE_URL": SHARED,
        "KITTY_IDLE_STOP_SEC": None,
        "LLAMACPP_CODER_BASE": worker.env["LLAMACPP_CODER_BASE"],
    }
    assert "A worker of the queue night at postgresql://box:5432/kitty." in done.stderr
    assert "AUDIT_KEY is not set" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize(
    "given", ["", "mysql://ann:hidden@box/kitty", "hidden", "postgresql://ann:hidden@box:port/kitty"]
)
def test_without_a_database_to_share_it_does_not_start_and_no_password_is_repeated(worker, given):
    worker.env["DATABASE_URL"] = given
    refused = worker.run("worker")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "DATABASE_URL" in refused.stderr
    assert "hidden" not in refused.stderr


def test_without_a_model_it_does_not_start(worker):
    worker.env["LLAMACPP_CODER_BASE"] = "http://127.0.0.1:9"
    refused = worker.run("worker")
    assert (refused.returncode, "No model server answers" in refused.stderr) == (4, True)


def test_an_embedded_model_is_told_and_a_port_that_was_named_stays():
    told = worker_environment({"CODER_PORT": "9000", "JOBS_QUEUE": "own"}, WorkerOptions(), "kitty-coder")
    assert told == {"CODER_PORT": "9000", "JOBS_QUEUE": "own", "KITTY_MODEL": "kitty-coder"}
