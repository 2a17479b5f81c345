"""What a running coder-agent was started with, as one hash: another setting or newer source needs another process."""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

READ_BY_THE_SERVICE = ("LLAMACPP_", "CODER_", "SANDBOX_", "KITTY_", "AUDIT_")
ALSO_READ = frozenset(
    name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())
) | {"XDG_DATA_HOME", "DATABASE_URL", "BRAIN_BASE"}
OF_THE_CLIENT = frozenset(
    {"KITTY_API_BASE", "KITTY_API_KEY", "KITTY_COMMAND", "KITTY_PYTHON", "KITTY_BIND", "CODER_AGENT_BASE"}
)
"""Read here, not by the service we start; KITTY_BIND is always loopback for it."""
PACKAGES = ("kitty_core", "kitty_llm", "kitty_models", "kitty_sandbox", "coder_agent")


def fingerprint(env: Mapping[str, str], kind: str) -> str:
    """`env` is the environment of the service, `kind` where its models are."""
    settings = {name: value for name, value in env.items() if value and _counts(name)}
    parts = [sys.executable, sys.version, kind, settings, [_newest_source(package) for package in PACKAGES]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _counts(name: str) -> bool:
    return name not in OF_THE_CLIENT and (name.startswith(READ_BY_THE_SERVICE) or name in ALSO_READ)


def _newest_source(package: str) -> tuple[str, int, int]:
    """Folder, number of files and latest change. Nothing is imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return (package, 0, 0)
    folder = Path(found.origin).parent
    times = list(_changes(folder))
    return (str(folder), len(times), max(times, default=0))


def _changes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*.py"):
        yield path.stat().st_mtime_ns
