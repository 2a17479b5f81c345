"""One sandbox for all tests of this package: the probe runs once, each run is a process tree of its own anyway."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitty_sandbox import BubblewrapSandbox

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))  # the corpus
sys.path.append(str(TESTS.parents[2] / "benchmarks"))  # what runs it; last, so that its names hide none of ours


@pytest.fixture(scope="session")
def sandbox() -> Iterator[BubblewrapSandbox]:
    made = BubblewrapSandbox()
    yield made
    made.close()
