"""One fork server and the runs it makes, as seen from the agent.

The server is started by exec (no memory and no environment of ours), speaks over a socket pair, and serves one run at a
time. A run's three pipes are read side by side with caps, its deadline is kept here, and it is killed through the pidfd
of its first process: the kernel then kills whatever is left in its process tree. The clock starts with the first line
on the report pipe, which our own start writes before any of the guest's code is loaded.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitty_sandbox.guest import folders
from kitty_sandbox.place import Start
from kitty_sandbox.port import MIB, SandboxLimits
from kitty_sandbox.report import HowItEnded

STARTUP_SEC = 20.0
REPORT_BYTES = 16 * MIB
_LAST_WORDS_SEC = 2.0


class ZygoteFailed(Exception):
    """The fork server did not start, or stopped answering; the text is what it said on standard error."""


@dataclass(frozen=True)
class Ending:
    """How one run ended, in bytes and numbers; `report.judge` makes a verdict of it."""

    ended: HowItEnded
    exit_code: int | None
    """As a shell says it: 128 + signal for a process that was killed; None where it is not known."""
    report: bytes
    stdout: bytes
    stderr: bytes
    seconds: float


class Zygote:
    """One fork server. Not for concurrent runs: `pool` lends it to one caller at a time."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, errors: int, folder: str | None
    ) -> None:
        self.pid = process.pid
        self.runs = 0
        self.is_sound = True
        """False after anything unexpected: it must not be used again."""
        self._control = control
        self._close = weakref.finalize(self, _end, process, control, errors, folder)
        self._errors = errors

    @classmethod
    async def start(cls, start: Start) -> "Zygote":
        """Start one with `CONTROL_FD` before the last of its words, and wait until it is prepared.

        Raises:
            ZygoteFailed: it ended or stayed silent; carries its standard error.
        """
        zygote = cls(*_spawn(start))
        try:
            message, _ = await asyncio.wait_for(zygote._receive(), STARTUP_SEC)
        except (TimeoutError, OSError):
            message = {}
        except BaseException:
            zygote.close()
            raise
        if message.get("kind") != "ready":
            said = zygote.close()
            raise ZygoteFailed(said)
        return zygote

    async def run(self, config: bytes, limits: SandboxLimits, fence: Sequence[int] = ()) -> Ending:
        """One run to its end. Cancelling kills it; the server is then not sound any more.

        Args:
            fence: an open `cgroup.procs` that the run enters before anything else, if it has one.

        Raises:
            ZygoteFailed: the server itself is gone.
        """
        self.runs += 1
        watch = self._launch(config, limits, fence)
        sound, self.is_sound = self.is_sound, False
        try:
            ending = await watch.finish(self._receive)
            self.is_sound = sound and ending.exit_code is not None
        except OSError as error:
            raise ZygoteFailed(str(error)) from error
        return ending

    def close(self) -> str:
        """Kill the server and every run of it; what it said on standard error. May be called twice."""
        said = ""
        if self._close.alive:
            with contextlib.suppress(OSError):
                said = os.pread(self._errors, 65536, 0).decode("utf-8", "replace")
        self._close()
        self.is_sound = False
        return said

    def _launch(self, config: bytes, limits: SandboxLimits, fence: Sequence[int]) -> "_Watch":
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            ends = []
            for _ in range(3):
                read, write = os.pipe()
                ours.callback(os.close, read)
                theirs.callback(os.close, write)
                ends.append((read, write))
            memory = os.memfd_create("sandbox-run")
            theirs.callback(os.close, memory)
            while config:
                config = config[os.write(memory, config) :]
            os.lseek(memory, 0, os.SEEK_SET)
            (out, out_write), (err, err_write), (report, report_write) = ends
            try:
                request = json.dumps({"tmpfs_mb": limits.tmpfs_mb}).encode()
                socket.send_fds(self._control, [request], [memory, report_write, out_write, err_write, *fence])
            except OSError as error:
                self.is_sound = False
                raise ZygoteFailed(str(error)) from error
            ours.pop_all()
        kept, killed = limits.output_kept_bytes, limits.output_killed_bytes
        pipes = (
            _Pipe(out, kept, killed, "flood"),
            _Pipe(err, kept, killed, "flood"),
            _Pipe(report, REPORT_BYTES, REPORT_BYTES, "report_flood"),
        )
        return _Watch(pipes, limits)

    async def _receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors. Raises OSError when the server has gone."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._control, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._control)
        data, fds, _, _ = socket.recv_fds(self._control, 4096, 4)
        if not data:
            raise ConnectionResetError("the fork server ended")
        return json.loads(data), list(fds)


def _spawn(start: Start) -> tuple[subprocess.Popen[bytes], socket.socket, int, str | None]:
    """The process, our end of its control socket, the memory file its outputs go to, and its own folder."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    errors = os.memfd_create("zygote-errors", os.MFD_CLOEXEC)
    try:
        process = subprocess.Popen(
            [*start.argv[:-1], str(theirs.fileno()), start.argv[-1]],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env=dict(start.environment or {}),
            cwd=start.cwd,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        os.close(errors)
        _remove(start.folder)
        raise ZygoteFailed(str(error)) from error
    finally:
        theirs.close()
    ours.setblocking(False)
    return process, ours, errors, start.folder


def _end(process: subprocess.Popen[bytes], control: socket.socket, errors: int, folder: str | None) -> None:
    """SIGKILL to the whole group, and reap: bubblewrap's inner half dies with its parent, and its process tree too."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    control.close()
    os.close(errors)
    _remove(folder)


def _remove(folder: str | None) -> None:
    """A run that lost its server a moment ago may still be dying, and writing."""
    for _ in range(100 if folder else 0):
        with contextlib.suppress(OSError):
            folders.remove(str(folder))
        if not os.path.lexists(str(folder)):
            return
        time.sleep(0.005)


@dataclass
class _Pipe:
    fd: int
    keep: int
    limit: int
    on_limit: HowItEnded
    data: bytearray = field(default_factory=bytearray)
    total: int = 0

    def take(self) -> bytes:
        try:
            chunk = os.read(self.fd, 65536)
        except BlockingIOError:
            return b"-"  # nothing there after all: not the end
        self.total += len(chunk)
        self.data += chunk[: max(0, self.keep - len(self.data))]
        return chunk


class _Watch:
    """Everything that happens on the event loop while a run lives."""

    def __init__(self, pipes: Sequence[_Pipe], limits: SandboxLimits) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._given_up: asyncio.Future[None] = self._loop.create_future()
        self._timer = self._loop.call_later(STARTUP_SEC, self._stop, "not_started")
        self._pipes = pipes
        self._open = {pipe.fd for pipe in pipes}
        self._pidfd: int | None = None
        self._ended: HowItEnded = "exited"
        self._began = time.monotonic()
        self._has_begun = False
        for pipe in pipes:
            os.set_blocking(pipe.fd, False)
            self._loop.add_reader(pipe.fd, self._read, pipe)

    async def finish(self, receive: Callable[[], Any]) -> Ending:
        """Until the run has ended and its pipes are drained, or killing it did not help."""
        story = self._loop.create_task(self._follow(receive))
        try:
            await asyncio.wait((story, self._given_up), return_when=asyncio.FIRST_COMPLETED)
            code = story.result() if story.done() else None
            if code is not None:
                # Every process that could write is gone; what is left in the pipes is read at once.
                await asyncio.wait((self._drained, self._given_up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            story.cancel()
            self._timer.cancel()
            self._kill()
            for fd in list(self._open):
                self._close(fd)
            if self._pidfd is not None:
                os.close(self._pidfd)
                self._pidfd = None
        out, err, report = (bytes(pipe.data) for pipe in self._pipes)
        return Ending(self._ended, code, report, out, err, time.monotonic() - self._began)

    async def _follow(self, receive: Callable[[], Any]) -> int:
        """What the server says of the run: first its pidfd, then its exit code."""
        message, fds = await receive()
        self._pidfd = fds[0]
        if self._ended != "exited":
            self._kill()
        message, _ = await receive()
        return int(message["code"])

    def _read(self, pipe: _Pipe) -> None:
        chunk = pipe.take()
        if not chunk:
            self._close(pipe.fd)
        elif pipe.total > pipe.limit:
            self._stop(pipe.on_limit)
        elif pipe is self._pipes[2] and not self._has_begun and b"\n" in chunk:
            self._has_begun, self._began = True, time.monotonic()
            self._timer.cancel()
            self._timer = self._loop.call_later(self._limits.timeout_sec, self._stop, "timeout")

    def _close(self, fd: int) -> None:
        self._open.discard(fd)
        self._loop.remove_reader(fd)
        os.close(fd)
        if not self._open and not self._drained.done():
            self._drained.set_result(None)

    def _stop(self, how: HowItEnded) -> None:
        if self._ended != "exited":
            return
        self._ended = how
        self._kill()
        self._timer.cancel()
        self._timer = self._loop.call_later(_LAST_WORDS_SEC, self._give_up)

    def _give_up(self) -> None:
        if not self._given_up.done():
            self._given_up.set_result(None)

    def _kill(self) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
