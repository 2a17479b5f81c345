"""One sandbox for all tests of this package: the probe runs once, each run is a process tree of its own anyway."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitty_sandbox import BubblewrapSandbox

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS.parents[2] / "benchmarks")]  # the corpus, and what runs it


@pytest.fixture(scope="session")
def sandbox() -> Iterator[BubblewrapSandbox]:
    made = BubblewrapSandbox()
    yield made
    made.close()
