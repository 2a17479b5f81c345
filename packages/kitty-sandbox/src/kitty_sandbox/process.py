"""One process under watch: read its three pipes side by side with caps, keep its deadline, and leave nothing behind.

SIGKILL goes to bubblewrap's process group; bubblewrap's inner half is pid 1 of the namespace and dies with its parent,
and the kernel then kills whatever is left in there. The clock starts with the first line on the report pipe, which our
own start writes before any of the guest's code is loaded.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitty_sandbox.port import MIB, SandboxLimits
from kitty_sandbox.report import HowItEnded

STARTUP_SEC = 20.0
REPORT_BYTES = 4 * MIB
_LAST_WORDS_SEC = 2.0


@dataclass(frozen=True)
class Ending:
    ended: HowItEnded
    exit_code: int | None
    """As a shell says it: 128 + signal for a process that was killed; None where the sandbox itself was killed."""
    report: bytes
    stdout: bytes
    stderr: bytes
    seconds: float


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
    """Everything that happens on the event loop while the process runs."""

    def __init__(self, process: subprocess.Popen[bytes], pipes: Sequence[_Pipe], limits: SandboxLimits) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = process
        self._limits = limits
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._timer = self._loop.call_later(STARTUP_SEC, self._stop, "not_started")
        self._report = pipes[2]
        self._open: dict[int, Callable[[], None]] = {}
        self._pidfd = os.pidfd_open(process.pid)
        self.ended: HowItEnded = "exited"
        self.started_at: float | None = None
        for pipe in pipes:
            os.set_blocking(pipe.fd, False)
            self._watch(pipe.fd, lambda pipe=pipe: self._read(pipe))  # type: ignore[misc]
        self._watch(self._pidfd, lambda: self._close(self._pidfd))

    async def finish(self) -> None:
        try:
            await self._finished
        finally:
            self._timer.cancel()
            for fd in list(self._open):
                self._close(fd)
            kill(self._process)

    def _watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._open[fd] = callback
        self._loop.add_reader(fd, callback)

    def _close(self, fd: int) -> None:
        del self._open[fd]
        self._loop.remove_reader(fd)
        os.close(fd)
        if not self._open and not self._finished.done():
            self._finished.set_result(None)

    def _read(self, pipe: _Pipe) -> None:
        chunk = pipe.take()
        if not chunk:
            self._close(pipe.fd)
        elif pipe.total > pipe.limit:
            self._stop(pipe.on_limit)
        elif pipe is self._report and self.started_at is None and b"\n" in chunk:
            self.started_at = time.monotonic()
            self._timer.cancel()
            self._timer = self._loop.call_later(self._limits.timeout_sec, self._stop, "timeout")

    def _stop(self, how: HowItEnded) -> None:
        if self.ended != "exited":
            return
        self.ended = how
        _signal_group(self._process)
        self._timer.cancel()
        self._timer = self._loop.call_later(_LAST_WORDS_SEC, self._give_up)

    def _give_up(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)


async def supervise(argv: Sequence[str], config: Mapping[str, Any], limits: SandboxLimits) -> Ending:
    """Run `argv CONFIG_FD REPORT_FD` to its end. Cancelling kills it. Raises OSError where it cannot be started."""
    process, report_fd, streams = _start(argv, config)
    kept, killed = limits.output_kept_bytes, limits.output_killed_bytes
    pipes = (
        _Pipe(streams[0], kept, killed, "flood"),
        _Pipe(streams[1], kept, killed, "flood"),
        _Pipe(report_fd, REPORT_BYTES, REPORT_BYTES, "report_flood"),
    )
    begun = time.monotonic()
    watch = _Watch(process, pipes, limits)
    await watch.finish()
    code = process.returncode
    return Ending(
        ended=watch.ended,
        exit_code=code if code is not None and code >= 0 else None,
        report=bytes(pipes[2].data),
        stdout=bytes(pipes[0].data),
        stderr=bytes(pipes[1].data),
        seconds=time.monotonic() - (watch.started_at or begun),
    )


def _start(argv: Sequence[str], config: Mapping[str, Any]) -> tuple[subprocess.Popen[bytes], int, tuple[int, int]]:
    """The read ends are plain descriptors: they belong to the watch from here on."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        ends = []
        for _ in range(3):
            read, write = os.pipe()
            ours.callback(os.close, read)
            theirs.callback(os.close, write)
            ends.append((read, write))
        memory = os.memfd_create("sandbox-run")
        theirs.callback(os.close, memory)
        with open(memory, "wb", closefd=False) as file:
            file.write(json.dumps(config).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        (out, out_write), (err, err_write), (report, report_write) = ends
        process = subprocess.Popen(
            [*argv, str(memory), str(report_write)],
            stdin=subprocess.DEVNULL,
            stdout=out_write,
            stderr=err_write,
            env={},
            cwd="/",
            pass_fds=(memory, report_write),
            start_new_session=True,
        )
        ours.pop_all()
        return process, report, (out, err)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the group and reap. bubblewrap's outer half holds no memory of the guest's, so this takes milliseconds."""
    _signal_group(process)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
