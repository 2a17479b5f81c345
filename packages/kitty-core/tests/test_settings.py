"""Settings: the environment over .env, expansion, errors that name the variable."""

import pytest
from pydantic import AliasChoices, Field

from kitty_core.errors import ConfigurationError
from kitty_core.settings import KittySettings, environment, read_settings


class Example(KittySettings):
    depth: int = Field(default=2, ge=0, validation_alias=AliasChoices("EX_DEPTH", "EX_LEVELS"))
    ex_name: str = "plain"


def test_a_dot_env_file_is_expanded_and_the_environment_wins(tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("HOST=box\nEX_NAME=http://${HOST}:1\nEX_DEPTH=3\n")
    monkeypatch.setenv("EX_DEPTH", "5")
    settings = read_settings(Example, file)
    assert (settings.ex_name, settings.depth) == ("http://box:1", 5)
    assert environment(file)["EX_NAME"] == "http://box:1"
    assert environment(file)["EX_DEPTH"] == "5"


def test_an_alias_is_read_and_an_empty_value_counts_as_unset(tmp_path, monkeypatch):
    monkeypatch.setenv("EX_LEVELS", "4")
    monkeypatch.setenv("EX_NAME", "")
    settings = read_settings(Example, None)
    assert (settings.depth, settings.ex_name) == (4, "plain")


def test_a_wrong_value_names_its_variable(monkeypatch):
    monkeypatch.setenv("EX_DEPTH", "-1")
    with pytest.raises(ConfigurationError, match="EX_DEPTH"):
        read_settings(Example, None)


def test_without_a_file_only_the_environment_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("EX_DEPTH", "5")
    found = environment(tmp_path / "missing")
    assert found["EX_DEPTH"] == "5"
    assert "EX_NAME" not in found
