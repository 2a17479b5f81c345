"""The shipped registry and list of commands: a real gateway in front of a real broker and a real coder-agent."""

import json
from pathlib import Path

import yaml

from brain.prompts import EXAMPLES
from brain.testing import running_brain
from broker.testing import TOKEN, running_broker
from coder_agent.testing import running_agent
from gateway.testing import running_gateway
from kitty_llm.testing import ScriptedModel
from kitty_sandbox import Cell
from kitty_sandbox.testing import ScriptedSandbox, every, make_result

CONFIG = Path(__file__).parents[2] / "config"
LIST = CONFIG / "commands.yaml"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
ASK = {"request": "Write add(a, b). add(1, 2) == 3", "tier": "fast"}


def test_a_command_of_the_broker_runs_through_the_door_and_a_dangerous_one_waits(tmp_path):
    registry = (CONFIG / "tool_registry.yaml").read_text()
    with (
        running_broker(broker_allow_list=str(CONFIG / "commands.yaml")) as broker,
        running_gateway(tmp_path, registry, broker_base=broker.base_url, kitty_service_token=TOKEN) as gateway,
    ):
        call = {"arguments": {"command": "disk.usage"}}
        answer = gateway.post("/api/tools/broker_run", call).json()
        assert (answer["tool"], answer["decision"], answer["status"]) == ("broker.run", "allowed", "ok")
        assert answer["result"]["exit_code"] == 0
        assert gateway.post("/api/tools/broker.run", {"arguments": {"command": "no.such"}}).status_code == 404
        danger = gateway.post("/api/tools/broker.run", {"arguments": {"command": "pytest.run"}})
        assert (danger.status_code, danger.json()["hazardClass"]) == (202, "high")
        waiting = f"/api/confirmations/{danger.json()['pendingId']}"
        assert gateway.post(waiting, {"message": "no"}).json()["tool"] == "broker.run"
        rows = [tuple(row[name] for name in ("tool", "decision", "status", "error")) for row in gateway.rows()]
        assert rows == [
            ("broker.run:disk.usage", "allowed", "ok", None),
            ("broker.run:no.such", "blocked", None, "unknown_command"),
            ("broker.run:pytest.run", "blocked", None, "needs_confirmation"),
            ("broker.run:pytest.run", "cancelled", None, None),
        ]
        assert [row["hazard_class"] for row in gateway.rows()] == ["none", "high", "high", "high"]


def test_the_brain_runs_a_command_that_the_shipped_list_has_and_can_write_no_other(tmp_path):
    registry = (CONFIG / "tool_registry.yaml").read_text()
    said = iter(
        ['{"tool": "broker_run", "arguments": {"command": "disk.usage", "args": {}}}', '{"answer": true}', "Much."]
    )
    with (
        running_broker(broker_allow_list=str(CONFIG / "commands.yaml"), broker_workspace=str(tmp_path)) as broker,
        running_gateway(tmp_path, registry, broker_base=broker.base_url, kitty_service_token=TOKEN) as gateway,
        ScriptedModel(lambda messages: next(said)).threaded() as model,
        running_brain(model.base_url, gateway.base_url, kitty_service_token=TOKEN) as brain,
    ):
        told = next(tool for tool in gateway.get("/api/tools").json()["tools"] if tool["name"] == "broker.run")
        there = {entry["name"] for entry in told["commands"] if entry["available"]}
        assert {entry["name"] for entry in told["commands"]} == set(yaml.safe_load(LIST.read_text())["commands"])
        body = brain.query("What room is left on the disk?").json()
        assert (body["result"]["output"], body["routing"]["metadata"]["tools_used"]) == ("Much.", ["broker.run"])
        [row] = gateway.rows()
        assert (row["decision"], row["status"], row["hazard_class"]) == ("allowed", "ok", "none")
        first = model.generations[0]
        schema = first.body["response_format"]["json_schema"]["schema"]
        [broker_run] = [one for one in schema["anyOf"] if one["properties"].get("tool") == {"const": "broker_run"}]
        commands = broker_run["properties"]["arguments"]["anyOf"]
        assert {one["properties"]["command"]["const"] for one in commands} == there
        assert "Length" not in json.dumps(schema)
        assert (
            json.dumps({"tool": "broker_run", "arguments": EXAMPLES["broker_run"][1]}) in first.messages[0]["content"]
        )


def test_the_coder_agent_answers_through_the_gateway_as_it_does_itself(tmp_path):
    registry = (CONFIG / "tool_registry.yaml").read_text()
    sandbox = ScriptedSandbox(*[make_result("failed")] * 8, rows=every(Cell("passed")))
    with (
        ScriptedModel(RIGHT).threaded() as model,
        running_agent(model.base_url, sandbox=sandbox) as agent,
        running_gateway(tmp_path, registry, coder_agent_base=agent.base_url) as gateway,
    ):
        answer = gateway.post("/api/coding/generate", ASK, **{"x-request-id": "r1"})
        assert (answer.status_code, answer.json()["request_id"]) == (200, "r1")
        assert "def add" in answer.json()["code"]
        text = gateway.post("/api/coding/stream", ASK).text
        assert '"type":"started"' in text
        assert text.rstrip().split("\n\n")[-1].startswith('data: {"type":"complete"')
        for row, body in zip(gateway.rows(), (answer.json(), None), strict=True):
            assert (row["tool"], row["decision"], row["status"]) == ("coding.generate", "allowed", "failed")
            assert row["verdict"] == answer.json()["verdict"]
            assert row["code_sha256"] == answer.json()["code_sha256"]
            assert body is None or row["job_id"] == body["job_id"]
        refused = gateway.post("/api/coding/generate", {**ASK, "allow_network": True})
        assert (refused.status_code, refused.json()["code"]) == (403, "network_refused")
        assert gateway.rows()[2]["error"] == "network_refused"


def test_a_job_is_followed_through_the_gateway_by_its_user_and_an_admin_and_nobody_else(tmp_path):
    registry = (CONFIG / "tool_registry.yaml").read_text()
    sandbox = ScriptedSandbox(*[make_result("failed")] * 8, rows=every(Cell("passed")))
    with (
        ScriptedModel(RIGHT).threaded() as model,
        running_agent(model.base_url, sandbox=sandbox, kitty_service_token=TOKEN) as agent,
        running_gateway(tmp_path, registry, coder_agent_base=agent.base_url, kitty_service_token=TOKEN) as gateway,
    ):
        ann, bob, root = gateway.key("ann"), gateway.key("bob"), gateway.key("root", "admin")
        first, again = (gateway.post("/api/coding/jobs", ASK, **ann, **{"idempotency-key": "k"}) for _ in range(2))
        assert (first.status_code, again.json()["job_id"]) == (202, first.json()["job_id"])
        place = first.headers["location"]
        events = gateway.get(f"{place}/events", **ann).text
        assert events.startswith("id: 1\ndata: {")
        last = events.rstrip().split("\n\n")[-1]
        number = last.partition("\n")[0].removeprefix("id: ")
        assert gateway.get(f"{place}/events", **ann, **{"last-event-id": str(int(number) - 1)}).text.rstrip() == last
        assert gateway.get(f"{place}/events", **ann, **{"last-event-id": number}).status_code == 204
        job = gateway.get(place, **ann).json()
        assert (job["user_id"], job["status"]) == ("ann", "succeeded")
        assert "def add" in job["result"]["code"]
        for stranger in (bob, {**root, "x-kitty-surface": "model"}):
            refused = [gateway.get(f"{place}{rest}", **stranger) for rest in ("", "/events")]
            refused += [gateway.post(f"{place}{rest}", {}, **stranger) for rest in ("/cancel", "/resume")]
            assert [answer.json()["code"] for answer in refused] == ["no_such_job"] * 4
            assert gateway.get("/api/coding/jobs", **stranger).json() == {"jobs": []}
        for admin in (root, {}):  # without a key the user of the open loopback is one
            assert [one["job_id"] for one in gateway.get("/api/coding/jobs", **admin).json()["jobs"]] == [job["job_id"]]
        assert gateway.post(f"{place}/cancel", {}, **root).json()["status"] == "succeeded"
        assert gateway.post(f"{place}/resume", {}, **ann).json()["code"] == "job_not_resumable"
