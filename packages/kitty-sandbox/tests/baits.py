"""What an attack is after: secrets, listeners and a neighbour on the host, alive while a context lasts."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def baited() -> Iterator[dict[str, Any]]:
    """The facts that `corpus.bait` tells inside a sandbox; the environment is changed while the context lasts."""
    mark = f"kitty-{uuid.uuid4().hex[:12]}"
    secret = f"secret-of-the-host-{mark}"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kitty-bait-")))
        folder.chmod(0o755)
        file = folder / "secret"
        home_file = _writable(os.environ.get("HOME", "/nowhere"), folder) / f".{mark}"
        shared = _writable("/dev/shm", folder) / mark
        for path in (file, home_file, shared):
            path.write_text(secret)
            path.chmod(0o644)
            stack.callback(path.unlink)
        os.environ["KITTY_SECRET"] = secret
        stack.callback(os.environ.pop, "KITTY_SECRET")
        inherited = os.open(file, os.O_RDONLY)
        stack.callback(os.close, inherited)
        os.set_inheritable(inherited, True)
        unix = str(folder / "socket")
        _greet(stack, socket.AF_UNIX, unix)
        _greet(stack, socket.AF_UNIX, f"\0{mark}")
        _echo(stack, socket.AF_UNIX, f"{unix}-datagrams")
        _echo(stack, socket.AF_UNIX, f"\0{mark}-datagrams")
        for path in (unix, f"{unix}-datagrams"):
            os.chmod(path, 0o777)
        yield {
            "tcp": _greet(stack, socket.AF_INET, ("127.0.0.1", 0)),
            "tcp6": _greet(stack, socket.AF_INET6, ("::1", 0)),
            "udp": _echo(stack, socket.AF_INET, ("127.0.0.1", 0)),
            "unix_path": unix,
            "unix_datagrams": f"{unix}-datagrams",
            "unix_abstract": mark,
            "secret": secret,
            "file": str(file),
            "home_file": str(home_file),
            "source": __file__,
            "pid": _neighbour(stack),
            "inherited": inherited,
        }


def _writable(wanted: str, otherwise: Path) -> Path:
    return Path(wanted) if os.access(wanted, os.W_OK) else otherwise


def _greet(stack: contextlib.ExitStack, family: int, address: Any) -> int:
    """Says hello to whoever connects; the port, 9 where this machine lacks the family."""
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.bind(address)
    except OSError:
        server.close()
        return 9
    server.listen(50)

    def greet() -> None:
        while True:
            link, _ = server.accept()
            with link:
                link.sendall(b"hello")

    _in_background(stack, server, greet)
    return _port(server)


def _echo(stack: contextlib.ExitStack, family: int, address: Any) -> int:
    """Takes datagrams, and sends those that have a sender back."""
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind(address)

    def answer() -> None:
        while data := server.recvfrom(512):
            if data[1]:
                server.sendto(*data)

    _in_background(stack, server, answer)
    return _port(server)


def _port(server: socket.socket) -> int:
    name = server.getsockname()
    return int(name[1]) if isinstance(name, tuple) else 0


def _in_background(stack: contextlib.ExitStack, server: socket.socket, work: Any) -> None:
    def until_closed() -> None:
        with contextlib.suppress(OSError):
            work()

    threading.Thread(target=until_closed, daemon=True).start()
    stack.callback(server.close)


def _neighbour(stack: contextlib.ExitStack) -> int:
    """Another process of ours, whose number cannot be one of the few that exist inside as well."""
    while True:
        process = subprocess.Popen([sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        stack.callback(process.wait)
        stack.callback(process.kill)
        stack.callback(process.stdin.close)  # type: ignore[union-attr]
        if process.pid > 200:
            return process.pid
