"""Who asks.

service token ──> the service, for the user it names       surface: model, always
API key       ──> the key's user and role                  surface: human, or model where the client says so
nothing       ──> `local`, while the loopback is open; else 401

What it does not stop: a program of the same user on the same machine is that user. A client that drives a model and
does not say so (`X-Kitty-Surface: model`) counts as the person whose key it has.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

from gateway.errors import IsReadOnly, KeyIsNeeded
from gateway.key_store import Key, Role

Surface = Literal["human", "model"]
READING = frozenset({"GET", "HEAD", "OPTIONS"})
USER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}")
"""What a user can be called: it travels in a header and stands in every row."""


@dataclass(frozen=True)
class Caller:
    """Who asks, and what that allows."""

    user_id: str
    role: Role
    surface: Surface = "human"
    key_id: str = "local"
    """What limits are counted by: the key's public id, `local`, or `service:USER`."""
    is_local: bool = False
    """The one user of an open loopback: there is no second person who could agree."""
    is_remote_read_only: bool = False


class Keys(Protocol):
    """Where keys are looked up."""

    def find(self, text: str) -> Key | None:
        """The key, or None where it is wrong."""


@dataclass(frozen=True)
class Doorman:
    """Tells callers apart. `identify` blocks while a key is looked up."""

    keys: Keys
    service_token: str | None
    is_open: bool

    def needs_lookup(self, headers: Mapping[str, str]) -> bool:
        """Whether `identify` will ask the database."""
        return bool(credential(headers))

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """The caller behind `headers` (any case-insensitive mapping).

        Raises:
            KeyIsNeeded: no key where one is needed, or a wrong one, wherever it comes from.
        """
        given = credential(headers)
        is_read_only = headers.get("x-remote-mode", "").strip().lower() == "read-only"
        surface: Surface = "model" if headers.get("x-kitty-surface", "").strip().lower() == "model" else "human"
        if not given:
            if not self.is_open:
                raise KeyIsNeeded
            return Caller("local", "admin", surface, is_local=True, is_remote_read_only=is_read_only)
        if self.service_token and hmac.compare_digest(given.encode(), self.service_token.encode()):
            return _service(headers, is_read_only, is_local=self.is_open)
        key = self.keys.find(given)
        if key is None:
            raise KeyIsNeeded("This API key is not known here, or it was revoked.")
        return Caller(key.user_id, key.role, surface, key.id, is_remote_read_only=is_read_only)


def credential(headers: Mapping[str, str]) -> str:
    """The key or token of a request; empty where it has none.

    Raises:
        KeyIsNeeded: two that differ.
    """
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = {text for text in (headers.get("x-api-key", "").strip(), bearer.strip()) if text}
    if len(given) > 1 or (scheme and scheme.lower() != "bearer"):
        raise KeyIsNeeded("Send one key: Authorization: Bearer KEY, or X-API-Key.")
    return given.pop() if given else ""


def may(caller: Caller, method: str, path: str) -> None:
    """Returns where `caller` may use `method` on `path`.

    Which tools the role read-only may call is for the door to judge: some change nothing. X-Remote-Mode leaves GET.

    Raises:
        IsReadOnly: the caller may only read, and this does more.
    """
    if method in READING:
        return
    is_for_the_door = method == "POST" and path.startswith("/api/tools/")
    if caller.is_remote_read_only or (caller.role == "read-only" and not is_for_the_door):
        raise IsReadOnly


def _service(headers: Mapping[str, str], is_read_only: bool, *, is_local: bool) -> Caller:
    """A service asks for a user whom this gateway told apart before: it says back what it was told."""
    user_id = headers.get("x-kitty-user", "").strip()
    if not USER_ID.fullmatch(user_id):
        user_id = "service"
    role = headers.get("x-kitty-role", "user").strip()
    if role not in get_args(Role):
        role = "read-only"
    is_local = is_local and user_id == "local"
    return Caller(user_id, cast(Role, role), "model", f"service:{user_id}", is_local, is_read_only)
