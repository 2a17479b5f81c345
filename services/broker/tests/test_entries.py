"""The allow-list file: what it may say, and that a mistake is named with file, line and key."""

import pytest

from broker.entries import load_commands
from broker.runner import SYSTEM_PATH, search_path
from kitty_core.errors import ConfigurationError

GOOD = """commands:
  a.list:
    description: Lists.
    program: ls
    argv: ["-l", "{name}", "--", "{path}"]
    hazard_class: low
    timeout_sec: 5
    workspace: true
    args:
      name:
        type: string
        pattern: "[a-z]+"
        description: A name.
      path:
        type: path
        description: A path.
"""


def load(tmp_path, text):
    (tmp_path / "commands.yaml").write_text(text)
    return load_commands(tmp_path / "commands.yaml", SYSTEM_PATH)


def test_a_good_file_is_read_with_its_defaults(tmp_path):
    command = load(tmp_path, GOOD)["a.list"]
    assert (command.timeout_sec, command.output_kb, command.confined, command.repository) == (5, 256, True, False)
    assert command.executable is not None
    assert command.executable.startswith("/")
    assert command.arguments["path"].must_exist


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("    timeout_sec: 5", "    timeout_secs: 5", 7, "did you mean 'timeout_sec'"),
        ("    timeout_sec: 5", "    timeout_sec: 0", 7, "whole number from 1"),
        ("    timeout_sec: 5", "    timeout_sec: true", 7, "whole number"),
        ("    timeout_sec: 5\n", "", 2, "'timeout_sec' is missing"),
        ("    timeout_sec: 5", "    timeout_sec: 5\n    timeout_sec: 6", 8, "stands twice"),
        ("hazard_class: low", "hazard_class: lo", 6, "did you mean 'low'"),
        ("workspace: true", "workspace: yes please", 8, "true or false"),
        ("workspace: true", "workspace: false", 2, "needs workspace: true"),
        ("workspace: true", "workspace: true\n    confined: false", 2, "hazard_class must be high"),
        ('"{name}", ', "", 2, "'name' must stand in argv once"),
        ('"{name}"', '"{nome}"', 5, "no argument is called 'nome'"),
        ('"{name}"', '"--x={name}"', 5, "whole item"),
        ("program: ls", "program: ./ls", 4, "absolute path"),
        ("program: ls", "program: ''", 4, "must be text"),
        ('pattern: "[a-z]+"', 'pattern: "[a-z"', 12, "no regular expression"),
        ('        pattern: "[a-z]+"\n', "", 10, "'pattern' is missing"),
        ("type: string", "type: strings", 11, "did you mean 'string'"),
        ("type: string", "type: string\n        min: 3", 12, "unknown key"),
        ("      name:", "      workspace:", 10, "lower-case word"),
        ("  a.list:", "  A list:", 2, "lower-case words"),
        ("workspace: true", "workspace: true\n    env: {PATH: /tmp}", 9, "may set"),
        ("workspace: true", "workspace: true\n    env: {LD_PRELOAD: x}", 9, "may set"),
        ("commands:", "comands:", 1, "did you mean 'commands'"),
        ("program: ls", "program: [ls", 5, "expected"),
        ("program: ls", "program: &x ls\n    env: *x", 5, "aliases"),
        ("program: ls", "program: !!python/name:os.system", 4, "could not determine a constructor"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_mistake_stops_the_start_with_its_place(tmp_path, old, new, line, said):
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert f"commands.yaml:{line}: " in caught.value.message
    assert said in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"commands\.yaml: cannot be read"):
        load_commands(tmp_path / "commands.yaml", SYSTEM_PATH)


def test_programs_are_not_looked_for_along_the_callers_path(tmp_path, monkeypatch):
    (tmp_path / "only-here").write_text("#!/bin/sh\n")
    (tmp_path / "only-here").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    text = GOOD.replace("program: ls", "program: only-here")
    assert load(tmp_path, text)["a.list"].executable is None
    assert load_commands(tmp_path / "commands.yaml", search_path(str(tmp_path)))["a.list"].executable
