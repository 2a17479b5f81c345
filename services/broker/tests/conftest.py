"""What the broker's tests share: a workspace that every user can read, and brokers over lists of the tests' own."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from broker.testing import RunningBroker, running_broker
from kitty_core.testing import make_pytest_for_all

DEFAULT_LIST = Path(__file__).parents[3] / "config" / "commands.yaml"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user nobody can reach: commands run as nobody where the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="kitty-broker-test-")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def workspace(place: Path) -> Path:
    """An empty workspace."""
    folder = place / "workspace"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def start(place: Path, workspace: Path) -> Iterator[Callable[..., RunningBroker]]:
    """start(allow-list text or None for the one that ships, **settings) -> a broker over `workspace`."""
    with ExitStack() as stack:

        def start(text: str | None = None, **settings: Any) -> RunningBroker:
            path = DEFAULT_LIST
            if text is not None:
                path = place / "commands.yaml"
                path.write_text(text)
            options = {"broker_allow_list": str(path), "broker_workspace": str(workspace), **settings}
            return stack.enter_context(running_broker(**options))

        yield start


@pytest.fixture
def unconfined_list() -> str:
    """The list that ships, without Landlock: what holds then is not the kernel's doing."""
    lines = []
    for line in DEFAULT_LIST.read_text().splitlines():
        if line.strip() == "confined: false":
            continue
        if line.startswith("    hazard_class:"):
            lines += ["    confined: false", "    hazard_class: high"]
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.fixture
def programs_for_all(place: Path) -> Path:
    """A folder with a `pytest` that every user can run."""
    folder = place / "bin"
    if reason := make_pytest_for_all(folder):
        pytest.skip(reason)
    return folder


def wait_until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true value of `condition`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return value


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """A bounded wait."""
    return wait_until


@pytest.fixture
def processes_with() -> Callable[[str], list[int]]:
    """Ids of the processes whose command line holds a text."""

    def processes_with(mark: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile
        return found

    return processes_with
