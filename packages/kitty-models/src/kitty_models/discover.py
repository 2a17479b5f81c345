"""Which llama.cpp servers the environment names. Pure: no address is contacted here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from kitty_models.errors import BadSetting

Role = Literal["q4", "f16", "coder"]

DEFAULT_BASES: Mapping[Role, str] = {"q4": "http://localhost:8083", "f16": "http://localhost:8082"}
"""The coder role has no default of its own: it is served by the F16 server."""
ROLES: tuple[Role, ...] = ("q4", "f16", "coder")


@dataclass(frozen=True)
class Endpoint:
    """One llama.cpp server."""

    base_url: str
    """Without a trailing slash and without `/v1`."""
    api_key: str | None
    explicit: bool
    """Whether the environment names this server, rather than the default being assumed."""


def backends_from_env(env: Mapping[str, str]) -> dict[Role, tuple[Endpoint, ...]]:
    """The servers of each role, one at least, in the order of the variable and each once.

    Raises:
        BadSetting: an address is not one; the message names the variable.
    """
    q4 = _named(env, "q4") or _assumed(env, "q4")
    f16 = _named(env, "f16") or _assumed(env, "f16")
    own_key = _text(env, "LLAMACPP_CODER_API_KEY")
    coder = _named(env, "coder") or tuple(replace(server, api_key=own_key or server.api_key) for server in f16)
    return {"q4": q4, "f16": f16, "coder": coder}


def distinct_servers(env: Mapping[str, str]) -> dict[Endpoint, tuple[Role, ...]]:
    """Each server with its roles, in the order in which they are tried: coder, F16, Q4.

    Raises:
        BadSetting: as `backends_from_env`.
    """
    found = backends_from_env(env)
    roles: dict[Endpoint, tuple[Role, ...]] = {}
    for role in reversed(ROLES):
        for server in found[role]:
            roles[server] = (*roles.get(server, ()), role)
    return roles


def any_explicit(env: Mapping[str, str]) -> bool:
    """Whether the environment names any server. If so, the embedded model is not used."""
    return any(_text(env, variable) for role in ROLES for variable in _variables(role))


def base_url(text: str, named: str) -> str:
    """`host:port`, `http://host:port/`, `http://host:port/v1` → `http://host:port`.

    Raises:
        BadSetting: it is not an address; the message names `named`.
    """
    full = text.strip() if "://" in text else f"http://{text.strip()}"
    bare = full.rstrip("/").removesuffix("/v1").rstrip("/")
    try:
        parts = urlsplit(bare)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or any(character.isspace() or character == "," for character in bare) or parts.query or parts.fragment:
        raise BadSetting(f"{named}: {text!r} is not an address. Write it like http://localhost:8083.")
    return bare


def _named(env: Mapping[str, str], role: Role) -> tuple[Endpoint, ...]:
    """The servers that a variable names: addresses separated by commas."""
    for variable in _variables(role):
        if text := _text(env, variable):
            bases = [base_url(part, variable) for part in text.split(",") if part.strip()] or [base_url(text, variable)]
            return tuple(Endpoint(base, _key(env, role), explicit=True) for base in dict.fromkeys(bases))
    return ()


def _assumed(env: Mapping[str, str], role: Role) -> tuple[Endpoint, ...]:
    return (Endpoint(DEFAULT_BASES[role], _key(env, role), explicit=False),)


def _key(env: Mapping[str, str], role: Role) -> str | None:
    return _text(env, f"LLAMACPP_{role.upper()}_API_KEY") or _text(env, "LLAMACPP_API_KEY")


def _variables(role: Role) -> tuple[str, str]:
    return f"LLAMACPP_{role.upper()}_BASE", f"LLAMACPP_{role.upper()}_HOST"


def _text(env: Mapping[str, str], variable: str) -> str | None:
    return env.get(variable, "").strip() or None
