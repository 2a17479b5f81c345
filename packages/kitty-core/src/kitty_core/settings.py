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
from kitty_core.service_token import LEAST_CONFIGURED, is_short

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
        ConfigurationError: a value is not valid; names each variable and the reason. Or other machines can reach the
            service, and its token is short.
    """
    try:
        made = settings(_env_file=env_file)
    except ValidationError as error:
        lines = [f"{'/'.join(str(part) for part in e['loc']).upper()}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("; ".join(lines)) from error
    _check_token(made)
    return made


def _check_token(settings: KittySettings) -> None:
    token, is_loopback = getattr(settings, "kitty_service_token", None), getattr(settings, "is_loopback", True)
    if token and not is_loopback and is_short(token):
        raise ConfigurationError(
            f"KITTY_SERVICE_TOKEN has fewer than {LEAST_CONFIGURED} characters, and other machines can reach this "
            "service: set a longer one, for example what `openssl rand -hex 32` prints."
        )
