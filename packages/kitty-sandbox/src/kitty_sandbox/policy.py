"""The walls, as an argument list for bubblewrap. Pure: nothing is started here.

Inside there is: the interpreter's libraries and pytest (read-only), four device files, an empty network, a process tree
of its own, /work and /tmp (filled for each run by the fork server, see `guest.confine`). No /proc, no /sys, no home, no
/etc but ld.so.cache, and no environment but `ENVIRONMENT`.
"""

import os
from pathlib import Path
from typing import Literal

from kitty_sandbox.python_env import PythonEnv

Privilege = Literal["setuid", "userns", "own"]
"""`setuid`: we are root and the guest becomes an unused uid. `userns`: a user namespace of our own user. `own`: our own
user, without a namespace."""

GUEST_DIR = Path(__file__).parent / "guest"
GUEST_FILES = tuple(sorted(path.name for path in GUEST_DIR.glob("*.py")))
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom")
ENVIRONMENT = {
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "USER": "sandbox",
    "LOGNAME": "sandbox",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    # Address space is bounded: one BLAS thread a core would eat it, and so would a second malloc arena: it takes 64 MB
    # where the kernel happens to place it on such a boundary (1 process in 32), and no thread can be started then.
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_NAMESPACES = {
    "setuid": ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    "userns": ("--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0"),
}
_CAPABILITIES = {  # of the fork server; a run keeps none of them
    "setuid": ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"),
    "userns": ("CAP_SYS_ADMIN", "CAP_SETPCAP"),
}


def bwrap_argv(bwrap: str, env: PythonEnv, privilege: Privilege) -> list[str]:
    """Everything but the arguments of the guest program itself."""
    argv = [bwrap, *_NAMESPACES[privilege], "--hostname", "sandbox"]
    argv += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for capability in _CAPABILITIES[privilege]:
        argv += ["--cap-add", capability]
    for name, value in ENVIRONMENT.items():
        argv += ["--setenv", name, value]
    argv += _mounts(env)
    return [*argv, "--chdir", "/kitty", *guest_argv(env)]


def guest_argv(env: PythonEnv) -> list[str]:
    """The guest program, for a working folder that holds `guest`; its own arguments are still to come."""
    # -I would ignore PYTHONHASHSEED; the environment is ours, -S and -s leave out what else -I is for.
    return [env.executable, "-s", "-S", "-B", "-X", "utf8", "-m", "guest"]


def _mounts(env: PythonEnv) -> list[str]:
    places = [*env.binds, *(place for _, place in env.modules), "/kitty/guest/x", "/dev/x", "/work/x", "/tmp/x"]
    parents = {str(parent) for place in places for parent in Path(place).parents} - {"/"}
    # bubblewrap would make them 0700 and root's, and the guest is another user by then.
    argv = [word for parent in sorted(parents) for word in ("--perms", "0755", "--dir", parent)]
    for path in env.binds:
        if os.path.islink(path):
            argv += ["--symlink", os.readlink(path), path]
        else:
            argv += ["--ro-bind", path, path]
    for path in env.masks:
        argv += ["--tmpfs", path, "--remount-ro", path]
    for source, place in env.modules:
        argv += ["--ro-bind", source, place]
    for name in GUEST_FILES:
        argv += ["--ro-bind", str(GUEST_DIR / name), f"/kitty/guest/{name}"]
    for device in DEVICES:
        argv += ["--dev-bind", device, device]  # made read-only by the fork server
    argv += ["--symlink", "/tmp", "/dev/shm"]  # locks between processes (profile `proc`) are files there
    return [*argv, "--remount-ro", "/"]
