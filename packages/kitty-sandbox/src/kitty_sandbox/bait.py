"""What the probe's programs are tempted with: a file, a port, a socket and processes of the host."""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kitty_sandbox.guest.seccomp import has_filter
from kitty_sandbox.place import Place
from kitty_sandbox.policy import ENVIRONMENT

_NOBODY = 65534


@contextlib.contextmanager
def bait(place: Place) -> Iterator[str]:
    """`escapes.json`, while what it names is there."""
    with (
        tempfile.NamedTemporaryFile(prefix="kitty-bait-", delete=False) as file,
        socket.create_server(("127.0.0.1", 0)) as server,
        _datagram_socket() as address,
        _bystander() as strangers,
    ):
        os.chmod(file.name, 0o666)  # it is not its mode that protects it
        facts = {
            "hidden": [
                file.name,
                os.path.expanduser("~/.ssh"),
                __file__,
                "/etc/passwd",
                "/proc/self",
                "/sys/kernel",
                "/bin/sh",
            ],
            "port": server.getsockname()[1],
            "socket": address,
            "strangers": strangers if place.tier == "landlock" else [],
            "variables": sorted(ENVIRONMENT),
            "seccomp": has_filter(),
            "landlock": place.tier != "ns-only",
            "namespaces": place.tier != "landlock",
        }
        try:
            yield json.dumps(facts)
        finally:
            Path(file.name).unlink(missing_ok=True)


@contextlib.contextmanager
def _datagram_socket() -> Iterator[str]:
    """An address that everybody may send to, as a system's log has one."""
    with (
        tempfile.TemporaryDirectory(prefix="kitty-bait-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        os.chmod(folder, 0o711)
        address = os.path.join(folder, "log")
        listener.bind(address)
        os.chmod(address, 0o777)
        yield address


@contextlib.contextmanager
def _bystander() -> Iterator[list[int]]:
    """Processes that the guest must not reach: this one, and one of a user that the guest may become."""
    who: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    quiet: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        process = subprocess.Popen(["/bin/sh", "-c", "read line"], cwd="/", env={}, **quiet, **who)
    except OSError:
        yield [os.getpid()]  # who may not change users has no guest of another one either
        return
    with process:
        try:
            yield [os.getpid(), process.pid]
        finally:
            process.kill()
