"""Who commands run as."""

import os
import pwd
from dataclasses import dataclass

from kitty_core.errors import ConfigurationError


@dataclass(frozen=True)
class Account:
    """A user of this machine other than root."""

    name: str
    uid: int
    gid: int


def chosen_account(setting: str) -> Account | None:
    """The user that commands become where the broker is root; None: they stay the broker's own user.

    Raises:
        ConfigurationError: there is no such user, it is root, or only root could become it.
    """
    name = setting or "nobody"
    if os.geteuid() != 0:
        if setting and setting != pwd.getpwuid(os.geteuid()).pw_name:
            raise ConfigurationError(f"BROKER_USER={setting}: only root can run commands as another user")
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(f"BROKER_USER: there is no user {name!r} on this machine") from None
    if entry.pw_uid == 0:
        raise ConfigurationError("BROKER_USER: commands are not run as root")
    return Account(name, entry.pw_uid, entry.pw_gid)
