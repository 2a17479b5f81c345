from kitty_sandbox.policy import bwrap_argv
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
