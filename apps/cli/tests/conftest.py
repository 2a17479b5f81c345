"""The real command line as a subprocess, in folders of its own, against real servers on loopback."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kitty_cli.testing import ScriptedCoderAgent

WITHIN_SEC = 25
STAND_IN = """
import asyncio, json, os, sys
from kitty_cli.testing import ScriptedCoderAgent, finished_job

with open(os.environ["STAND_IN_STARTS"], "a") as file:
    file.write(f"{os.getpid()} {os.environ['CODER_PORT']} {os.environ.get('KITTY_MODEL', '')}\\n")
if os.environ.get("STAND_IN_DIES"):
    sys.exit("coder-agent: the stand-in was told to die")
agent = ScriptedCoderAgent(finished_job(), port=int(os.environ["CODER_PORT"]))
with open(os.environ["STAND_IN_STARTS"]) as file:
    is_first = len(file.readlines()) == 1
if os.environ.get("STAND_IN_HOLDS") and is_first:
    agent.events, agent.ending = agent.events[:5], "hold"
agent.health["jobs_running"] = json.loads(os.environ.get("STAND_IN_JOBS", "0"))
asyncio.run(agent.serve())
"""


class CommandLine:
    """Runs `kitty-cli` the way a shell does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts = folder / "starts.txt"
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.env = kept | {
            "HOME": str(folder / "home"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "KITTY_MODEL_DIR": str(folder / "models"),
            "KITTY_MODEL_SOURCES": "local",
            "CODER_PORT": str(free_port()),
            "STAND_IN_STARTS": str(self.starts),
            "TERM": "xterm-256color",
            "COLUMNS": "100",
        }
        (folder / "home").mkdir()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "kitty_cli.main", *arguments]

    def run(self, *arguments: str, stdin: bytes | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env=self.env | env,
            cwd=self.folder,
            timeout=WITHIN_SEC,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env | env,
            cwd=self.folder,
        )

    def install_stand_in(self) -> None:
        """A `coder_agent` package that shadows the real one."""
        package = self.folder / "stand_in" / "coder_agent"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "main.py").write_text(STAND_IN, encoding="utf-8")
        self.env["PYTHONPATH"] = str(package.parent)

    def started(self) -> list[list[str]]:
        """pid, port and KITTY_MODEL of every stand-in that was started."""
        return [line.split(" ") for line in self.starts.read_text().splitlines()] if self.starts.exists() else []


class Terminal:
    """A command on a terminal of its own: what it shows, and keys that are pressed once `after` is shown."""

    def __init__(self, cli: CommandLine, *words: str, **more: str) -> None:
        self._ours, theirs = pty.openpty()
        env = cli.env | {"PROMPT_TOOLKIT_NO_CPR": "1"} | more
        self._process = subprocess.Popen(
            cli.command(*words), stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)
        self._watch = threading.Timer(25, self._process.kill)
        self._watch.start()
        self.shown = ""

    def press(self, keys: str, after: str) -> None:
        while not re.search(after, self.shown, re.DOTALL):
            self.shown += os.read(self._ours, 65536).decode(errors="replace")
        self.shown = ""
        os.write(self._ours, keys.encode())

    def kill(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        try:
            while part := os.read(self._ours, 65536):
                self.shown += part.decode(errors="replace")
        except OSError:  # so a terminal ends whose program has
            os.close(self._ours)
        status = self._process.wait(20)
        self._watch.cancel()
        return status


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """So many ports that nobody listens on, all different."""

    def find(count: int) -> list[int]:
        probes = [socket.socket() for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = [int(probe.getsockname()[1]) for probe in probes]
        for probe in probes:
            probe.close()
        return ports

    return find


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path)
    yield line
    for pid, *_ in line.started():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended, as it should


@pytest.fixture
def terminal(cli: CommandLine) -> Callable[..., Terminal]:
    """Runs the command line on a terminal."""
    return lambda *words, **env: Terminal(cli, *words, **env)


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedCoderAgent]]:
    """Starts scripted services; they end with the test."""
    agents: list[ScriptedCoderAgent] = []

    def start(*arguments: object, **options: object) -> ScriptedCoderAgent:
        agent = ScriptedCoderAgent(*arguments, **options)  # type: ignore[arg-type]
        agents.append(agent.__enter__())
        return agent

    yield start
    for agent in agents:
        agent.__exit__(None, None, None)
