"""Slash commands at the beginning of what is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitty_cli.directives import Saying, read_directives, slash_word


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("hello", Saying("hello")),
        ("/agent on. Call coding.generate to implement: f(x)", Saying("Call coding.generate to implement: f(x)", True)),
        ("/agent off what is a decorator?", Saying("what is a decorator?", False)),
        ("/AGENT ON, go", Saying("go", True)),
        ("/model kitty-coder /agent on\nwrite {x}", Saying("write {x}", True, "kitty-coder")),
        ("/model qwen2.5:7b. hello", Saying("hello", None, "qwen2.5:7b")),
        ("/agent", Saying("/agent")),
        ("/agents on", Saying("/agents on")),
        ("/agent once more", Saying("/agent once more")),
        ("say /agent on", Saying("say /agent on")),
        ("  two spaces stay", Saying("  two spaces stay")),
        ("/agent off /agent on x", Saying("x", True)),
        ("/tools off x", Saying("x", False)),
        ("/agent on; /model a.b, go", Saying("go", True, "a.b")),
        ("/agent on:go", Saying("/agent on:go")),
    ],
)
def test_they_are_read(text, saying):
    assert read_directives(text) == saying


def test_what_held_before_holds_where_nothing_is_said():
    assert read_directives("x", Saying("", True, "m")) == Saying("x", True, "m")
    assert read_directives("/agent off x", Saying("", True, "m")) == Saying("x", False, "m")


@given(st.text().filter(lambda text: not text.lstrip().startswith("/")))
def test_a_message_without_them_is_kept_to_the_letter(text):
    assert read_directives(text).message == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("/help", "/help"),
        (" /Models, please", "/models"),
        ("/agnet on. x", "/agnet"),
        ("/etc/passwd", None),
        ("/usr-local", None),
        ("a /help", None),
        ("/", None),
        ("//x", None),
    ],
)
def test_what_looks_like_a_command_is_told_from_a_path(text, word):
    assert slash_word(text) == word
