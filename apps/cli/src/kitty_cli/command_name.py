"""What the person typed to get here: hints name that, so that they can be copied."""

import os


def command_name() -> str:
    """`./kitty` where the launcher started this, else `kitty-cli`."""
    return os.environ.get("KITTY_COMMAND") or "kitty-cli"
