"""The broker's commands in the list of tools."""

import time

import jsonschema
import pytest

from gateway.commands import Command
from gateway.offers import digest_of
from gateway.testing import Reply
from kitty_core.tools import Registry

ECHO = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "twice": {"type": "boolean"}},
    "required": ["text"],
}
LISTED = [
    {"name": "disk.usage", "hazard_class": "low", "description": "Room left.", "available": True, "reason": None},
    {"name": "echo", "hazard_class": "none", "description": "Says it.", "args_schema": ECHO, "available": True},
    {"name": "git.log", "hazard_class": "none", "args_schema": ECHO, "available": False, "reason": "No workspace."},
]


def listing(commands):
    return lambda seen: Reply({"commands": commands()}) if seen.path == "/broker/commands" else Reply({"success": True})


def broker_run(gateway, query=""):
    body = gateway.get(f"/api/tools{query}").json()
    return next(tool for tool in body["tools"] if tool["name"] in ("broker.run", "broker_run")), body["digest"]


def test_the_list_of_tools_has_the_brokers_commands_with_their_arguments_and_classes(start):
    gateway, service = start(listing(lambda: LISTED))
    told, _ = broker_run(gateway)
    assert told["hazard_from"] == "command"
    assert [(one["name"], one["hazard_class"], one["available"]) for one in told["commands"]] == [
        ("disk.usage", "low", True),
        ("echo", "none", True),
        ("git.log", "none", False),
    ]
    assert told["commands"][1]["schema"] == ECHO
    assert told["commands"][2]["reason"] == "No workspace."
    broker_run(gateway, "?for=model")
    assert sum(seen.path == "/broker/commands" for seen in service.seen) == 1


def test_a_model_sees_the_commands_that_can_run_as_an_enum_each_with_what_it_takes(start):
    gateway, _ = start(listing(lambda: LISTED))
    schema = broker_run(gateway, "?for=model")[0]["schema"]
    assert schema["properties"]["command"]["enum"] == ["disk.usage", "echo"]
    assert "Room left." in schema["properties"]["command"]["description"]
    assert "echo: text, twice?." in schema["properties"]["args"]["description"]
    jsonschema.Draft202012Validator.check_schema(schema)
    for right in ({"command": "disk.usage"}, {"command": "echo", "args": {"text": "x"}}):
        jsonschema.validate(right, schema)
    for wrong in (
        {"command": "git.log"},
        {"command": "disk_usage"},
        {"command": "echo"},
        {"command": "echo", "args": {}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_digest_changes_with_the_commands_and_is_the_registrys_without_them(start):
    gateway, _ = start(listing(lambda: LISTED))
    assert broker_run(gateway)[1] == broker_run(gateway, "?for=model")[1] != gateway.app.state.live.current.digest
    one, other, registry = Command("disk.usage"), Command("disk.usage", is_available=False), Registry()
    assert len({digest_of(registry, ()), digest_of(registry, [one]), digest_of(registry, [other])}) == 3
    assert digest_of(registry, ()) == registry.digest


@pytest.mark.parametrize("answer", [None, Reply(waits=True), Reply({"no": "list"}), Reply(status=500)])
def test_without_the_brokers_word_the_tool_is_told_as_the_registry_has_it_and_soon(start, answer):
    options = {"broker_base": "http://127.0.0.1:9"} if answer is None else {}
    gateway, service = start(*([answer] if answer else []), **options)
    began = time.monotonic()
    schemas = [broker_run(gateway, "?for=model")[0]["schema"] for _ in range(3)]
    assert time.monotonic() - began < 10
    assert all(schema["properties"]["command"] == {"type": "string"} for schema in schemas)
    assert broker_run(gateway)[0]["commands"] == []
    assert sum(seen.path == "/broker/commands" for seen in service.seen) <= 1


def test_a_command_that_there_is_not_is_refused_with_those_there_are(start):
    gateway, service = start(listing(lambda: LISTED))
    answer = gateway.post("/api/tools/broker.run", {"arguments": {"command": "disk_usage"}})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_command")
    assert "disk.usage, echo, git.log" in answer.json()["detail"]
    assert [seen.path for seen in service.seen] == ["/broker/commands"]
