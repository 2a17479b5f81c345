"""`kitty-cli eval` becomes the program that does it. The programs here are stand-ins that show what they got."""

import pytest

from kitty_cli.evaluating import options_in_words

SHOWS = """
import os, sys
print(os.getpid(), *sys.argv[1:], sep="|")
sys.exit(7)
"""
DEFAULTS = ("--tier", "standard", "--every", "1", "--offset", "0")
REST = ("--resume", "--compare", "raw", "--out", "d", "--json")


@pytest.fixture
def stand_ins(cli):
    for path in ("kitty_evals/__main__.py", "coder_agent/replay.py"):
        program = cli.folder / "stand_in" / path
        program.parent.mkdir(parents=True)
        (program.parent / "__init__.py").touch()
        program.write_text(SHOWS)
    cli.env["PYTHONPATH"] = str(cli.folder / "stand_in")
    return cli


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["a b.jsonl"], ["run", "a b.jsonl", *DEFAULTS]),
        (["./report"], ["run", "report", *DEFAULTS]),
        (
            ["--resume", "--limit=3", "x", "--compare", "raw", "--out", "d", "--json"],
            ["run", "x", "--tier", "standard", "--limit", "3", *DEFAULTS[2:], *REST],
        ),
        (["report", "a", "b", "--out", "c"], ["report", "a", "b", "--out", "c"]),
        (["report", "a", "--json"], ["report", "a", "--json"]),
        (["replay", "a", "--what", "-x", "b", "--help"], ["a", "--what", "-x", "b", "--help"]),
    ],
)
def test_eval_becomes_the_program_with_the_options_translated_and_keeps_its_exit_status(stand_ins, typed, given):
    process = stand_ins.start("eval", *typed)
    out, err = process.communicate(timeout=25)
    pid, *words = out.decode().strip().split("|")
    assert (process.returncode, words, err) == (7, given, b"")
    assert int(pid) == process.pid  # the same process: a signal to it is a signal to the program


@pytest.mark.parametrize(
    "words", [("eval", "x", "--bogus"), ("eval", "x", "--limit", "0"), ("eval", "x", "--tier", "y"), ("eval", "report")]
)
def test_what_eval_does_not_know_is_a_usage_error(stand_ins, words):
    done = stand_ins.run(*words)
    assert (done.returncode, done.stdout) == (2, "")


def test_help_names_what_eval_can_do(cli):
    shown = cli.run("eval", "--help")
    assert shown.returncode == 0
    for word in ("run", "report", "replay"):
        assert word in shown.stdout


def test_help_shows_the_usual_call_and_all_of_its_options(cli):
    shown = " ".join(cli.run("eval", "--help").stdout.split())
    assert "kitty-cli eval [OPTIONS] {FILE}" in shown
    options = {word for word in cli.run("eval", "run", "--help").stdout.split() if word.startswith("--")}
    assert {"--tier", "--model", "--compare", "--resume", "--out"} <= options
    assert [word for word in options if word not in shown] == []


def test_options_without_a_value_are_left_out():
    options = {"--a": None, "--b": False, "--c": True, "--d": 0, "--e": "x y"}
    assert options_in_words(options) == ["--c", "--d", "0", "--e", "x y"]
