"""The embedded server: a model served by llama.cpp in a process of its own, on this machine only, behind a random key.

The process ends when `stop()` is called and when its owner ends, even by `kill -9`: it watches a pipe that only the
owner holds open. It does not protect from other programs of the same user, who may read the owner's memory.
"""

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from kitty_models.engine import EngineConfig
from kitty_models.errors import EngineStopped, EngineUnavailable
from kitty_models.machine import DEFAULT_N_CTX, Machine, choose, missing_cpu_flags
from kitty_models.reach import reachable
from kitty_models.store import check_gguf

READY_WITHIN_SEC = 120.0
POLL_SEC = 0.05
STOP_WITHIN_SEC = 5.0
TAIL_BYTES = 2000
CACHE_RAM_MIB = 1024
SPIN_COUNT = "1000"
"""How long an OpenMP thread spins at a barrier before it sleeps. libgomp's default (300,000) makes generation stand
still when another program wants a core; this keeps the speed of an idle machine (docs/decisions/0005)."""
ENGINE_COMMAND = (sys.executable, "-P", "-m", "kitty_models.engine")
"""`-P` keeps files of the current folder from being imported."""


@dataclass(frozen=True)
class Problem:
    """Something that keeps the engine from running here."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what} {self.fix}"

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def check_engine(
    missing_flags: Callable[[], Sequence[str]] = missing_cpu_flags,
    load_library: Callable[[str], object] = ctypes.CDLL,
) -> list[Problem]:
    """What is missing for the embedded engine; empty when it can run. Does not load the engine."""
    problems = []
    if flags := missing_flags():
        problems.append(
            Problem(
                f"This processor lacks {', '.join(flags)}, which the embedded engine is built for.",
                "Run a llama.cpp server of your own build and set LLAMACPP_CODER_BASE to its address.",
            )
        )
    if sys.platform == "linux" and not _loads("libgomp.so.1", load_library):
        problems.append(
            Problem(
                "The system library libgomp.so.1 is missing.",
                "Install it: `apt-get install libgomp1`, `dnf install libgomp` or `zypper install libgomp1`.",
            )
        )
    if importlib.util.find_spec("xllamacpp") is None:
        problems.append(
            Problem("The Python package xllamacpp is not installed.", "Install it: `pip install xllamacpp`.")
        )
    return problems


def _loads(library: str, load: Callable[[str], object]) -> bool:
    try:
        load(library)
    except OSError:
        return False
    return True


class EmbeddedServer:
    """Serves one GGUF model while it is started.

    async with EmbeddedServer(path, "kitty-coder") as server:
        ...  # server.base_url, server.api_key
    """

    def __init__(
        self,
        model_path: Path,
        alias: str,
        *,
        threads: int | None = None,
        n_ctx: int = DEFAULT_N_CTX,
        n_parallel: int = 1,
        port: int = 0,
        api_key: str | None = None,
        cache_ram_mib: int = CACHE_RAM_MIB,
        log: Path | None = None,
        command: Sequence[str] = ENGINE_COMMAND,
    ) -> None:
        """Starts nothing yet.

        Args:
            threads: default what `choose()` advises for this machine at the start.
            n_ctx: tokens of context, shared by the `n_parallel` slots.
            port: 0 lets the system pick a free one at the moment of binding, so no two starts collide.
            api_key: default a random one.
            log: file that what the engine logs is added to; default one that goes with it.
        """
        self.alias = alias
        self.api_key = api_key or secrets.token_urlsafe(32)
        self._model_path = model_path
        self._threads = threads
        self._n_ctx = n_ctx
        self.n_parallel = n_parallel
        """How many requests it works on at once."""
        self._port = port
        self._cache_ram_mib = cache_ram_mib
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file = log
        self._log: IO[bytes] | None = None
        self._log_began = 0
        self._address: str | None = None

    async def __aenter__(self) -> "EmbeddedServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`, known once the server is ready.

        Raises:
            EngineStopped: it is not ready.
        """
        if self._address is None:
            raise EngineStopped("The embedded server is not ready yet; await wait_ready() first.")
        return self._address

    @property
    def alive(self) -> bool:
        """Whether the engine process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self, wait: bool = True, timeout_sec: float = READY_WITHIN_SEC) -> None:
        """Starts the engine. With `wait=False` the model loads while you do something else; then await `wait_ready()`.

        Raises:
            EngineUnavailable: the engine cannot run on this machine; the message says what to do.
            EngineStopped: it did not become ready; the message ends with what it logged last.
            ModelNotFound: the file is no GGUF model.
        """
        if self.alive:
            raise EngineUnavailable("This embedded server has been started already.")
        if problems := check_engine():
            raise EngineUnavailable(" ".join(map(str, problems)))
        check_gguf(self._model_path)
        self._spawn()
        if wait:
            await self.wait_ready(timeout_sec)

    async def wait_ready(self, timeout_sec: float = READY_WITHIN_SEC) -> None:
        """Returns when the model answers. On failure the engine is stopped.

        Raises:
            EngineStopped: it ended, or was not ready in time; the message ends with what it logged last.
        """
        try:
            await self._poll_until_ready(time.monotonic() + timeout_sec, timeout_sec)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends the engine and waits until it is gone. Harmless when it is gone already."""
        process, log = self._process, self._log
        self._process = self._log = self._address = None
        if process is not None:
            await asyncio.shield(asyncio.to_thread(_end, process))
        if log is not None:
            log.close()

    def _spawn(self) -> None:
        config = EngineConfig(
            model_path=str(self._model_path.resolve()),
            alias=self.alias,
            api_key=self.api_key,
            threads=self._threads or choose(Machine.inspect()).threads,
            n_ctx=self._n_ctx,
            n_parallel=self.n_parallel,
            port=self._port,
            cache_ram_mib=self._cache_ram_mib,
            owner_pid=os.getpid(),
        )
        self._address = None
        self._log = self._log_file.open("ab+") if self._log_file else tempfile.TemporaryFile()  # noqa: SIM115 -- closed by stop()
        self._log_began = self._log.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ},
            start_new_session=True,  # Ctrl-C is for the owner, who then stops the engine
        )
        self._process = process
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once; wait_ready() tells why
            process.stdin.write(config.to_json().encode() + b"\n")
            process.stdin.flush()
        threading.Thread(target=self._hear_address, args=(process,), name="engine-address", daemon=True).start()

    def _hear_address(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        line = process.stdout.readline().decode().strip()
        if line and process is self._process:
            self._address = line

    async def _poll_until_ready(self, deadline: float, timeout_sec: float) -> None:
        while True:
            if not self.alive:
                code = self._process.returncode if self._process else None
                raise EngineStopped(f"The engine ended while loading {self._model_path} ({_why(code)}).{self._tail()}")
            if self._address and (await reachable(self._address, self.api_key, timeout_sec=1.0)).state == "ok":
                return
            if time.monotonic() > deadline:
                raise EngineStopped(f"The engine was not ready within {timeout_sec:g} s.{self._tail()}")
            await asyncio.sleep(POLL_SEC)

    def _tail(self) -> str:
        if self._log is None:
            return ""
        self._log.flush()
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(self._log_began, size - TAIL_BYTES))
        text = self._log.read().decode(errors="replace").strip().replace(self.api_key, "***")
        return f" It logged last:\n{text}" if text else " It logged nothing."


def _why(code: int | None) -> str:
    if code == -4:
        return "SIGILL: this processor lacks instructions the engine is built for"
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Closes the pipe the engine watches; kills it if that is not enough."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it is gone already
        process.stdin.close()
    try:
        process.wait(STOP_WITHIN_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
