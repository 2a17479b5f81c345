"""The clock that leases and deadlines go by: the database's, which all workers have in common."""

import time

from sqlalchemy import Connection, text


def now(connection: Connection) -> float:
    """Seconds since the epoch. A SQLite file has its workers on one machine: theirs is the clock."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
