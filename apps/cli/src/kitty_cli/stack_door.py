"""Where the stack's one door listens, which other machines may be let through: the gateway, at KITTY_BIND. Pure."""

import ipaddress
from collections.abc import Iterator

from kitty_cli.command_name import command_name

LOOPBACK = "127.0.0.1"
DOOR = "gateway"


def host_of(bind: str) -> str:
    """How this machine calls what listens on `bind`, as it stands in a URL."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return bind
    if address.is_unspecified:
        return LOOPBACK if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else bind


def is_open_to_others(bind: str) -> bool:
    """Whether other machines reach what listens on `bind`."""
    try:
        return not ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return bind not in ("", "localhost")


def door_lines(bind: str) -> Iterator[str]:
    """What a person has to know where it is open to other machines."""
    if is_open_to_others(bind):
        yield (
            f"The gateway listens on {bind}: whoever calls it needs an API key (`{command_name()} keys create --role "
            "admin`), this command line in KITTY_API_KEY; by another name than its address it is served where "
            "KITTY_ALLOWED_HOSTS has that."
        )
