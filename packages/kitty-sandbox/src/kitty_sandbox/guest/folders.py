"""The folders of a run where there are no mounts (tier `landlock`): watched while it lives, emptied when it has ended.

What a program leaves may be deep, closed to its owner, or have any name. Nothing here follows a link. Watching is no
quota: between two looks a program can write more than it may, and files that it removed but keeps open are not seen
(`open_files` times `file_mb` at most).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import time

LOOK_SEC = 0.01
"""Between two looks; longer where a look itself takes long, so that nine tenths of the time are left to the program."""
MOST_ENTRIES = 4096
MOST_DEPTH = 64


class _Overfull(Exception):
    """The folder holds more than it may, or cannot be looked at."""


def watch(pidfd: int, control: int, tmp: str, most_bytes: int, errors: int) -> None:
    """Until the process has ended. Kills it when `tmp` is overfull (told on `errors`) or `control` has no other end."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(control, 0)  # hang-up is always told
    pause = LOOK_SEC
    try:
        while True:
            ready = dict(poll.poll(1000 * pause))
            if pidfd in ready:
                return
            if control in ready:
                break
            began = time.monotonic()
            _look(tmp, most_bytes)
            pause = max(LOOK_SEC, 9 * (time.monotonic() - began))
    except _Overfull:
        with contextlib.suppress(OSError):
            os.write(errors, f"The program was ended: {tmp} held more than it may.\n".encode())
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def empty(folder: str) -> None:
    """Remove what is in `folder`. Whoever could write there must have ended."""
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    # Moved up: no path here gets longer than two names, however deep the folders are.
                    os.chmod(inner.path, 0o700)
                    os.rename(inner.path, os.path.join(folder, secrets.token_hex(16)))
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)


def remove(folder: str) -> None:
    """Remove `folder` and what is in it."""
    os.chmod(folder, 0o700)
    empty(folder)
    os.rmdir(folder)


def _look(folder: str, most_bytes: int) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _count(fd, [most_bytes, MOST_ENTRIES], MOST_DEPTH)
    finally:
        os.close(fd)


def _count(fd: int, left: list[int], depth: int) -> None:
    """Take what the folder holds from `left` (bytes, entries). The program may be changing it meanwhile."""
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                left[0] -= 512 * entry.stat(follow_symlinks=False).st_blocks
                left[1] -= 1
                if min(*left, depth) < 0:
                    raise _Overfull
                if entry.is_dir(follow_symlinks=False):
                    inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                    try:
                        _count(inner, left, depth - 1)
                    finally:
                        os.close(inner)
            except PermissionError as error:
                raise _Overfull from error
            except OSError:
                continue  # it has just gone, or become something else
