"""No service that other machines can reach starts with a token that can be guessed."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["gateway", "brain", "broker", "coder_agent"])
def test_a_program_of_the_house_says_so_and_ends_with_3(tmp_path, program):
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env = kept | {"HOME": str(tmp_path), "KITTY_BIND": "0.0.0.0", "KITTY_SERVICE_TOKEN": "x" * 15}
    command = [sys.executable, "-m", f"{program}.main"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert "KITTY_SERVICE_TOKEN has fewer than 16 characters" in done.stderr
