"""The program as it is started: `python -m gateway.main` and `python -m gateway.keys`."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest

from gateway.testing import TOKEN, Reply, running_service, wait_until

REGISTRY = "tools:\n  disk.look: {method: GET, url: '${BROKER_BASE}/look', hazard_class: none}\n"


@pytest.fixture
def env(tmp_path):
    """What a fresh user has."""
    registry = tmp_path / "registry.yaml"
    registry.write_text(REGISTRY)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {
        **kept,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TOOL_REGISTRY_PATH": str(registry),
        "BROKER_BASE": "http://127.0.0.1:9",
        "KITTY_SERVICE_TOKEN": TOKEN,
    }


def run(module, env, *words):
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, env=env, cwd=env["XDG_STATE_HOME"][:-6], capture_output=True, text=True, timeout=60)


def keys(env, *words):
    done = run("gateway.keys", env, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def started(env, log):
    """A running gateway; yields (base URL, process). Its output goes to `log`."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.main"],
            env={**env, "GATEWAY_PORT": str(port)},
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    base_url = f"http://127.0.0.1:{port}"

    def answers():
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{base_url}/metrics", trust_env=False).status_code == 200
        except httpx.ConnectError:
            return False

    try:
        wait_until(answers, seconds=60)
        yield base_url, process
    finally:
        process.terminate()
        process.wait(30)


def test_off_loopback_without_a_key_it_does_not_start_and_says_how_to_make_one(env):
    done = run("gateway.main", {**env, "KITTY_BIND": "0.0.0.0"})
    assert done.returncode == 3
    assert "KITTY_BIND=0.0.0.0" in done.stderr
    assert "gateway.keys create --role admin" in done.stderr
    closed = run("gateway.main", {**env, "GATEWAY_OPEN_LOOPBACK": "false"})
    assert (closed.returncode, "gateway.keys create" in closed.stderr) == (3, True)


@pytest.mark.parametrize(
    ("name", "value"), [("HAZARD_CONFIRMATION_PHRASE", "no"), ("HAZARD_SIGNING_KEY", "short"), ("GATEWAY_PORT", "x")]
)
def test_a_setting_that_cannot_work_keeps_it_from_starting(env, name, value):
    done = run("gateway.main", {**env, name: value})
    assert (done.returncode, name in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("registry", "place"),
    [
        ("tools:\n  a.b: {methd: GET, url: http://x/y}\n", "registry.yaml:2"),
        ("tools:\n  a.b: {method: GET, url: http://gateway:8080/nowhere}\n", "points at the gateway itself"),
    ],
)
def test_a_registry_that_is_not_right_keeps_it_from_starting(env, tmp_path, registry, place):
    (tmp_path / "registry.yaml").write_text(registry)
    done = run("gateway.main", env)
    assert done.returncode == 3
    assert place in done.stderr


def test_keys_are_made_shown_once_listed_and_revoked(env):
    made = json.loads(keys(env, "create", "--user", "ann", "--role", "admin", "--json"))
    assert made["key"].startswith("kitty_")
    assert made["key"][6:14] == made["id"]
    listed = keys(env, "list")
    assert made["key"] not in listed
    assert (made["id"] in listed, "ann" in listed, "never" in listed) == (True, True, True)
    keys(env, "revoke", made["id"])
    assert "revoked" in keys(env, "list")
    assert run("gateway.keys", env, "revoke", made["id"]).returncode == 2


@pytest.mark.parametrize("name", ["local", "Service", "", "a b", "größe", "a\nb", "-x"])
def test_a_name_that_could_be_mistaken_makes_no_key(env, name):
    assert run("gateway.keys", env, "create", f"--user={name}").returncode == 2


def test_no_key_and_no_token_is_ever_in_the_logs(env, tmp_path):
    key = keys(env, "create", "--user", "ann")
    wrong = "kitty_" + "w" * 43
    log = tmp_path / "log"
    with started({**env, "GATEWAY_FAILURES_PER_MIN": "2"}, log) as (base_url, _):
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
            answer = httpx.post(f"{base_url}/api/tools/disk.look", json={}, headers=headers, trust_env=False)
            assert answer.status_code == 502
        for _ in range(4):
            assert httpx.get(f"{base_url}/api/tools", headers={"x-api-key": wrong}, trust_env=False).status_code >= 401
        httpx.get(f"{base_url}/api/tools?key={key[:5]}", headers={"cookie": key}, trust_env=False)
        assert key not in httpx.get(f"{base_url}/metrics", trust_env=False).text
    text = log.read_text()
    assert "open_loopback" in text
    assert text.count('"event": "request"') >= 6
    for secret in (key, key[14:], wrong, wrong[14:], TOKEN):
        assert secret not in text


@pytest.mark.parametrize(("setting", "is_kept"), [({"AUDIT_STORE_PROMPTS": "true"}, True), ({}, False)])
def test_what_was_asked_is_kept_only_where_that_is_set_and_can_be_erased(env, tmp_path, setting, is_kept):
    def is_on_disk():
        return any(b"sesame" in file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())

    body = {"arguments": {"path": "open sesame"}}
    with started({**env, **setting}, tmp_path / "log") as (base_url, _):
        assert httpx.post(f"{base_url}/api/tools/disk.look", json=body, trust_env=False).status_code == 502
        assert is_on_disk() == is_kept
        counted = run("kitty_core.audit", env, "prompts").stdout
        assert counted == f"{int(is_kept)} prompts are kept\n"
        assert run("kitty_core.audit", env, "prompts", "--erase").returncode == 0
        assert not is_on_disk()
    assert b"sesame" not in (tmp_path / "log").read_bytes()
    listed = json.loads(run("kitty_core.audit", env, "list", "--tool", "disk_look", "--json").stdout)
    assert [entry["tool"] for entry in listed["entries"]] == ["disk.look"]
    assert run("kitty_core.audit", env, "verify").stdout.startswith("whole: 1 rows")


def test_reloading_the_registry_under_load_drops_no_request(env, tmp_path):
    registry = tmp_path / "registry.yaml"
    more = "  disk.more: {method: GET, url: '${BROKER_BASE}/more', hazard_class: none}\n"
    stop = threading.Event()
    statuses, reloads = [], 0
    with (
        running_service(lambda seen: Reply({"path": seen.path})) as service,
        started(
            {**env, "BROKER_BASE": service.base_url, "GATEWAY_RATE_PER_MIN": "100000"}, tmp_path / "log"
        ) as running,
    ):
        base_url, process = running

        def load():
            with httpx.Client(base_url=base_url, trust_env=False, timeout=30) as client:
                while not stop.is_set():
                    answer = client.post("/api/tools/disk.look", json={})
                    statuses.append((answer.status_code, answer.json().get("result")))

        def tools():
            return {tool["name"] for tool in httpx.get(f"{base_url}/api/tools", trust_env=False).json()["tools"]}

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        for text, wanted in [(REGISTRY + more, {"disk.look", "disk.more"}), (REGISTRY, {"disk.look"})] * 3:
            registry.write_text(text)
            process.send_signal(signal.SIGHUP)
            wait_until(lambda wanted=wanted: tools() == wanted)
            reloads += 1
        registry.write_text("tools: [not, right")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "registry_reload_failed" in (tmp_path / "log").read_text())
        assert tools() == {"disk.look"}
        stop.set()
        for client in clients:
            client.join(30)
    assert reloads == 6
    assert len(statuses) > 20
    assert set(map(str, statuses)) == {str((200, {"path": "/look"}))}
