"""A repository that names programs wherever git would run them: plain git runs each one, the broker's commands none.

The commands run without Landlock here, as a user who may write the markers: what holds is not the kernel's doing.
"""

import os
import pty
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from broker.repository import harmless_settings, private_config

ME = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LANG": "C.UTF-8", **ME}


def git(folder, *argv, check=True, **options):
    options = {"capture_output": True, "text": True, "timeout": 60} | options
    return subprocess.run(["git", *argv], cwd=folder, env=CLEAN, check=check, **options)


@dataclass(frozen=True)
class Plant:
    """A way to have git run a program."""

    config: Mapping[str, str] = field(default_factory=dict)
    """`MARK` in a value is the program."""
    attributes: str = ""
    more: Callable[..., None] = lambda repository, mark: None
    """Whatever else has to be there."""
    plain: tuple[str, ...] = ("status",)
    """What plain git is asked, to see that it runs the program."""
    on_terminal: bool = False
    may_fail: bool = False
    """The broker's commands may fail, as long as they run nothing."""


def touch_hook(repository, mark):
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\n{mark}\n")
    hook.chmod(0o755)
    os.utime(repository / "clean.txt", (1, 1))


def hooks_elsewhere(repository, mark):
    (repository / "hooks").mkdir()
    shutil.copy(mark, repository / "hooks" / "post-index-change")
    os.utime(repository / "clean.txt", (1, 1))


def signed_commit(repository, mark):
    text = git(repository, "cat-file", "commit", "HEAD").stdout
    head, _, message = text.partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----"
    made = git(repository, "hash-object", "-t", "commit", "-w", "--stdin", input=f"{head}\n{signature}\n\n{message}")
    git(repository, "update-ref", "HEAD", made.stdout.strip())


def included(repository, mark):
    (repository / ".git" / "more.inc").write_text(f"[core]\n\tfsmonitor = {mark}\n")


def of_the_work_tree(repository, mark):
    (repository / ".git" / "config.worktree").write_text(f"[core]\n\tfsmonitor = {mark}\n")


def missing_blob(repository, mark):
    name = git(repository, "rev-parse", "HEAD:a.txt").stdout.strip()
    (repository / ".git" / "objects" / name[:2] / name[2:]).unlink()


def hostile_submodule(repository, mark):
    inner = repository / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "x.txt").write_text("x")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "inner")
    (repository / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ./inner\n\tignore = none\n')
    git(repository, "add", "inner", ".gitmodules")
    git(inner, "config", "core.fsmonitor", mark)
    (inner / "x.txt").write_text("changed")


def attributes_of_the_folder(repository, mark):
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "attributes").write_text("* diff=evil filter=evil\n")


PROMISOR = {
    "core.repositoryformatversion": "1",
    "extensions.partialclone": "origin",
    "remote.origin.promisor": "true",
    "remote.origin.url": "ssh://nowhere.invalid/x",
}
PLANTS = {
    "fsmonitor": Plant({"core.fsmonitor": "MARK"}),
    "a hook": Plant(more=touch_hook),
    "hooksPath": Plant({"core.hooksPath": "hooks"}, more=hooks_elsewhere),
    "external diff": Plant({"diff.external": "MARK"}, plain=("diff",)),
    "diff driver": Plant({"diff.evil.command": "MARK"}, "* diff=evil\n", plain=("diff",)),
    "textconv": Plant({"diff.evil.textconv": "MARK"}, "* diff=evil\n", plain=("diff",)),
    "textconv in log": Plant({"diff.evil.textconv": "MARK"}, "* diff=evil\n", plain=("log", "-p")),
    "filter clean": Plant({"filter.evil.clean": "MARK"}, "* filter=evil\n"),
    "filter process": Plant({"filter.evil.process": "MARK"}, "* filter=evil\n"),
    "filter smudge": Plant({"filter.evil.smudge": "MARK"}, "* filter=evil\n", plain=("checkout", "-f")),
    "attributes in .git": Plant({"filter.evil.clean": "MARK"}, more=attributes_of_the_folder),
    "pager": Plant({"core.pager": "MARK"}, plain=("--paginate", "log"), on_terminal=True),
    "pager of a command": Plant({"pager.status": "MARK"}, on_terminal=True),
    "gpg": Plant({"log.showSignature": "true", "gpg.program": "MARK"}, more=signed_commit, plain=("log",)),
    "ssh for a missing object": Plant(
        {**PROMISOR, "core.sshCommand": "MARK"}, more=missing_blob, plain=("diff",), may_fail=True
    ),
    "ext transport": Plant(
        {**PROMISOR, "remote.origin.url": "ext::MARK", "protocol.ext.allow": "always"},
        more=missing_blob,
        plain=("diff",),
        may_fail=True,
    ),
    "include": Plant({"include.path": "more.inc"}, more=included),
    "includeIf": Plant({"includeIf.gitdir:**.path": "more.inc"}, more=included),
    "config.worktree": Plant(
        {"core.repositoryformatversion": "1", "extensions.worktreeConfig": "true"}, more=of_the_work_tree
    ),
    "alias": Plant({"alias.st": "!MARK"}, plain=("st",)),
    "credential helper": Plant({"credential.helper": "!MARK"}, plain=("credential", "fill")),
    "submodule": Plant(more=hostile_submodule),
}


@pytest.fixture
def mark(place):
    """A program that leaves a marker, whoever runs it."""
    (place / "markers").mkdir()
    (place / "markers").chmod(0o777)
    program = place / "mark"
    program.write_text(f"#!/bin/sh\n: > {place}/markers/ran-$$\nexit 1\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def repository(workspace):
    """A repository with a commit, a changed file, a staged one and one that nobody knows."""
    git(workspace, "init", "-q", "-b", "main")
    (workspace / "a.txt").write_text("one\n")
    (workspace / "clean.txt").write_text("clean\n")
    git(workspace, "add", ".")
    git(workspace, "commit", "-qm", "first")
    (workspace / "a.txt").write_text("two\n")
    (workspace / "staged.txt").write_text("staged\n")
    git(workspace, "add", "staged.txt")
    (workspace / "new.txt").write_text("new\n")
    return workspace


def plant(it, repository, mark):
    it.more(repository, str(mark))
    for key, value in it.config.items():
        git(repository, "config", key, value.replace("MARK", str(mark)))
    if it.attributes:
        (repository / ".gitattributes").write_text(it.attributes)


def run_plainly(it, repository):
    """As a person would, who trusts the folder."""
    if not it.on_terminal:
        git(repository, *it.plain, check=False, input="protocol=https\nhost=x\n\n")
        return
    terminal, screen = pty.openpty()
    try:
        git(repository, *it.plain, check=False, capture_output=False, stdin=screen, stdout=screen, stderr=screen)
    finally:
        os.close(screen)
        os.close(terminal)


@pytest.mark.parametrize("name", PLANTS)
def test_a_hostile_repository_executes_nothing(start, place, repository, mark, unconfined_list, name):
    it = PLANTS[name]
    plant(it, repository, mark)
    trusted = place / "trusted"
    shutil.copytree(repository, trusted, symlinks=True)
    run_plainly(it, trusted)
    markers = place / "markers"
    assert list(markers.iterdir()), "plain git should have run the program: the test would prove nothing"
    for marker in markers.iterdir():
        marker.unlink()
    broker = start(unconfined_list)
    for command, args in (
        ("git.status", {}),
        ("git.status", {"untracked": "all", "paths": ["a.txt"]}),
        ("git.diff", {}),
        ("git.diff", {"staged": True, "stat": True}),
        ("git.diff", {"revision": "HEAD"}),
        ("git.log", {"limit": 5, "patch": True}),
    ):
        answer = broker.run(command, **args)
        assert answer.status_code == 200, answer.text
        assert answer.json()["success"] or it.may_fail, answer.text
    assert not list(markers.iterdir())


def test_status_of_a_hostile_repository_still_tells_the_truth(start, repository, mark):
    plant(PLANTS["filter clean"], repository, mark)
    text = start().run("git.status").json()["stdout"]
    assert "# branch.head main\n" in text
    assert {line.split()[-1] for line in text.splitlines() if not line.startswith("#")} == {
        "a.txt", "staged.txt", "new.txt", ".gitattributes",
    }  # fmt: skip


def test_a_work_tree_elsewhere_is_not_looked_at(start, place, repository):
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "private-name.txt").write_text("x")
    git(repository, "config", "core.worktree", str(place / "elsewhere"))
    assert "private-name" in git(repository, "status").stdout
    answer = start().run("git.status").json()
    assert "private-name" not in answer["stdout"]
    assert "a.txt" in answer["stdout"]


def dot_git_file(repository, other):
    shutil.rmtree(repository / ".git")
    (repository / ".git").write_text(f"gitdir: {other}/.git\n")


def dot_git_link(repository, other):
    shutil.rmtree(repository / ".git")
    (repository / ".git").symlink_to(other / ".git")


def common_folder(repository, other):
    (repository / ".git" / "commondir").write_text(f"{other}/.git\n")


def alternates(repository, other):
    (repository / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "objects" / "info" / "alternates").write_text(f"{other}/.git/objects\n")


def objects_link(repository, other):
    shutil.rmtree(repository / ".git" / "objects")
    (repository / ".git" / "objects").symlink_to(other / ".git" / "objects")


def head_link(repository, other):
    (repository / ".git" / "HEAD").unlink()
    (repository / ".git" / "HEAD").symlink_to(other / ".git" / "HEAD")


def head_of_another_kind(repository, other):
    (repository / ".git" / "HEAD").write_text("ref: refs/../../../etc/passwd\n")


def head_pipe(repository, other):
    (repository / ".git" / "HEAD").unlink()
    os.mkfifo(repository / ".git" / "HEAD")


def link(path, target="/etc/passwd"):
    def change(repository, other):
        place = repository / ".git" / path
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(target if target.startswith("/") else other / target)

    change.__name__ = path
    return change


def no_repository(repository, other):
    shutil.rmtree(repository / ".git")


@pytest.mark.parametrize(
    "change",
    [
        dot_git_file, dot_git_link, common_folder, alternates, objects_link, head_link, head_of_another_kind, head_pipe,
        no_repository,
        link("packed-refs"), link("shallow"), link("info/grafts"), link("info/exclude"), link("index"),
        link("info", "."), link("refs", ".git/refs"), link("refs/heads", ".git/refs/heads"),
        link("refs/heads/x", ".git/refs/heads/main"), link("objects/pack", ".git/objects/pack"),
        link("objects/ab", ".git/objects/ab"),
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_a_repository_that_points_elsewhere_is_refused(start, place, repository, change):
    other = place / "other"
    shutil.copytree(repository, other)
    change(repository, other)
    answer = start().run("git.log", limit=1)
    assert (answer.status_code, answer.json()["code"]) == (422, "repository_refused"), answer.text
    assert answer.json()["errors"][0]["field"] == "args.workspace"


def test_only_a_repository_at_the_top_of_the_workspace_counts(start, repository):
    (repository / "sub").mkdir()
    assert start().run("git.status", workspace="sub").json()["code"] == "repository_refused"


@pytest.mark.parametrize("kind", ["sha256", "split index", "packed", "shallow", "detached", "empty"])
def test_honest_repositories_of_other_kinds_are_understood(start, place, repository, kind):
    if kind == "sha256":
        shutil.rmtree(repository / ".git")
        git(repository, "init", "-q", "--object-format=sha256")
        git(repository, "add", "a.txt")
        git(repository, "commit", "-qm", "first")
    elif kind == "split index":
        git(repository, "update-index", "--split-index")
    elif kind == "packed":
        git(repository, "gc", "-q")
    elif kind == "detached":
        git(repository, "checkout", "-q", "--detach")
    elif kind == "shallow":
        git(repository, "commit", "-qm", "second")
        git(place, "clone", "-q", "--depth=1", f"file://{repository}", "clone")
        shutil.rmtree(repository / ".git")
        shutil.copytree(place / "clone" / ".git", repository / ".git")
    else:
        shutil.rmtree(repository / ".git")
        git(repository, "init", "-q")
    broker = start()
    status = broker.run("git.status").json()
    assert (status["success"], "a.txt" in status["stdout"] or kind == "sha256") == (True, True), status
    log = broker.run("git.log", limit=1, oneline=True).json()
    assert log["success"] == (kind != "empty"), log


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[core]\n\tfilemode = false\n", {"core.filemode": "false"}),
        ("[CORE]\n FileMode=FALSE ; why\n", {"core.filemode": "false"}),
        ("[core]\nautocrlf = input\n[extensions]\n\tobjectFormat = sha256\n",
         {"core.autocrlf": "input", "extensions.objectformat": "sha256"}),
        ("[core]\n\tfsmonitor = /bin/evil\n\thooksPath = x\n", {}),
        ("[core]\n\tfilemode = /bin/evil\n", {}),
        ("[core]\n\tautocrlf = x\n\tfilemode = true\\\n", {}),
        ('[core "sub"]\n\tfilemode = false\n', {}),
        ("[core] filemode = false\n", {}),
        ("[filter]\n\tclean = true\n", {}),
    ],
)  # fmt: skip
def test_only_harmless_settings_are_copied(text, found):
    assert harmless_settings(text) == found


def test_the_private_configuration_fetches_nothing():
    assert private_config('[remote "origin"]\n\turl = ssh://x\n') == (
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfsmonitor = false\n[protocol]\n\tallow = never\n"
    )
