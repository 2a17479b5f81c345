"""One real job: command line, embedded 0.5B model, real sandbox. What is asserted is consistency, not luck."""

import hashlib
import json
import os
import subprocess
import sys

import psutil
import pytest

from kitty_models.catalogue import KITTY_CODER_SMALL
from kitty_models.store import model_dir

REQUEST = "Write a function primes_below(n) that returns all primes below n, with pytest tests"
EXIT_CODES = {"verified": 0, "tests_failed": 1, "not_verified": 1, "budget_exhausted": 5}
MODEL = model_dir() / KITTY_CODER_SMALL.file_name


@pytest.fixture
def cli(tmp_path):
    """Runs kitty-cli with a state of its own; what it leaves resident is stopped at the end."""
    ours = ("LLAMACPP_", "KITTY_", "CODER_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    env["KITTY_MODEL_DIR"] = str(model_dir())

    def run(*words, timeout=600):
        command = [sys.executable, "-m", "kitty_cli.main", *words]
        options = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True}
        return subprocess.run(command, timeout=timeout, check=False, **options)

    yield run
    run("stop", timeout=60)


@pytest.mark.real_model
@pytest.mark.timeout(900)
@pytest.mark.skipif(not MODEL.is_file(), reason="the 0.5B model is not here: ./kitty models pull kitty-coder-small")
def test_a_real_job_is_consistent_from_request_to_exit_code(cli, tmp_path):
    done = cli("code", REQUEST, "--model", "kitty-coder-small", "--json", "--out", "out")
    answer = json.loads(done.stdout)

    assert done.returncode == EXIT_CODES[answer["verdict"]], done.stderr
    assert answer["passed"] is (answer["verdict"] == "verified")
    compile(answer["code"], "solution.py", "exec")
    assert answer["code_sha256"] == hashlib.sha256(answer["code"].encode()).hexdigest()
    assert (tmp_path / "out" / "solution.py").read_bytes() == answer["code"].encode()
    assert answer["model_sha256"] == KITTY_CODER_SMALL.sha256
    assert answer["usage"]["completion_tokens"] > 0
    if answer["verdict"] == "verified":
        outside = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "out"]
        plain = subprocess.run(outside, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert plain.returncode == 0, plain.stdout

    mine = {process.pid for process in psutil.process_iter(["environ"]) if _is_of(process, tmp_path)}
    assert mine, "the service stays resident"
    assert cli("stop").returncode == 0
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in mine if psutil.pid_exists(pid)], timeout=10)
    assert not alive


def _is_of(process, folder):
    environment = process.info["environ"] or {}
    return environment.get("XDG_STATE_HOME", "").startswith(str(folder)) and process.pid != os.getpid()
