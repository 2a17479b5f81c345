"""The launcher `./kitty`, copied beside stand-ins: nothing is installed and no network is asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).resolve().parents[3] / "kitty"
SUCCEEDS = "#!/bin/sh\nexit 0\n"
SHOWS_WHAT_IT_GETS = '#!/bin/sh\necho "$KITTY_COMMAND: $*"\n'


@pytest.fixture
def house(tmp_path):
    """A repository with the launcher, an interpreter and an installer that succeed at everything."""
    root = tmp_path / "house"
    programs = root / ".venv" / "bin"
    programs.mkdir(parents=True)
    (root / "packages" / "one").mkdir(parents=True)
    (root / "evals").mkdir()
    locks = ("requirements-uv.lock", "requirements.lock", "requirements-dev.lock")
    for name in (*locks, "packages/one/pyproject.toml", "evals/pyproject.toml"):
        (root / name).touch()
    (tmp_path / "bin").mkdir()
    shutil.copy(LAUNCHER, root / "kitty")
    for path in (programs / "python", programs / "uv", tmp_path / "bin" / "bwrap", tmp_path / "bin" / "python"):
        path.write_text(SUCCEEDS)
        path.chmod(0o755)
    (programs / "kitty-cli").write_text(SHOWS_WHAT_IT_GETS)
    (programs / "kitty-cli").chmod(0o755)
    return root


def run(house: Path, *words: str, folder: Path | None = None) -> str:
    env = {"PATH": f"{house.parent / 'bin'}:{os.environ['PATH']}", "KITTY_PYTHON": str(house.parent / "bin" / "python")}
    done = subprocess.run(
        words,
        cwd=folder or house,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return done.stdout


def test_hints_get_the_command_as_it_was_typed(house, tmp_path):
    assert run(house, "./kitty", "code", "add") == "./kitty: code add\n"
    assert run(house, "sh", "kitty", "status") == "./kitty: status\n"
    assert run(house, "house/kitty", "--yes", "stop", folder=tmp_path) == "house/kitty: stop\n"


@pytest.mark.parametrize("words", [(), ("help",), ("--help",), ("--yes", "--help")])
def test_help_names_what_the_launcher_does_beside_the_commands(house, words):
    first, *rest = run(house, "./kitty", *words).splitlines()
    assert first == "./kitty: --help"
    for name in ("test", "check", "lock", "--yes"):
        assert any(line.startswith(f"  ./kitty {name} ") for line in rest), name


def test_help_of_a_command_is_its_own_alone(house):
    assert run(house, "./kitty", "code", "--help") == "./kitty: code --help\n"


def test_bench_runs_the_benchmark_of_that_name_and_lists_them_otherwise(house):
    (house / "benchmarks").mkdir()
    (house / "benchmarks" / "sandbox.py").touch()
    (house / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$@"\n')
    assert run(house, "./kitty", "bench", "sandbox", "--json").splitlines()[-1].endswith("benchmarks/sandbox.py --json")
    for words in (("bench",), ("bench", "../kitty"), ("bench", "speed")):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            run(house, "./kitty", *words)
        assert (caught.value.returncode, "sandbox" in caught.value.stderr) == (2, True)
