"""How a person confirms a call that waits, in words that name the command line."""

from pathlib import PurePath

from kitty_core.command_name import command_name


def confirm_command(pending_id: str = "") -> str:
    """`./kitty confirm ID`. Of a launcher named from the root its name alone: no folder is anybody else's matter."""
    name = command_name()
    told = PurePath(name).name if PurePath(name).is_absolute() else name
    return f"{told} confirm {pending_id}".rstrip()
