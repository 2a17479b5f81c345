"""One sandbox for all tests of this package: the probe runs once, each run is a process tree of its own anyway."""

from collections.abc import Iterator

import pytest

from kitty_sandbox import BubblewrapSandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[BubblewrapSandbox]:
    made = BubblewrapSandbox()
    yield made
    made.close()
