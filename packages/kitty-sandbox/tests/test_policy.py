import json
import os
import stat

import pytest

from kitty_sandbox import SandboxUnavailable
from kitty_sandbox.guest import folders
from kitty_sandbox.place import check_profile, make_place
from kitty_sandbox.policy import ENVIRONMENT, bwrap_argv, guest_argv
from kitty_sandbox.python_env import PythonEnv

ENV = PythonEnv(
    "/opt/py/bin/python3",
    "3.12.1",
    ("/opt/py/bin/python3", "/opt/py/lib"),
    ("/opt/py/lib/s",),
    (("/x/pytest", "/kitty/site/pytest"),),
    (),
)


def test_nothing_is_bound_writable():
    argv = bwrap_argv("/usr/bin/bwrap", ENV, "userns")
    assert "--bind" not in argv
    assert argv.index("--remount-ro", argv.index("/dev/urandom")) < argv.index("--chdir")
    assert "/proc" not in argv


def test_root_gives_no_user_namespace_and_everybody_else_gets_one():
    assert "--unshare-user" in bwrap_argv("bwrap", ENV, "userns")
    root = bwrap_argv("bwrap", ENV, "setuid")
    assert "CAP_SETUID" in root
    assert not {"--unshare-user", "--unshare-all", "--share-net"} & set(root)
    assert {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--clearenv"} <= set(root)


def test_parents_of_bound_folders_can_be_entered_by_another_user():
    argv = bwrap_argv("bwrap", ENV, "setuid")
    at = argv.index("/opt/py")
    assert argv[at - 3 : at] == ["--perms", "0755", "--dir"]


def test_the_guest_program_is_started_the_same_way_in_every_tier():
    assert bwrap_argv("bwrap", ENV, "userns")[-len(guest_argv(ENV)) :] == guest_argv(ENV)
    assert make_place("", ENV, "own", "landlock").argv == tuple(guest_argv(ENV))


@pytest.mark.parametrize(("privilege", "mode"), [("own", 0o700), ("setuid", 0o711)])
def test_without_namespaces_a_server_has_a_folder_and_an_environment_of_its_own(privilege, mode):
    env = PythonEnv("/usr/bin/python3", "3.12.1", ("/usr/bin/python3",), (), (("/usr/lib", "/kitty/site/pytest"),), ())
    start = make_place("", env, privilege, "landlock").furnish()
    settings = json.loads(start.argv[-1])
    assert settings["private"] == start.folder
    assert stat.S_IMODE(os.stat(start.folder).st_mode) == mode
    assert os.listdir(start.cwd) == ["guest"]
    assert os.listdir(settings["paths"][0]) == ["pytest"]
    assert start.environment == {**ENVIRONMENT, "HOME": settings["tmp"], "TMPDIR": settings["tmp"]}
    assert {settings["work"], "/dev/null", "/usr/lib"} <= set(settings["readable"])
    assert settings["tmp"] not in settings["readable"]
    folders.remove(start.folder)


def test_what_the_guest_could_not_read_is_refused_with_what_helps(tmp_path):
    (tmp_path / "lib").mkdir()
    tmp_path.chmod(0o700)
    env = PythonEnv("/usr/bin/python3", "3.12.1", (str(tmp_path / "lib"),), (), (), ())
    with pytest.raises(SandboxUnavailable, match="is closed to others") as caught:
        make_place("", env, "setuid", "landlock")
    assert "SANDBOX_PY_PATH" in caught.value.fix
    make_place("", env, "own", "landlock")


def test_a_tier_without_a_process_tree_has_no_profile_proc():
    place = make_place("", ENV, "own", "landlock")
    check_profile(place, "pure")
    with pytest.raises(SandboxUnavailable):
        check_profile(place, "proc")
    check_profile(make_place("bwrap", ENV, "setuid", "full"), "proc")
