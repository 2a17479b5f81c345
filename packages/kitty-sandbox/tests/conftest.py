"""One sandbox for all tests of this package: the probe runs once, each run is a process of its own anyway."""

import pytest

from kitty_sandbox import BubblewrapSandbox


@pytest.fixture(scope="session")
def sandbox() -> BubblewrapSandbox:
    return BubblewrapSandbox()
