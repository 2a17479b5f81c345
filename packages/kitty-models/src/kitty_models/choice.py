"""What a person means by `--model`: an alias, a GGUF file, a GGUF on the web, or a running server."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from kitty_models.catalogue import HttpFile, ModelSpec, find
from kitty_models.discover import base_url
from kitty_models.errors import BadSetting, ModelNotFound
from kitty_models.store import check_gguf

URL_WORD = "url"
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}(/v1)?/?")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class ModelChoice:
    """A model that was asked for by name.

    `alias`, `download`: `spec` can be pulled, and `path` is where it will be. `file`: `path` is there. `server`:
    `base_url` is a running server, which was not asked whether it answers.
    """

    kind: Literal["alias", "download", "file", "server"]
    name: str
    """What to send as the `model` field."""
    spec: ModelSpec | None = None
    path: Path | None = None
    base_url: str | None = None


def resolve(name: str, directory: Path) -> ModelChoice:
    """Tells what `name` means. Touches no network.

    Raises:
        ModelNotFound: neither an alias, nor a GGUF file that can be read, nor an address.
        BadSetting: an address that cannot be understood.
    """
    if name.startswith(("http://", "https://")):
        return _download(name, directory) if _is_gguf_url(name) else _server(name)
    if _HOST_AND_PORT.fullmatch(name):
        return _server(name)
    path = Path(name).expanduser()
    if path.exists() or "/" in name or "\\" in name or name.lower().endswith(".gguf"):
        check_gguf(path)
        return ModelChoice("file", path.stem, path=path.resolve())
    spec = find(name)
    return ModelChoice("alias", spec.alias, spec=spec, path=directory / spec.file_name)


def _is_gguf_url(url: str) -> bool:
    return urlsplit(url).path.lower().endswith(".gguf")


def _server(text: str) -> ModelChoice:
    return ModelChoice("server", "", base_url=base_url(text, "--model"))


def _download(text: str, directory: Path) -> ModelChoice:
    url, _, fragment = text.partition("#")
    sha256 = fragment.removeprefix("sha256=").lower() or None
    if sha256 is not None and (not fragment.startswith("sha256=") or not _SHA256.fullmatch(sha256)):
        raise BadSetting(f"The end of {text} is not understood: write #sha256= and 64 hexadecimal digits.")
    published = Path(urlsplit(url).path).name
    if published.startswith("."):
        raise ModelNotFound(f"{url} names no file.")
    # Files of the same name from two places must not be taken for each other.
    file_name = f"{Path(published).stem}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.gguf"
    spec = ModelSpec(Path(published).stem, file_name, None, sha256, (HttpFile(url, URL_WORD),), description=url)
    return ModelChoice("download", spec.alias, spec=spec, path=directory / file_name)
