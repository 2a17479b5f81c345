"""Folders that commands may work in: what leads out is refused, with openat2 and without."""

import ctypes
import os

import pytest

from broker import workspace as module
from broker.errors import BadArguments
from broker.workspace import open_beneath, read_workspaces
from kitty_core.errors import ConfigurationError

SHOW = """
commands:
  show:
    description: A file of the workspace.
    program: cat
    argv: ["--", "{path}"]
    hazard_class: none
    timeout_sec: 5
    workspace: true
    args:
      path: {type: path, required: true, description: Which.}
"""


@pytest.fixture
def tree(place, workspace):
    """A workspace with a file, a folder, and links of every kind."""
    (place / "secret.txt").write_text("secret")
    (place / "beside").mkdir()
    (workspace / "sub").mkdir()
    (workspace / "a.txt").write_text("a")
    (workspace / "sub" / "b.txt").write_text("b")
    (workspace / "-n").write_text("dash")
    (workspace / "inner").symlink_to("sub")
    (workspace / "out").symlink_to("../secret.txt")
    (workspace / "out_absolute").symlink_to(place / "secret.txt")
    (workspace / "out_folder").symlink_to("..")
    (workspace / "beside").symlink_to("../beside")
    (workspace / "root").symlink_to("/")
    (workspace / "magic").symlink_to("/proc/self/cwd/a.txt")
    (workspace / "loop").symlink_to("loop")
    return workspace


@pytest.fixture(params=["openat2", "realpath"])
def way(request, monkeypatch):
    """Both ways to look: the kernel's, and the one for kernels before 5.6."""
    if request.param == "realpath":

        def missing(folder, path, flags):
            raise OSError(38, "no such call")

        monkeypatch.setattr(module, "_openat2", missing)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("path", ["a.txt", "sub/b.txt", "inner/b.txt", "-n"])
def test_a_file_of_the_workspace_is_shown(start, tree, path):
    answer = start(SHOW).run("show", path=path).json()
    assert (answer["success"], answer["stdout"]) == (True, (tree / path).read_text())


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "path",
    [
        "out", "out_absolute", "out_folder/secret.txt", "root/etc/passwd", "magic", "loop", "missing", "a.txt/x",
        "../secret.txt", "sub/../../secret.txt", "..", "/etc/passwd", "/", "", "./a.txt", "sub//b.txt", "a.txt/",
        "x" * 501,
    ],
)  # fmt: skip
def test_what_leads_out_or_is_not_there_is_refused(start, tree, path):
    answer = start(SHOW).run("show", path=path)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_arguments"), answer.text
    assert answer.json()["errors"][0]["field"] == "args.path"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", ["out_folder", "beside", "root", "a.txt", "missing", "..", "/", "/etc", "sub/.."])
def test_a_workspace_that_leads_out_or_is_no_folder_is_refused(start, tree, name):
    answer = start(SHOW).run("show", path="a.txt", workspace=name)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "args.workspace")


def test_a_folder_below_the_root_is_a_workspace_of_its_own(start, tree):
    broker = start(SHOW)
    assert broker.run("show", path="b.txt", workspace="sub").json()["stdout"] == "b"
    assert broker.run("show", path="b.txt", workspace="inner").json()["stdout"] == "b"
    assert broker.run("show", path="a.txt", workspace="sub").status_code == 422


def test_of_several_roots_the_first_part_of_the_name_chooses(start, place, tree):
    other = place / "other"
    other.mkdir(mode=0o755)
    (other / "c.txt").write_text("c")
    broker = start(SHOW, broker_workspace=f"{tree}:{other}")
    assert broker.run("show", path="c.txt", workspace="other").json()["stdout"] == "c"
    assert broker.run("show", path="b.txt", workspace="workspace/sub").json()["stdout"] == "b"
    answer = broker.run("show", path="a.txt")
    assert "other, workspace" in answer.json()["detail"]


def test_a_folder_that_is_swapped_after_the_look_changes_nothing(tree, place):
    with read_workspaces(str(tree)).opened("sub") as folder:
        (tree / "sub").rename(tree / "moved")
        (tree / "sub").symlink_to(place)
        assert os.listdir(f"/proc/self/fd/{folder}") == ["b.txt"]


def test_openat2_is_what_is_used_where_the_kernel_has_it(tree):
    with read_workspaces(str(tree)).opened(".") as folder:
        probe = ctypes.CDLL(None, use_errno=True).syscall(module.SYS_OPENAT2, -1, None, None, ctypes.c_size_t(0))
        if probe < 0 and ctypes.get_errno() == 38:
            pytest.skip("this kernel has no openat2")
        with pytest.raises(OSError, match="cross-device"):
            module._openat2(folder, "out", os.O_PATH)
        with pytest.raises(BadArguments, match="leads out"):
            open_beneath(folder, "out", "args.path")


@pytest.mark.parametrize("setting", ["relative", "/no/such/folder", "/", "/etc/passwd", "/tmp:/"])
def test_a_root_that_is_none_stops_the_start(setting):
    with pytest.raises(ConfigurationError, match="BROKER_WORKSPACE"):
        read_workspaces(setting)


def test_two_roots_of_one_name_stop_the_start(place):
    for parent in ("one", "two"):
        (place / parent / "same").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="same name"):
        read_workspaces(f"{place}/one/same:{place}/two/same")
