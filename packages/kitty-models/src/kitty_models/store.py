"""The model directory: what is installed, and whether it is still what was pulled.

Beside each `X.gguf` lies `X.gguf.json`, which says where it came from and what it hashed to. While size and
modification time are as recorded, the hash is not computed again.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from kitty_models.catalogue import CATALOGUE, ModelSpec
from kitty_models.errors import ModelNotFound

GGUF_MAGIC = b"GGUF"
READ_BYTES = 4 * 1024**2


@dataclass(frozen=True)
class Record:
    """What is known about a model file."""

    source: str
    detail: str
    sha256: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class InstalledModel:
    """A model file in the model directory."""

    alias: str | None
    """None for a file that is not in the catalogue."""
    path: Path
    size_bytes: int
    source: str
    """Where it came from; `unknown` without a record."""
    sha256: str | None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def model_dir(env: Mapping[str, str] | None = None) -> Path:
    """`KITTY_MODEL_DIR`, or the user's data directory (`~/.local/share/kitty/models` on Linux)."""
    chosen = (os.environ if env is None else env).get("KITTY_MODEL_DIR", "").strip()
    return (
        Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("kitty", appauthor=False)) / "models"
    )


def record_path(model: Path) -> Path:
    return model.with_name(model.name + ".json")


def write_atomically(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def read_record(model: Path) -> Record | None:
    """The record beside a model, or None when there is none that can be read."""
    try:
        return Record(**json.loads(record_path(model).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(model: Path, source: str, detail: str, sha256: str) -> Record:
    stat = model.stat()
    record = Record(source, detail, sha256, stat.st_size, stat.st_mtime_ns)
    write_atomically(record_path(model), asdict(record))
    return record


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def is_intact(spec: ModelSpec, path: Path) -> bool:
    """Whether `path` is there and is the model of `spec`. Hashes it only when the record does not fit the file."""
    if not path.is_file():
        return False
    stat, record = path.stat(), read_record(path)
    if spec.size_bytes is not None and stat.st_size != spec.size_bytes:
        return False
    if record and (record.size_bytes, record.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
        return spec.sha256 is None or record.sha256 == spec.sha256
    actual = sha256_of(path)
    if spec.sha256 is not None and actual != spec.sha256:
        return False
    write_record(path, record.source if record else "unknown", record.detail if record else "", actual)
    return True


def check_gguf(path: Path) -> None:
    """Raises `ModelNotFound` unless `path` is a readable file that starts like a GGUF model."""
    if not path.is_file():
        raise ModelNotFound(f"There is no model file {path}.")
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise ModelNotFound(f"The model file {path} cannot be read: {error.strerror}.") from error
    if magic != GGUF_MAGIC:
        raise ModelNotFound(f"{path} is not a GGUF model: it starts with {magic!r}, not {GGUF_MAGIC!r}.")


def list_models(directory: Path | None = None) -> list[InstalledModel]:
    """The model files in the model directory, by name. Looks only, never hashes."""
    folder = directory or model_dir()
    by_file = {spec.file_name: spec for spec in CATALOGUE}
    models = []
    for path in sorted(folder.glob("*.gguf")):
        spec, record, size = by_file.get(path.name), read_record(path), path.stat().st_size
        complete = spec is None or spec.size_bytes == size
        models.append(
            InstalledModel(
                alias=spec.alias if spec and complete else None,
                path=path,
                size_bytes=size,
                source=record.source if record else "unknown",
                sha256=record.sha256 if record else None,
            )
        )
    return models
