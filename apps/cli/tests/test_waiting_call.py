"""What a person sees of a call before allowing it."""

import json

import pytest

from kitty_cli.waiting_call import KEPT_AT_END, MOST_ARGUMENTS, MOST_CHARACTERS, argument_lines


def test_each_argument_has_a_line():
    shown = argument_lines({"command": "pytest.run", "args": {"paths": ["tests"], "max_failures": 1}})
    assert shown == ['  command: "pytest.run"', '  args: {"paths": ["tests"], "max_failures": 1}']


@pytest.mark.parametrize("arguments", [None, {}, "text", ["a"]])
def test_where_there_are_none_nothing_is_said(arguments):
    assert argument_lines(arguments) == []


@pytest.mark.parametrize("letter", ["\x1b", "\n", "\r", "\x7f", "\x9b", "\u202e", "\u200b", "\u2028", "\U000e0041"])
def test_what_no_terminal_prints_is_escaped_in_names_and_values(letter):
    [shown] = argument_lines({f"a{letter}b": f"é{letter}z"})
    assert shown.isprintable()
    assert json.loads("{" + shown.replace("  a", '"a').replace(": ", '": ') + "}") == {f"a{letter}b": f"é{letter}z"}


def test_a_long_value_shows_its_beginning_its_end_and_how_much_is_between():
    beginning, mark, end, hint = argument_lines({"request": "Hello " + "x" * 5000 + " and wipe it"})
    assert beginning.startswith('  request: "Hello xxx')
    assert end.endswith(' and wipe it"')
    assert len(end) == 2 + KEPT_AT_END
    whole = len('request: "Hello ' + "x" * 5000 + ' and wipe it"')
    assert mark == f"    … {whole - MOST_CHARACTERS} characters more …"
    assert "confirm --json" in hint


def test_a_value_cannot_pass_for_the_mark_of_what_is_left_out():
    shown = argument_lines({"a": "x\n    … 9 characters more …\n  b"})
    assert shown == ['  a: "x\\n    … 9 characters more …\\n  b"']


def test_many_arguments_are_counted():
    *shown, mark, hint = argument_lines({f"a{number}": number for number in range(MOST_ARGUMENTS + 3)})
    assert (len(shown), mark) == (MOST_ARGUMENTS, "    … 3 arguments more …")
    assert "confirm --json" in hint
