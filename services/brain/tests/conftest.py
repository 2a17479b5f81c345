"""What the brain's tests share."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from brain.testing import RunningBrain, ScriptedGateway, running_brain
from kitty_llm.testing import ScriptedModel


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[RunningBrain, ScriptedModel, ScriptedGateway]]]:
    """start(script, gateway={…}, model={…}, **fields of Settings) -> brain, model, gateway (and F16, if given)."""
    with ExitStack() as stack:

        def start(
            script: Any = "It is blue.", gateway: Any = None, model: Any = None, f16: Any = None, **settings: Any
        ) -> Any:
            scripted = stack.enter_context(ScriptedModel(script, **(model or {})).threaded())
            door = stack.enter_context(ScriptedGateway(**(gateway or {})))
            other = stack.enter_context(ScriptedModel(f16).threaded()) if f16 is not None else None
            env = {"LLAMACPP_F16_BASE": other.base_url} if other else {}
            brain = stack.enter_context(running_brain(scripted.base_url, door.base_url, env=env, **settings))
            return (brain, scripted, door) if other is None else (brain, scripted, door, other)

        yield start


@pytest.fixture
def refused_url() -> str:
    """An address that refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
