"""What is started: a model server and a coder-agent, for as long as they are needed and no longer."""

import json
import subprocess
import sys

import psutil
import pytest

from kitty_evals.errors import NotConfigured
from kitty_evals.model_server import Model, find_model, serving
from kitty_llm.testing import ScriptedModel
from kitty_models.catalogue import KITTY_CODER_SMALL
from kitty_models.reach import reachable
from kitty_models.store import write_record

ENGINE = """
import json, sys
from kitty_llm.testing import ScriptedModel

config = json.loads(sys.stdin.readline())
with ScriptedModel("x = 1", api_key=config["api_key"]).threaded() as model:
    print(model.base_url, flush=True)
    sys.stdin.read()
"""
STAND_IN = """
import json, os, sys
from kitty_models.testing import Script, listening, script_handler
from http.server import ThreadingHTTPServer

wanted = ("LLAMACPP_", "CODER_", "KITTY_")
facts = {name: value for name, value in os.environ.items() if name.startswith(wanted)} | {"pid": os.getpid()}
open(os.environ["STAND_IN_FACTS"], "w").write(json.dumps(facts))
if os.environ.get("STAND_IN_DIES"):
    sys.exit("the stand-in was told to die")

def generate(body):
    return 200, {"verdict": "verified", "code": "def add(a, b): return a + b", "asked": body}

routes = {"/healthz": (200, {"service": "coder-agent"}), "/api/coding/generate": generate}
ThreadingHTTPServer(("127.0.0.1", int(os.environ["CODER_PORT"])), script_handler(Script(routes))).serve_forever()
"""


@pytest.fixture
def stand_in(evals):
    """A `coder_agent` that shadows the real one and writes down what it was started with."""
    package = evals.folder / "stand_in" / "coder_agent"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(STAND_IN)
    evals.env |= {"PYTHONPATH": str(package.parent), "STAND_IN_FACTS": str(evals.folder / "facts.json")}
    return evals


def test_the_run_starts_a_coder_agent_on_the_model_under_test_and_ends_it(stand_in):
    with ScriptedModel("def add(a, b): return a - b", api_key="key", model="of-the-test").threaded() as model:
        (stand_in.folder / ".env").write_text("LLAMACPP_CODER_API_KEY=other\nLLAMACPP_Q4_HOST=other:1\n")
        words = [str(stand_in.tasks), "--limit", "1", "--model", model.base_url, "--compare", "raw"]
        env = {"LLAMACPP_CODER_API_KEY": "key", "CODER_MAX_TOKENS": "99"}
        env |= {"KITTY_MODEL": "kitty-coder", "CODER_LLM_ROUTE": "brain"}
        done = stand_in.run(*words, "--out", str(stand_in.out), **env)
    assert done.returncode == 0, done.stderr
    assert [(record.arm, record.right) for record in stand_in.records()] == [("raw", False), ("tier", True)]
    facts = json.loads((stand_in.folder / "facts.json").read_text())
    assert {facts[f"LLAMACPP_{role}_BASE"] for role in ("Q4", "F16", "CODER")} == {model.base_url}
    assert (facts["LLAMACPP_API_KEY"], facts["LLAMACPP_CODER_API_KEY"], facts["LLAMACPP_Q4_HOST"]) == ("key", "", "")
    assert (facts["KITTY_BIND"], facts["CODER_MAX_TOKENS"], facts["KITTY_MODEL"]) == ("127.0.0.1", "99", "")
    assert facts["CODER_LLM_ROUTE"] == "direct"
    assert not psutil.pid_exists(facts["pid"])
    assert (stand_in.out / "coder-agent.log").exists()


def test_the_whole_chain_with_the_real_coder_agent_and_a_scripted_model(evals):
    row = json.loads(evals.tasks.read_text().splitlines()[0]) | {"request": "Write add(a, b). add(1, 2) == 3"}
    evals.tasks.write_text(json.dumps(row) + "\n")
    with ScriptedModel("def add(a, b):\n    return a + b\n```\n").threaded() as model:
        words = [str(evals.tasks), "--model", model.base_url, "--compare", "raw", "--tier", "fast"]
        keys = {"KITTY_SERVICE_TOKEN": "inner" * 9, "KITTY_API_KEY": "outer"}
        done = evals.run(*words, "--out", str(evals.out), **keys)
    assert done.returncode == 0, done.stderr
    raw, tier = evals.records()
    assert (raw.right, raw.usage.calls, raw.usage.completion_tokens > 0) == (True, 1, True)
    assert (tier.right, tier.verdict, tier.tier, tier.evidence["examples"]) == (True, "verified", "fast", 1)
    assert tier.usage.paid_tokens > 0
    assert evals.report()["differences"][0]["points"] == 0.0
    listed = [sys.executable, "-m", "kitty_cli.main", "audit", "list", "--json"]
    audit = json.loads(subprocess.run(listed, env=evals.env, capture_output=True, check=True, timeout=60).stdout)
    assert [(row["job_id"], row["user_id"]) for row in audit["entries"]] == [(tier.job_id, "local")]
    (kept,) = (evals.out / "evidence").glob("*.json")
    evidence = json.loads(kept.read_text())
    assert (kept.stem, evidence["task"], evidence["right"]) == (tier.job_id, "t/add", {"0": True})
    replayed = evals.run("replay", str(evals.out))
    assert (replayed.returncode, replayed.stdout.splitlines()[-1]) == (
        0,
        "1 jobs: 1 decided as before, 1 settled, 1 of 1 known right.",
    )


def test_a_coder_agent_that_dies_at_its_start_shows_its_last_words(stand_in):
    with ScriptedModel("").threaded() as model:
        done = stand_in.run(str(stand_in.tasks), "--model", model.base_url, STAND_IN_DIES="1")
    assert done.returncode == 3
    assert "the stand-in was told to die" in done.stderr


async def test_a_model_file_is_served_as_long_as_the_block_lasts(tmp_path):
    path = tmp_path / "my-model.gguf"
    path.write_bytes(b"GGUF")
    write_record(path, "local", "a test", "ab" * 32)
    found = await find_model(str(path), {})
    assert (found.name, found.sha256) == ("my-model", "ab" * 32)
    async with serving(found, (sys.executable, "-c", ENGINE)) as server:
        assert server.alias == "my-model"
        assert (await reachable(server.base_url, server.api_key, 5)).state == "ok"
    assert (await reachable(server.base_url, server.api_key, 5)).state == "refused"


async def test_an_engine_that_does_not_start_is_told(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(NotConfigured, match="no such thing"):
        async with serving(Model("m", path=path), (sys.executable, "-c", "raise SystemExit('no such thing')")):
            raise AssertionError("nothing is served")


async def test_the_model_is_the_named_one_else_the_environments(tmp_path):
    path = tmp_path / KITTY_CODER_SMALL.file_name
    with path.open("wb") as file:
        file.write(b"GGUF")
        file.truncate(KITTY_CODER_SMALL.size_bytes)
    write_record(path, "local", "a test", KITTY_CODER_SMALL.sha256)
    env = {"KITTY_MODEL_DIR": str(tmp_path)}
    async with ScriptedModel(model="/models/big.gguf") as one:
        servers = env | {"LLAMACPP_CODER_BASE": one.base_url}
        named = await find_model("kitty-coder-small", servers)
        assert (named.name, named.sha256, named.base_url) == ("kitty-coder-small", KITTY_CODER_SMALL.sha256, None)
        by_env = await find_model(None, servers)
        assert (by_env.name, by_env.base_url) == ("big", one.base_url)
        several = await find_model(None, env | {"LLAMACPP_CODER_BASE": f"127.0.0.1:9, {one.base_url}"})
        assert (several.name, several.base_url) == ("big", one.base_url)
    assert (await find_model(None, env | {"KITTY_MODEL": "kitty-coder-small"})).name == "kitty-coder-small"
    assert (await find_model(None, env)).name == "kitty-coder-small"


async def test_a_server_that_names_no_model_goes_by_its_address():
    async with ScriptedModel(openai=False) as server:
        assert (await find_model(server.base_url, {})).name == f"127.0.0.1:{server.port}"


async def test_a_refused_key_says_which_variable_to_set():
    async with ScriptedModel(api_key="key") as server:
        with pytest.raises(NotConfigured, match="LLAMACPP_API_KEY"):
            await find_model(server.base_url, {})
