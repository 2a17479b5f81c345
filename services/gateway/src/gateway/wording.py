"""How a person confirms a call that waits, in words that name the command line."""

import os
from pathlib import PurePath


def confirm_command(pending_id: str = "") -> str:
    """`./kitty confirm ID`, as the launcher was called that started the stack (`KITTY_COMMAND`), else `kitty-cli`.

    Of one that was named from the root its name alone: no folder of this machine is anybody else's matter.
    """
    name = os.environ.get("KITTY_COMMAND") or "kitty-cli"
    told = PurePath(name).name if PurePath(name).is_absolute() else name
    return f"{told} confirm {pending_id}".rstrip()
