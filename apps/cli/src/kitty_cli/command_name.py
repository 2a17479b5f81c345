"""What the person typed to get here, as the services know it too."""

from kitty_core.command_name import command_name

__all__ = ["command_name"]
