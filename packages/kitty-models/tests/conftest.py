"""What the tests share. The stand-ins themselves ship in `kitty_models.testing`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kitty_models.catalogue import KITTY_CODER_SMALL
from kitty_models.store import model_dir
from kitty_models.testing import FileServer, HeardProgress, Script, file_handler, listening, script_handler


@pytest.fixture
def web() -> Iterator[FileServer]:
    """One model file on a web server."""
    state = FileServer()
    with listening(file_handler(state)) as base:
        state.url = f"{base}/fake.gguf"
        yield state


@pytest.fixture
def scripted() -> Iterator[Callable[..., Script]]:
    """Starts scripted model servers."""
    with ExitStack() as stack:

        def start(routes: dict[str, Any], api_key: str | None = None) -> Script:
            script = Script(routes, api_key)
            script.url = stack.enter_context(listening(script_handler(script)))
            return script

        yield start


@pytest.fixture
def heard() -> HeardProgress:
    return HeardProgress()


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The real 0.5B model."""
    path = model_dir() / KITTY_CODER_SMALL.file_name
    if not path.is_file():
        pytest.skip(f"{path} is not there: pull kitty-coder-small first")
    return path
