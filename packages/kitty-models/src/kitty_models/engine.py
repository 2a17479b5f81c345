"""The engine process: `python -m kitty_models.engine`.

It reads one line of JSON from stdin (so the API key is on no command line), serves the model, writes the address it
listens on to stdout, and lives until stdin ends. The owner holds the other end of stdin, so the engine goes with its
owner, however that one ends. Everything llama.cpp has to say goes to stderr.
"""

import json
import os
import select
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Protocol

OWNER_CHECK_SEC = 1.0

BATCH_TOKENS = 256
"""Prompt tokens computed between two looks at cancellation; progress is told as often."""


@dataclass(frozen=True)
class EngineConfig:
    """How to serve a model."""

    model_path: str
    alias: str
    api_key: str
    threads: int
    n_ctx: int
    n_parallel: int
    port: int
    """0: the system picks a free one, and the engine says which."""
    cache_ram_mib: int
    owner_pid: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def leave_with_owner(owner_pid: int) -> None:
    """Blocks until the owner has closed the pipe or is gone, then ends the process at once.

    The owner is asked for, too, because a child that the owner forked may still hold its end of the pipe.
    """
    stdin = sys.stdin.fileno()
    if os.name == "nt":
        os.read(stdin, 1)
    else:
        while not select.select([stdin], [], [], OWNER_CHECK_SEC)[0] and os.getppid() == owner_pid:
            continue
    os._exit(0)


class Listening(Protocol):
    """A running server; it ends when it is collected."""

    listening_address: str


def serve(config: EngineConfig) -> Listening:
    """Starts llama.cpp's server, which runs on threads of its own, and returns once the model is loaded."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config.model_path
    params.model_alias = {config.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = config.port
    params.api_keys = [config.api_key]
    params.ui = False
    params.use_jinja = True
    params.endpoint_metrics = True
    params.n_ctx = config.n_ctx
    params.n_parallel = config.n_parallel
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cache_ram_mib = config.cache_ram_mib
    params.cpuparams.n_threads = config.threads
    params.cpuparams_batch.n_threads = config.threads
    params.warmup = False  # the first request does it; a start is half a second quicker
    params.verbosity = 2  # warnings: the log of a long life stays short
    server: Listening = xllamacpp.Server(params)
    return server


def main() -> None:
    """Runs until the owner is gone."""
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing but the address may reach the owner's pipe
    config = EngineConfig(**json.loads(_first_line()))
    watch = threading.Thread(target=leave_with_owner, args=(config.owner_pid,), name="owner-watch", daemon=True)
    watch.start()
    server = serve(config)
    os.write(answer, f"{server.listening_address}\n".encode())
    os.close(answer)
    watch.join()


def _first_line() -> bytes:
    """Reads byte by byte, so that no buffer swallows what the watch waits for."""
    line = b""
    while (byte := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        line += byte
    return line


if __name__ == "__main__":
    main()
