import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kitty_sandbox

SRC = Path(kitty_sandbox.__file__).parents[1]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "solution.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "good.py").write_text("from solution import add\ndef test_add(): assert add(1, 2) == 3\n")
    (tmp_path / "bad.py").write_text("from solution import add\ndef test_add(): assert add(1, 2) == 4\n")
    return tmp_path


def call(files, *arguments, python=sys.executable, **options):
    argv = [python, "-m", "kitty_sandbox", *arguments]
    return subprocess.run(argv, cwd=files, capture_output=True, text=True, timeout=60, **options)


def test_a_pass_exits_zero_and_prints_the_document(files):
    done = call(files, "run", "--json", "solution.py", "good.py")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["passed"] is True
    assert [test["id"] for test in document["tests"]] == ["good.py::test_add"]
    expected = {"passed", "outcome", "tests", "seconds", "sandbox_tier", "verdict_strength", "stdout", "stderr"}
    assert expected <= set(document)


def test_a_failure_exits_one_and_says_why(files):
    done = call(files, "run", "solution.py", "bad.py")
    assert done.returncode == 1
    assert "AssertionError: assert 3 == 4" in done.stdout


def test_bad_usage_exits_two(files):
    assert call(files, "run", "solution.py").returncode == 2
    assert call(files, "run", "solution.py", "nowhere.py").returncode == 2
    assert call(files, "run", "--timeout", "-1", "solution.py", "good.py").returncode == 2


def test_no_sandbox_exits_three_with_the_fix(files):
    done = call(files, "run", "solution.py", "good.py", env={**os.environ, "PATH": "/nowhere"})
    assert done.returncode == 3
    assert "Fix: " in done.stderr


def _python_of_an_ordinary_user():
    """An interpreter and folder of packages that `nobody` may read: pyenv below /root is not among them."""
    packages = Path(pytest.__file__).parents[1]
    for python in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        code = "import pytest, kitty_sandbox"
        env = {"PYTHONPATH": f"{SRC}:{packages}", "PATH": os.environ["PATH"]}
        try:
            done = subprocess.run(
                [python, "-c", code], env=env, user=65534, group=65534, extra_groups=[], cwd="/", check=False
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python, env
    return None


@pytest.mark.skipif(os.getuid() != 0, reason="the whole suite already runs as an ordinary user")
@pytest.mark.parametrize(("tests", "code"), [("good.py", 0), ("bad.py", 1)])
def test_an_ordinary_user_can_run_it_too(files, tests, code):
    found = _python_of_an_ordinary_user()
    if found is None:
        pytest.skip("nobody (uid 65534) can read no interpreter of this version")
    python, env = found
    run_files = {name: (files / name).read_text() for name in ("solution.py", tests)}
    folder = Path("/tmp") / f"kitty-nobody-{os.getpid()}-{code}"
    folder.mkdir(mode=0o755)
    try:
        for name, text in run_files.items():
            (folder / name).write_text(text)
        who = {"user": 65534, "group": 65534, "extra_groups": []}
        done = call(folder, "run", "--json", "solution.py", tests, python=python, env=env, **who)
    finally:
        for name in run_files:
            (folder / name).unlink()
        folder.rmdir()
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["sandbox_tier"] == "full"
