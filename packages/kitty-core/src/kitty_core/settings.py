"""Reading settings: the process environment over `.env`, with `A=${B}` expanded.

Every program has its own frozen `KittySettings`; field names are the environment variables in lower case, aliases are
named on the field.
"""

import os
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kitty_core.errors import ConfigurationError

S = TypeVar("S", bound="KittySettings")


class KittySettings(BaseSettings):
    """Base of every program's settings; build it with `read_settings`. An empty variable counts as unset."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)


def environment(env_file: Path | None = Path(".env")) -> dict[str, str]:
    """The process environment laid over the values of `env_file` (missing file: no values).

    `${NAME}` in the file is expanded from the environment and from earlier lines.
    """
    values = dotenv_values(env_file, interpolate=True) if env_file is not None and env_file.is_file() else {}
    return {name: value for name, value in values.items() if value is not None} | dict(os.environ)


def read_settings(settings: type[S], env_file: Path | None = Path(".env")) -> S:
    """Build `settings` from the environment and `env_file`.

    Raises:
        ConfigurationError: a value is not valid; names each variable and the reason.
    """
    try:
        return settings(_env_file=env_file)
    except ValidationError as error:
        lines = [f"{'/'.join(str(part) for part in e['loc']).upper()}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("; ".join(lines)) from error
