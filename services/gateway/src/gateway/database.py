"""The gateway's own database, with its tables up to date."""

import time
from collections.abc import Callable, Mapping

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.key_store import KeyStore
from kitty_core.database import database_url, migrate, open_database
from kitty_core.errors import ConfigurationError

OWNER = "gateway"
MIGRATIONS = "gateway.migrations"


def open_keys(env: Mapping[str, str], clock: Callable[[], float] = time.time) -> tuple[Engine, KeyStore]:
    """The gateway's database, up to date, and the keys in it.

    Raises:
        ConfigurationError: it cannot be reached.
    """
    engine = open_database(database_url(env, OWNER))
    try:
        migrate(engine, MIGRATIONS, OWNER)
    except (SQLAlchemyError, OSError) as error:
        first, *_ = str(error).splitlines() or [type(error).__name__]
        raise ConfigurationError(f"The gateway's database cannot be used: {first}") from error
    return engine, KeyStore(engine, clock)
