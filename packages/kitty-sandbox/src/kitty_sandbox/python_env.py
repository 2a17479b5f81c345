"""What an interpreter needs to run: found by asking it, outside the sandbox (its path is the operator's own setting).

Only its standard library, the system's shared libraries and pytest become visible inside. With the service's own
interpreter the service's other packages stay hidden; one named by SANDBOX_PY_PATH that has pytest brings its packages
along. Of the folders that other programs use too (/usr/lib) only the libraries are taken where they have a folder of
their own (/usr/lib/x86_64-linux-gnu on Debian and Ubuntu); elsewhere (/usr/lib64 on Fedora) the whole folder is.
"""

import glob
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.packages import VENV

PYTEST_MODULES = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
MODULES_DIR = "/kitty/site"
_PRIVATE = ("/tmp/", "/work/", "/kitty/")
_SITE_NAMES = {"site-packages", "dist-packages"}
_LIBRARY_DIRS = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64")
_SHARED_DIRS = {"/usr/lib", "/lib", "/usr/local/lib"}
_BESIDE_LIBRARIES = ("locale", "ssl", "terminfo")
_EXTRAS = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_INSPECT = """
import importlib.util, json, os, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": "%d.%d.%d" % sys.version_info[:3],
    "prefixes": [sys.base_prefix, sys.base_exec_prefix],
    "stdlib": [paths["stdlib"], paths["platstdlib"], os.path.dirname(os.__file__)],
    "path": [entry for entry in sys.path if os.path.isdir(entry)],
    "has_pytest": importlib.util.find_spec("pytest") is not None,
}))
"""


@dataclass(frozen=True)
class PythonEnv:
    """`binds` keep their place (read-only), `masks` are hidden below them, `modules` are (source, place) pairs."""

    executable: str
    version: str
    binds: tuple[str, ...]
    masks: tuple[str, ...]
    modules: tuple[tuple[str, str], ...]
    site_dirs: tuple[str, ...]


def inspect_python(python: str | Path | None) -> PythonEnv:
    """`None` is the service's own interpreter. Blocks for some 50 ms.

    Raises:
        SandboxUnavailable: the interpreter does not run, or there is no pytest for it.
    """
    found = _ask(str(python or sys.executable))
    sites = _real_dirs(entry for entry in found["path"] if os.path.basename(entry) in _SITE_NAMES)
    if found["executable"].startswith(_PRIVATE):
        raise SandboxUnavailable(
            f"The interpreter {found['executable']} lies in a folder that is private inside the sandbox.",
            "Install Python outside of /tmp, /work and /kitty.",
        )
    site_dirs: tuple[str, ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    if python is not None and found["has_pytest"]:
        moved = {site: f"/kitty/packages/{at}" for at, site in enumerate(sites) if site.startswith(_PRIVATE)}
        modules = tuple(moved.items())
        site_dirs = tuple(moved.get(site, site) for site in sites)
    elif _minor(found["version"]) == _minor(".".join(map(str, sys.version_info[:3]))):
        modules = _our_pytest()
    else:
        raise SandboxUnavailable(
            f"{python} is Python {found['version']} without pytest, and this service's pytest is for another version.",
            f"{python} -m pip install pytest",
        )
    binds = _binds(found, tuple(site for site in site_dirs if not site.startswith(_PRIVATE)))
    return PythonEnv(
        executable=found["executable"],
        version=found["version"],
        binds=binds,
        masks=tuple(mask for mask in _masks(found, site_dirs) if any(mask.startswith(f"{bind}/") for bind in binds)),
        modules=modules,
        site_dirs=site_dirs,
    )


def readable_parts(env: PythonEnv) -> tuple[list[str], list[str]]:
    """What of the host to open where nothing can be hidden by a mount: (files and folders to read, folders to list).

    `masks` are left out by naming everything beside them, at the moment of the call; their names can be listed.
    """
    readable = [source for source, _ in env.modules]
    listable: list[str] = []
    waiting = [path for path in env.binds if not os.path.islink(path)]
    while waiting:
        path = waiting.pop()
        if any(mask.startswith(f"{path}/") for mask in env.masks):
            listable.append(path)
            waiting += [entry.path for entry in os.scandir(path) if not entry.is_symlink()]
        elif path not in env.masks:
            readable.append(path)
    return sorted(readable), sorted(listable)


def _ask(python: str) -> dict[str, Any]:
    try:
        argv = [python, "-I", "-c", _INSPECT]
        done = subprocess.run(argv, capture_output=True, timeout=30, check=True, env={}, cwd="/")
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(
            f"The sandbox's interpreter {python} does not run ({type(error).__name__}).",
            f"Set SANDBOX_PY_PATH to a working Python, for example: python3 -m venv {VENV}",
        ) from error
    return answer


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _real_dirs(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.isdir(path)))


def _our_pytest() -> tuple[tuple[str, str], ...]:
    """(where it lies, where it appears in the sandbox) of pytest and what it imports, file by file."""
    found = []
    for name in PYTEST_MODULES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SandboxUnavailable(f"The module {name} is missing.", f"{sys.executable} -m pip install pytest")
        origin = Path(spec.origin).resolve()
        place = origin.parent if origin.name == "__init__.py" else origin
        found.append((str(place), f"{MODULES_DIR}/{place.name}"))
    return tuple(found)


def _binds(found: dict[str, Any], site_dirs: tuple[str, ...]) -> tuple[str, ...]:
    prefixes = [os.path.join(prefix, name) for prefix in found["prefixes"] for name in ("lib", "lib64")]
    if found["executable"].startswith("/nix/store/"):
        prefixes.append("/nix/store")
    fixed = [path for path in (*_LIBRARY_DIRS, *_EXTRAS) if os.path.lexists(path)]
    libraries = [part for path in (*_real_dirs(prefixes), *fixed) for part in _libraries_in(path)]
    kept: list[str] = []
    for path in sorted({*libraries, *_real_dirs([*found["stdlib"], *site_dirs]), found["executable"]}):
        if not any(path.startswith(parent + "/") and not os.path.islink(parent) for parent in kept):
            kept.append(path)
    return tuple(kept)


def _libraries_in(path: str) -> list[str]:
    """`path`, or of a folder that belongs to many programs what the loader of libraries looks for in it."""
    if path not in _SHARED_DIRS or os.path.islink(path) or not glob.glob("/lib/*-linux-*/libc.so.6"):
        return [path]
    beside = [place for name in _BESIDE_LIBRARIES if os.path.exists(place := os.path.join(path, name))]
    return [*glob.glob(f"{path}/*-linux-*"), *glob.glob(f"{path}/*.so*"), *beside]


def _masks(found: dict[str, Any], site_dirs: tuple[str, ...]) -> tuple[str, ...]:
    """Package folders that lie below a bound library folder and were not asked for."""
    folders = {"/usr/lib/python3", *_real_dirs(found["stdlib"])}
    for prefix in found["prefixes"]:
        folders |= {str(path) for path in Path(prefix, "lib").resolve().glob("python3*")}
    sites = _real_dirs(os.path.join(folder, name) for folder in sorted(folders) for name in sorted(_SITE_NAMES))
    return tuple(site for site in sites if site not in site_dirs)
