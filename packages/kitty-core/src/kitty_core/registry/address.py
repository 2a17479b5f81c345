"""Addresses of tools: `${VAR}` expanded, `server` made an address, the gateway's own mapped to what is behind it.

url: ${CODER_AGENT_BASE:-http://127.0.0.1:8092}/api/coding/generate     as it stands, once expanded
server: coder-agent                   ${CODER_AGENT_BASE}, else the house's port, and /api/ + the name as a path
server: http://box:9000               the same below that address
server: broker, url: /exec            that path below the server
"""

import re
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from kitty_core.errors import ConfigurationError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
SERVER_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
HOUSE = {
    "gateway": "http://127.0.0.1:8080",
    "coder-agent": "http://127.0.0.1:8092",
    "brain": "http://127.0.0.1:8000",
    "memory": "http://127.0.0.1:8765",
    "broker": "http://127.0.0.1:8777",
}
"""Where the services of the house listen when nothing else is said."""


class NoAddress(ValueError):
    """The text gives no address; says why, without the values of variables: one may be a secret."""


def expand(text: str, env: Mapping[str, str]) -> str:
    """`text` with `${VAR}` and `${VAR:-default}` replaced. An empty variable counts as unset.

    Raises:
        NoAddress: a variable is unset and has no default, or `${` begins no variable.
    """
    if "${" in VARIABLE.sub("", text):
        raise NoAddress("holds a ${ that is not ${VAR} or ${VAR:-default}")
    unset = [found[1] for found in VARIABLE.finditer(text) if not env.get(found[1]) and found[2] is None]
    if unset:
        raise NoAddress(f"{', '.join(f'${{{name}}}' for name in unset)} is not set; set it, or write ${{VAR:-default}}")
    return VARIABLE.sub(lambda found: env.get(found[1]) or found[2] or "", text)


def checked_url(url: str) -> str:
    """`url` with doubled slashes in its path made one.

    Raises:
        NoAddress: it is not an absolute http(s) address that means the same to everybody who reads it.
    """
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NoAddress("is no absolute address (http://… or https://…)")
    if parts.username is not None or parts.password is not None:
        raise NoAddress("holds a user name or password; a key belongs into the environment of the service")
    if parts.fragment or "#" in url:
        raise NoAddress("holds a #")
    if any(unquote(segment) in {".", ".."} for segment in parts.path.split("/")) or "%2f" in parts.path.lower():
        raise NoAddress("holds a path that leads elsewhere ('.', '..' or an encoded slash)")
    return urlunsplit(parts._replace(path=re.sub("/{2,}", "/", parts.path)))


def _split(url: str) -> SplitResult:
    # urlsplit drops tabs and line ends silently, and clients differ about a backslash.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise NoAddress("holds a space, a backslash or a letter that is not ASCII")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise NoAddress(f"is no address: {error}") from None
    return parts


def server_base(server: str, env: Mapping[str, str]) -> str:
    """The base address a `server` gives: itself where it is one, else NAME_BASE, else the port of the house.

    Raises:
        NoAddress: neither, or a name that is none.
    """
    if "://" in server or "${" in server:
        return expand(server, env)
    if not SERVER_NAME.fullmatch(server):
        raise NoAddress("is neither a name (such as coder-agent) nor an address (http://…)")
    name = server.replace("_", "-")
    variable = f"{name.upper().replace('-', '_')}_BASE"
    base = env.get(variable) or HOUSE.get(name)
    if base is None:
        raise NoAddress(f"is no service of the house ({', '.join(sorted(HOUSE))}) and {variable} is not set")
    return base


def path_of(name: str) -> str:
    """Where a tool is by convention: `coding.generate` at `/api/coding/generate`."""
    return "/api/" + name.replace(".", "/")


def backing_url(url: str, *, names: Collection[str], port: int, backing: Mapping[str, str]) -> str:
    """`url`, or, where it points at the gateway itself, the same path at the service behind it.

    The gateway is asked for by one of its `names` (host names, with any port: the registry may be that of the compose
    network), or by a loopback address with its own `port`. `backing` maps path prefixes to base addresses
    (`{"/api/coding": "http://127.0.0.1:8092"}`); the longest that fits counts.

    Raises:
        ConfigurationError: it points at the gateway, and nothing is behind that path.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    asked_port = parts.port or (443 if parts.scheme == "https" else 80)
    if host not in names and not (_is_loopback(host) and asked_port == port):
        return url
    fitting = [prefix for prefix in backing if f"{parts.path}/".startswith(f"{prefix.rstrip('/')}/")]
    if not fitting:
        raise ConfigurationError(f"{url} points at the gateway itself, and no service is behind that path.")
    base = backing[max(fitting, key=len)].rstrip("/")
    return f"{base}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
