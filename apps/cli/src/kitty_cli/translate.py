"""Errors of the packages beneath, as errors of the command line."""

import errno
import traceback

from kitty_cli.errors import CliError, NoModel, NotConfigured, ServiceFailed, UsageProblem
from kitty_core.errors import KittyError
from kitty_models.errors import BadSetting, EngineUnavailable, ModelNotFound, ModelsError, PullFailed

MEANINGS: tuple[tuple[type[Exception], type[CliError]], ...] = (
    (ModelNotFound, UsageProblem),
    (PullFailed, NoModel),
    (BadSetting, NotConfigured),
    (EngineUnavailable, NotConfigured),
    (ModelsError, NotConfigured),
    (KittyError, NotConfigured),
)


OF_A_DISK = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
)
"""A file that cannot be made or written: nothing is wrong with the command."""


def translate(error: Exception) -> CliError:
    """The `CliError` that says the same; a fault of our own shows its traceback on stderr."""
    for known, meaning in MEANINGS:
        if isinstance(error, known):
            return meaning(str(error))
    if isinstance(error, OSError) and error.filename and error.errno in OF_A_DISK:
        return NotConfigured(f"{error.filename}: {error.strerror}.")
    traceback.print_exception(error)
    return ServiceFailed(f"This is a fault of kitty-cli itself: {type(error).__name__}: {error}")
