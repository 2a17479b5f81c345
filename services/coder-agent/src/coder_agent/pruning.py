"""`python -m coder_agent.pruning [--days D] [--keep N]`: deletes jobs that have ended, for `kitty-cli jobs prune`.

Exit status: 0 done · 2 usage · 3 configuration, or the database cannot be reached
"""

import argparse
import sys
from collections.abc import Sequence

from coder_agent.engine.database import JobDatabase
from coder_agent.engine.errors import StoreIsUnavailable
from coder_agent.engine.store import JobStore
from coder_agent.engine.tables import OWNER
from coder_agent.settings import DAY_SEC, Settings
from kitty_core.database import database_url, open_database
from kitty_core.errors import ConfigurationError
from kitty_core.settings import environment, read_settings

DONE, CONFIGURATION = 0, 3


def main(words: Sequence[str] | None = None) -> int:
    """Deletes, says how many, and returns the exit status."""
    options = _parser().parse_args(words)
    try:
        settings = read_settings(Settings)
        days = settings.jobs_kept_days if options.days is None else options.days
        keep = settings.jobs_kept if options.keep is None else options.keep
        deleted = _prune(days * DAY_SEC, keep)
    except (ConfigurationError, StoreIsUnavailable) as error:
        print(f"jobs prune: {error}", file=sys.stderr)
        return CONFIGURATION
    print(f"Deleted {deleted} jobs with their events: those that ended more than {days:g} days ago or beyond {keep}.")
    return DONE


def _prune(older_than_sec: float, keep: int) -> int:
    """Raises: ConfigurationError, StoreIsUnavailable."""
    database = JobDatabase(open_database(database_url(environment(), OWNER)))
    try:
        database.prepare()
        return sum(iter(lambda: JobStore(database).prune(older_than_sec, keep), 0))
    finally:
        database.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jobs prune", allow_abbrev=False)
    parser.add_argument("--days", type=float)
    parser.add_argument("--keep", type=int)
    return parser


if __name__ == "__main__":
    sys.exit(main())
