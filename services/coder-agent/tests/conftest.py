"""What the coder-agent's tests share."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import URL

from coder_agent.testing import RunningAgent, running_agent
from kitty_core.testing import emptied, running_postgres
from kitty_llm.testing import Reply, ScriptedModel
from kitty_sandbox import BubblewrapSandbox

sys.path.insert(0, str(Path(__file__).parent))  # matrices.py
Script = str | Reply | list[str | Reply] | Callable[[list[dict[str, str]]], str | Reply]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[BubblewrapSandbox]:
    """The real one."""
    made = BubblewrapSandbox()
    yield made
    made.close()


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[RunningAgent, ScriptedModel]]]:
    """start(script, model={…options of ScriptedModel…}, **what running_agent takes) -> (agent, model)."""
    with ExitStack() as stack:

        def start(script: Script, model: dict[str, Any] | None = None, **options: Any) -> Any:
            scripted = stack.enter_context(ScriptedModel(script, **{"slots": 8, **(model or {})}).threaded())
            return stack.enter_context(running_agent(scripted.base_url, **options)), scripted

        yield start


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A real PostgreSQL for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_address(postgres: Any) -> URL:
    """The session's server, with nothing in its database."""
    return emptied(postgres, "jobs")


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database for jobs."""
    if request.param == "postgres":
        return cast("URL", request.getfixturevalue("postgres_address"))
    return URL.create("sqlite", database=str(tmp_path / "jobs.sqlite3"))
