"""API keys from the command line: `./kitty keys create|list|revoke` (`kitty-cli keys`) becomes this program.

A key is shown once, when it is made: it is not stored and cannot be shown again.
"""

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

from gateway.auth import USER_ID
from gateway.database import open_keys
from gateway.key_store import Key, KeyStore, Role
from kitty_core.errors import ConfigurationError
from kitty_core.settings import environment

RESERVED = frozenset({"local", "service"})
"""`local` is whoever needs no key; `service` is a service that asks for nobody."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 2 not understood, 3 the database or a setting is wrong."""
    options = _parser().parse_args(arguments)
    try:
        engine, keys = open_keys(environment())
    except ConfigurationError as error:
        print(f"keys: {error}", file=sys.stderr)
        return 3
    try:
        return int(options.run(keys, options))
    finally:
        engine.dispose()


def _create(keys: KeyStore, options: argparse.Namespace) -> int:
    user = options.user if options.user is not None else _login_name()
    if not USER_ID.fullmatch(user) or user.lower() in RESERVED:
        print(f"keys: --user: {user!r} is no name for a user: letters, digits, . _ @ + -, and not "
              f"{' or '.join(sorted(RESERVED))}.", file=sys.stderr)  # fmt: skip
        return 2
    key, text = keys.create(user, options.role)
    if options.json:
        print(json.dumps({**_shown(key), "key": text}))
    else:
        print(text)
        print(f"keys: {key.id} for {key.user_id} ({key.role}). It is not shown again: keep it now.", file=sys.stderr)
    return 0


def _login_name() -> str:
    """Of who is at this machine; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _list(keys: KeyStore, options: argparse.Namespace) -> int:
    shown = [_shown(key) for key in keys.list()]
    if options.json:
        print(json.dumps(shown, indent=2))
        return 0
    for key in shown:
        state = f"revoked {key['revoked_at']}" if key["revoked_at"] else f"last used {key['last_used'] or 'never'}"
        print(f"{key['id']:10} {key['user_id']:20} {key['role']:10} made {key['created_at']}  {state}")
    if not shown:
        print("keys: there is none. Make one: ./kitty keys create --role admin --user NAME", file=sys.stderr)
    return 0


def _revoke(keys: KeyStore, options: argparse.Namespace) -> int:
    if not keys.revoke(options.id):
        print(f"keys: there is no key {options.id} that could be revoked; `keys list` shows them.", file=sys.stderr)
        return 2
    print(f"keys: {options.id} is revoked, from now on.", file=sys.stderr)
    return 0


def _shown(key: Key) -> dict[str, str | None]:
    return {
        "id": key.id,
        "user_id": key.user_id,
        "role": key.role,
        "created_at": _moment(key.created_at),
        "last_used": _moment(key.last_used),
        "revoked_at": _moment(key.revoked_at),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keys", description="API keys of the gateway.")
    commands = parser.add_subparsers(required=True, metavar="create|list|revoke")
    create = commands.add_parser("create", help="make a key; it is shown once")
    create.add_argument("--role", choices=get_args(Role), default="user", help="default user")
    create.add_argument("--user", metavar="NAME", help="whose key it is; default who you are logged in as")
    create.add_argument("--json", action="store_true")
    create.set_defaults(run=_create)
    listed = commands.add_parser("list", help="all keys, without the keys themselves")
    listed.add_argument("--json", action="store_true")
    listed.set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="make a key wrong, at once")
    revoke.add_argument("id", metavar="ID", help="the eight characters that `list` shows")
    revoke.set_defaults(run=_revoke)
    return parser


if __name__ == "__main__":
    sys.exit(main())
