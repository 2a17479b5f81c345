"""config/tool_registry.yaml as it is shipped, held against the services it names and against its document."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from broker.api import ExecRequest
from coder_agent.calls import HAZARD_CLASS
from coder_agent.coding_request import REQUESTS, CodingRequest
from kitty_core.hazard import Call, judge
from kitty_core.registry import load_registry
from kitty_core.registry.entry import KEYS, SAFETY
from kitty_core.registry.reading import read_registry

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config" / "tool_registry.yaml"
DOCUMENT = ROOT / "docs" / "tools.md"
LIMITS = {"minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxProperties"}


@pytest.fixture
def registry():
    return load_registry(SHIPPED, {})


def shape(schema):
    """Types, limits, choices and default of a property, however they are spelt (`anyOf` or a list of types)."""
    kinds = schema.get("anyOf", [schema])
    types = {name for kind in kinds for name in ([kind["type"]] if isinstance(kind["type"], str) else kind["type"])}
    limits = {key: value for kind in kinds for key, value in kind.items() if key in LIMITS}
    values = [shape(kind["additionalProperties"]) for kind in kinds if "additionalProperties" in kind]
    choices = sorted(choice for kind in kinds for choice in kind.get("enum", []))
    return {"types": types, "limits": limits, "values": values, "choices": choices, "default": schema.get("default")}


@pytest.mark.parametrize("tool", REQUESTS)
def test_a_tool_for_code_takes_exactly_what_the_coder_agent_takes(registry, tool):
    ours, theirs = registry.find(tool).schema, REQUESTS[tool].model_json_schema()
    assert ours["required"] == theirs["required"]
    assert set(ours["properties"]) == set(theirs["properties"])
    for name, wanted in theirs["properties"].items():
        assert shape(ours["properties"][name]) == shape(wanted), name


@pytest.mark.parametrize("tool", REQUESTS)
def test_a_row_of_the_coder_agent_names_the_tool_s_class_as_the_registry_does(registry, tool):
    assert registry.find(tool).hazard_class == HAZARD_CLASS


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ({"request": "fib"}, True),
        ({"request": "fib", "tests": None, "max_refinements": None, "model": None, "unknown": 1}, True),
        ({"request": "fib", "files": {"a.txt": "x"}, "tier": "deep", "timeout_seconds": 1.5}, True),
        ({"request": ""}, False),
        ({"request": "x" * 20_001}, False),
        ({"request": "fib", "max_refinements": 9}, False),
        ({"request": "fib", "deadline_seconds": 0}, False),
        ({"request": "fib", "tier": "huge"}, False),
        ({"request": "fib", "tier": None}, False),
        ({"request": "fib", "files": {"a.txt": 1}}, False),
        ({}, False),
    ],
)
def test_registry_and_coder_agent_judge_the_same_arguments_alike(registry, arguments, fits):
    try:
        CodingRequest.model_validate(arguments, strict=True)
        is_taken = True
    except ValidationError:
        is_taken = False
    assert (registry.find("coding_generate").problems(arguments) == []) == is_taken == fits


def test_broker_run_takes_what_the_broker_takes_but_who_asks(registry):
    """Who asks, and in which conversation, is said by the gateway."""
    ours, theirs = registry.find("broker.run").schema, ExecRequest.model_json_schema()
    assert set(ours["properties"]) == set(theirs["properties"]) - {"user_id", "conversation_id"}
    assert shape(ours["properties"]["timeout"]) == shape(theirs["properties"]["timeout"])
    assert registry.find("broker.run").problems({"command": "disk.usage", "timeout": 1.5}) == []
    assert registry.find("broker.run").problems({"command": "disk.usage", "timeout": 0}) != []


def test_the_addresses_follow_the_environment(registry):
    assert registry.find("coding.generate").url == "http://127.0.0.1:8092/api/coding/generate"
    assert registry.find("broker.run").url == "http://127.0.0.1:8777/exec"
    moved = load_registry(
        SHIPPED, {"CODER_AGENT_BASE": "http://coder-agent:8092", "BROKER_BASE": "http://broker:8777/"}
    )
    assert moved.find("coding.generate").url == "http://coder-agent:8092/api/coding/generate"
    assert moved.find("broker.run").url == "http://broker:8777/exec"
    assert moved.digest == registry.digest


def test_only_what_is_meant_to_is_called_without_a_person(registry):
    def kind(name, **facts):
        return judge(registry, Call(name, role="user", **facts)).kind

    assert kind("coding.generate") == "approved"
    assert kind("broker.run", named_class="none") == "approved"
    assert kind("broker.run", named_class="high") == kind("broker.run") == "needs_confirmation"
    assert registry.find("broker_run").problems({"command": "git_status", "args": {"path": "."}}) == []
    assert registry.find("broker_run").problems({"command": "ls", "shell": "x"}) != []


def test_the_document_names_every_key_and_its_examples_load():
    text = DOCUMENT.read_text()
    for key in [*KEYS, *SAFETY]:
        assert f"`{key}`" in text, key
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        assert read_registry("docs/tools.md", block.encode(), {"SEARCH_BASE": "http://127.0.0.1:9"}).tools
