"""Settings: the environment over .env, expansion, errors that name the variable."""

import pytest
from pydantic import AliasChoices, Field

from kitty_core.errors import ConfigurationError
from kitty_core.settings import KittySettings, environment, read_settings


class Reached(KittySettings):
    kitty_bind: str = "127.0.0.1"
    kitty_service_token: str | None = None

    @property
    def is_loopback(self) -> bool:
        return self.kitty_bind == "127.0.0.1"


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


@pytest.mark.parametrize("token", ["x", "x" * 15, f"{'x' * 15} "])
def test_a_short_token_is_refused_where_other_machines_reach_the_service(monkeypatch, token):
    monkeypatch.setenv("KITTY_SERVICE_TOKEN", token)
    assert read_settings(Reached, None).kitty_service_token == token
    monkeypatch.setenv("KITTY_BIND", "0.0.0.0")
    with pytest.raises(ConfigurationError, match="KITTY_SERVICE_TOKEN has fewer than 16 characters"):
        read_settings(Reached, None)
    monkeypatch.setenv("KITTY_SERVICE_TOKEN", "x" * 16)
    assert read_settings(Reached, None).kitty_service_token == "x" * 16
