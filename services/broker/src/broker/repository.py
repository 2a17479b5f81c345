"""A git repository that may be hostile, looked at without ever reading its configuration.

`.git/config` can name programs: fsmonitor, hooks, filters, textconv, external diffs, pagers, gpg, ssh. git runs them
for a plain `status`. A list of the dangerous keys would be a race with git's next version, and a repository could
change between the check and the use. So git is given a folder of our own as its GIT_DIR, made anew for each command:

    config       written here: a few harmless settings, copied by an allow-list of keys and values
    HEAD         copied, after a look at what it says
    hooks, …     not there
    refs, index, objects, packed-refs, shallow, info    the repository's own data, through the command's working folder

What such data can do is be data. Attributes in the work tree may name filters and drivers; none of them is defined.
Refused: a `.git` that is no folder (work trees, submodules, links out), a `commondir` (points elsewhere), alternates
(objects from elsewhere), links among its data (git shows lines of what it cannot read as such), and kinds of
repositories that git 2.39 does not know.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from broker.errors import RepositoryIsRefused

HEAD = re.compile(r"(ref: refs/(?!.*\.\.)[^\x00-\x20~^:?*\[\\\x7f]{1,250}|[0-9a-f]{40}|[0-9a-f]{64})\n?")
DATA = ("refs", "packed-refs", "shallow", "info")
MOST_REFS = 20_000
"""Files and folders below refs that are looked at; a repository of that size has its refs packed."""
BOOLEAN = ("true", "false")
HARMLESS: Mapping[str, tuple[str, ...]] = {
    "core.filemode": BOOLEAN,
    "core.ignorecase": BOOLEAN,
    "core.symlinks": BOOLEAN,
    "core.autocrlf": (*BOOLEAN, "input"),
    "core.eol": ("lf", "crlf", "native"),
    "extensions.objectformat": ("sha1", "sha256"),
}
"""Settings that change what git says about a work tree and can start nothing."""
SECTION = re.compile(r"\[([A-Za-z][A-Za-z0-9.-]*)\]\s*")
SETTING = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*=\s*\"?([A-Za-z0-9]+)\"?\s*([#;].*)?")
MOST_BYTES = 256 * 1024
ENVIRONMENT: Mapping[str, str] = {
    "GIT_WORK_TREE": ".",
    "GIT_OBJECT_DIRECTORY": ".git/objects",
    "GIT_INDEX_FILE": ".git/index",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_ALLOW_PROTOCOL": "none",
}
"""`GIT_DIR` comes on top. Relative paths count from the command's working folder, the descriptor that was checked."""


def prepare(workspace: int, folder: Path) -> dict[str, str]:
    """Fill `folder` for the repository at the top of `workspace` (a descriptor) and name the variables git needs.

    Raises:
        RepositoryIsRefused: there is none, or it is of a kind that is not looked at.
    """
    repository = _opened(workspace, ".git", os.O_DIRECTORY)
    try:
        names = set(os.listdir(repository))
        if "commondir" in names or "reftable" in names:
            raise _refused("is a linked work tree, or of a kind that is not understood")
        _has_no_alternates(repository)
        _has_no_links(repository, names)
        head = _text(repository, "HEAD")
        if head is None or not HEAD.fullmatch(head):
            raise _refused("has no HEAD that says which commit or branch it is on")
        config = private_config(_text(repository, "config") or "")
    finally:
        os.close(repository)
    folder.mkdir(mode=0o755)
    _write(folder / "HEAD", head)
    _write(folder / "config", config)
    for name in (*DATA, *(name for name in names if name.startswith("sharedindex."))):
        if name in names:
            # Followed by git itself, as the user it runs as, from the working folder that was checked.
            (folder / name).symlink_to(f"/proc/self/cwd/.git/{name}")
    folder.chmod(0o755)
    return {**ENVIRONMENT, "GIT_DIR": str(folder)}


def private_config(text: str) -> str:
    """The configuration git is given: the harmless settings of `text`, and that it may fetch nothing. Pure."""
    kept = harmless_settings(text)
    is_sha256 = kept.get("extensions.objectformat") == "sha256"
    lines = ["[core]", f"\trepositoryformatversion = {int(is_sha256)}", "\tbare = false", "\tfsmonitor = false"]
    lines += [f"\t{key[5:]} = {value}" for key, value in kept.items() if key.startswith("core.")]
    lines += ["[protocol]", "\tallow = never"]
    lines += ["[extensions]", "\tobjectformat = sha256"] if is_sha256 else []
    return "\n".join(lines) + "\n"


def harmless_settings(text: str) -> dict[str, str]:
    """Those of HARMLESS that plain lines of a git configuration set; everything else counts as not said. Pure."""
    found: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if header := SECTION.fullmatch(line.strip()):
            section = header[1].lower()
        elif line.strip().startswith("["):
            section = ""
        elif setting := SETTING.fullmatch(line.strip()):
            key, value = f"{section}.{setting[1].lower()}", setting[2].lower()
            if value in HARMLESS.get(key, ()):
                found[key] = value
    return found


def _has_no_alternates(repository: int) -> None:
    objects = _opened(repository, "objects", os.O_DIRECTORY)
    try:
        info = _opened(objects, "info", os.O_DIRECTORY) if "info" in os.listdir(objects) else None
    finally:
        os.close(objects)
    if info is None:
        return
    try:
        if {"alternates", "http-alternates"} & set(os.listdir(info)):
            raise _refused("borrows objects from another place (objects/info/alternates)")
    finally:
        os.close(info)


def _has_no_links(repository: int, names: set[str]) -> None:
    """Nothing that git reads as data leads elsewhere: entries of `.git`, of objects, packs and info, and all refs."""
    waiting = [("", "."), *((name, name) for name in ("objects", "objects/pack", "info", "refs"))]
    seen = 0
    for name, path in waiting:
        if name.partition("/")[0] not in {"", *names}:
            continue
        for entry in _entries(repository, path):
            place = f"{name}/{entry.name}".lstrip("/")
            if entry.is_symlink() and (name or _is_data(entry.name)):
                raise _refused(f"has a {place[:100]!r} that is a link")
            if name.startswith("refs"):
                seen += 1
                waiting += [(place, place)] if entry.is_dir(follow_symlinks=False) else []
        if seen > MOST_REFS:
            raise _refused(f"has more than {MOST_REFS} refs that are not packed")


def _is_data(name: str) -> bool:
    return name in {*DATA, "objects", "index"} or name.startswith("sharedindex.")


def _entries(repository: int, path: str) -> list["os.DirEntry[str]"]:
    """What is in a folder below; nothing where there is no such folder."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder = os.open(path, flags, dir_fd=repository)
    except OSError:
        return []
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    finally:
        os.close(folder)


def _opened(folder: int, name: str, flags: int = 0) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=folder)
    except FileNotFoundError:
        raise _refused(f"has no {name} at its top" if name == ".git" else f"has no {name}") from None
    except OSError as error:
        raise _refused(f"has a {name} that is a link or cannot be read ({error.strerror})") from error


def _text(repository: int, name: str) -> str | None:
    """A small regular file as text; None where there is nothing of that name."""
    if name not in os.listdir(repository):
        return None
    handle = _opened(repository, name)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _refused(f"has a {name} that is no file")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _refused(f"has a {name} that is too large")
    return content.decode("utf-8", "replace")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _refused(reason: str) -> RepositoryIsRefused:
    return RepositoryIsRefused.at(("args.workspace", f"the repository {reason}"))
