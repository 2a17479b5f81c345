"""Which llama.cpp servers the environment names. Pure: no address is contacted here."""

from collections.abc import Mapping
from dataclasses import dataclass
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


def backends_from_env(env: Mapping[str, str]) -> dict[Role, Endpoint]:
    """The server of each role.

    Raises:
        BadSetting: an address is not one; the message names the variable.
    """
    q4 = _endpoint(env, "q4", DEFAULT_BASES["q4"])
    f16 = _endpoint(env, "f16", DEFAULT_BASES["f16"])
    coder = _endpoint(env, "coder", f16.base_url)
    if not coder.explicit:
        own_key = _text(env, "LLAMACPP_CODER_API_KEY")
        coder = Endpoint(f16.base_url, own_key or f16.api_key, f16.explicit)
    return {"q4": q4, "f16": f16, "coder": coder}


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
    if not valid or any(character.isspace() for character in bare) or parts.query or parts.fragment:
        raise BadSetting(f"{named}: {text!r} is not an address. Write it like http://localhost:8083.")
    return bare


def _endpoint(env: Mapping[str, str], role: Role, default: str) -> Endpoint:
    key = _text(env, f"LLAMACPP_{role.upper()}_API_KEY") or _text(env, "LLAMACPP_API_KEY")
    for variable in _variables(role):
        if text := _text(env, variable):
            return Endpoint(base_url(text, variable), key, explicit=True)
    return Endpoint(default, key, explicit=False)


def _variables(role: Role) -> tuple[str, str]:
    return f"LLAMACPP_{role.upper()}_BASE", f"LLAMACPP_{role.upper()}_HOST"


def _text(env: Mapping[str, str], variable: str) -> str | None:
    return env.get(variable, "").strip() or None
