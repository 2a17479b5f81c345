"""The folders that commands may work in, held by file descriptors.

"project/src" ──> root's descriptor ──> openat2(RESOLVE_BENEATH) ──> descriptor of the folder ──> the command's cwd

What was checked is what is used: the command starts in the descriptor's folder, whatever was renamed meanwhile. A path
argument is only looked at here and opened again by the command; who can write in the workspace could swap a folder for
a link in between. Landlock (`guard`) stops that where the kernel has it.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from broker.errors import BadArguments
from kitty_core.errors import ConfigurationError

SYS_OPENAT2 = 437
"""The same on every architecture."""
RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH = 0x02, 0x08
OUTSIDE = {errno.EXDEV, errno.ELOOP}
ABSENT = {errno.ENOENT, errno.ENOTDIR}
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Workspaces:
    """The roots. With several, the first part of a workspace's name is the name of its root."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = {root.name: root for root in roots}
        self._only = roots[0] if len(roots) == 1 else None
        if len(self._roots) < len(roots):
            raise ConfigurationError("BROKER_WORKSPACE: two folders have the same name")

    def __bool__(self) -> bool:
        return bool(self._roots)

    @contextmanager
    def opened(self, name: str) -> Iterator[int]:
        """A descriptor of the folder `name` as long as the block lasts.

        Raises:
            BadArguments: it is not there, or a link leads out of its root.
        """
        root, path = self._place(name)
        try:
            top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise BadArguments.at(("args.workspace", f"the workspace root: {error.strerror}")) from error
        try:
            folder = open_beneath(top, path, "args.workspace", os.O_DIRECTORY)
        finally:
            os.close(top)
        try:
            yield folder
        finally:
            os.close(folder)

    def _place(self, name: str) -> tuple[Path, str]:
        if self._only is not None:
            return self._only, name
        first, _, rest = name.partition("/")
        if first not in self._roots:
            known = ", ".join(sorted(self._roots))
            raise BadArguments.at(("args.workspace", f"must begin with one of the roots: {known}"))
        return self._roots[first], rest or "."


def read_workspaces(setting: str) -> Workspaces:
    """From folders separated by `:`.

    Raises:
        ConfigurationError: one is not an absolute path to a folder, is `/`, or shares its name with another.
    """
    roots = []
    for text in filter(None, setting.split(os.pathsep)):
        path = Path(text).expanduser()
        if not path.is_absolute() or not path.is_dir():
            raise ConfigurationError(f"BROKER_WORKSPACE: {text!r} is not an absolute path to a folder")
        real = path.resolve()
        if real == real.parent:
            raise ConfigurationError("BROKER_WORKSPACE: the whole machine is no workspace")
        roots.append(real)
    return Workspaces(roots)


def check_paths(folder: int, paths: Sequence[tuple[str, str, bool]]) -> None:
    """Whether each (place, path, must exist) stays beneath `folder`.

    Raises:
        BadArguments: a link leads out, or what must be there is not.
    """
    for place, path, must_exist in paths:
        try:
            os.close(open_beneath(folder, path, place))
        except _Absent:
            if must_exist:
                raise


def open_beneath(folder: int, path: str, place: str, flags: int = 0) -> int:
    """A descriptor (O_PATH) of `path`, which no link may lead out of `folder`.

    Raises:
        BadArguments: as above; names `place`.
    """
    flags |= os.O_PATH | os.O_CLOEXEC
    try:
        return _openat2(folder, path, flags)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return _open_real(folder, path, place, flags)
        raise _refusal(error, place) from error


class _Absent(BadArguments):
    """Nothing is there."""


def _refusal(error: OSError, place: str) -> BadArguments:
    if error.errno in OUTSIDE:
        return BadArguments.at((place, "leads out of the workspace"))
    kind = _Absent if error.errno in ABSENT else BadArguments
    return kind.at((place, f"{error.strerror}"))


def _openat2(folder: int, path: str, flags: int) -> int:
    how = _How(flags, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    found = int(_libc.syscall(SYS_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), size))
    if found < 0:
        number = ctypes.get_errno()
        # Containers may answer EPERM to a call that their filter does not know.
        number = errno.ENOSYS if number == errno.EPERM else number
        raise OSError(number, os.strerror(number))
    return found


def _open_real(folder: int, path: str, place: str, flags: int) -> int:
    """Without openat2 (before Linux 5.6): compare real paths, then open the real one, following no last link."""
    top = os.path.realpath(f"/proc/self/fd/{folder}")
    real = os.path.realpath(os.path.join(top, path))
    if os.path.commonpath([top, real]) != top:
        raise BadArguments.at((place, "leads out of the workspace"))
    try:
        found = os.open(real, flags | os.O_NOFOLLOW)
    except OSError as error:
        raise _refusal(error, place) from error
    if stat.S_ISLNK(os.fstat(found).st_mode):  # a loop, or swapped meanwhile
        os.close(found)
        raise BadArguments.at((place, "leads out of the workspace"))
    return found
