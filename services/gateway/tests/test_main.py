"""The program as it is started: `python -m gateway.main` and `python -m gateway.keys`."""

import base64
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import httpx
import pytest

from gateway.testing import TOKEN, Reply, running_service, wait_until

WITH_ALL_THAT_IS_SAID = """
import functools, logging
import gateway.main as program
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("sqlalchemy").setLevel(logging.DEBUG)
program.configure_logs = functools.partial(program.configure_logs, level="DEBUG")
program.main()
"""
"""The same program, with what every library would say about its work."""


def run(module, env, *words):
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, env=env, cwd=env["XDG_STATE_HOME"][:-6], capture_output=True, text=True, timeout=60)


def keys(env, *words):
    done = run("gateway.keys", env, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_off_loopback_without_a_key_it_does_not_start_and_says_how_to_make_one(env):
    done = run("gateway.main", {**env, "KITTY_BIND": "0.0.0.0"})
    assert done.returncode == 3
    assert "KITTY_BIND=0.0.0.0" in done.stderr
    assert "./kitty keys create --role admin" in done.stderr
    assert "kitty-cli keys" in done.stderr
    closed = run("gateway.main", {**env, "GATEWAY_OPEN_LOOPBACK": "false"})
    assert (closed.returncode, "./kitty keys create" in closed.stderr) == (3, True)


@pytest.mark.parametrize(
    ("name", "value"), [("HAZARD_CONFIRMATION_PHRASE", "no"), ("HAZARD_SIGNING_KEY", "short"), ("GATEWAY_PORT", "x")]
)
def test_a_setting_that_cannot_work_keeps_it_from_starting(env, name, value):
    done = run("gateway.main", {**env, name: value})
    assert (done.returncode, name in done.stderr) == (3, True)


def test_a_short_service_token_is_warned_of_on_loopback(env, started, tmp_path):
    log = tmp_path / "gateway.log"
    with started({**env, "KITTY_SERVICE_TOKEN": "short"}, log):
        pass
    assert "short_service_token" in log.read_text()


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


@pytest.mark.parametrize("program", [("-m", "gateway.main"), ("-c", WITH_ALL_THAT_IS_SAID)], ids=["usual", "debug"])
def test_no_key_and_no_token_is_ever_in_the_logs(env, started, tmp_path, program):
    key, broken = keys(env, "create", "--user", "ann"), keys(env, "create", "--user", "bob")
    wrong = "kitty_" + "w" * 43
    log = tmp_path / "log"

    def forms(text):
        basic = base64.b64encode(f"ann:{text}".encode()).decode()
        yield {"headers": {"authorization": f"Bearer {text}"}}
        yield {"headers": {"x-api-key": text}}
        yield {"headers": {"authorization": text}}
        yield {"headers": {"authorization": f"Basic {basic}"}}
        yield {"headers": {"authorization": f"Bearer {text}", "x-api-key": f"{text}x"}}
        yield {"headers": {"cookie": f"key={text}"}}
        yield {"params": {"api_key": text, "key": text, "access_token": text}}

    with (
        running_service(Reply()) as service,
        started({**env, "GATEWAY_FAILURES_PER_MIN": "5", "BROKER_BASE": service.base_url}, log, program) as (
            base_url,
            _,
        ),
        httpx.Client(base_url=base_url, trust_env=False, timeout=30) as client,
    ):

        def statuses(text):
            return [client.post("/api/tools/disk.look", json={}, **form).status_code for form in forms(text)]

        # The last two are no key at all: the open loopback serves them.
        assert statuses(key) == [200, 200, 401, 401, 401, 200, 200]
        assert statuses(wrong) == [401, 401, 429, 429, 429, 200, 200]
        assert client.get("/api/tools", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        spoil(tmp_path / "state" / "kitty" / "gateway.sqlite3", "bob")
        assert statuses(broken)[:2] == [500, 500]
        assert key not in client.get("/metrics").text
    text = log.read_text()
    assert "open_loopback" in text
    assert text.count('"event": "request"') >= 22
    assert text.count('"event": "request_failed"') == 2
    assert "Traceback" in text
    assert ("DEBUG:httpcore.http11" in text, "INFO:sqlalchemy" in text) == (program[0] == "-c",) * 2
    for secret in (key, broken, wrong):
        for form in (secret, secret[14:], base64.b64encode(f"ann:{secret}".encode()).decode()):
            assert form not in text
    assert TOKEN not in text


def spoil(database, user):
    """A row as no program writes it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute("UPDATE api_keys SET last_used = 'x' WHERE user_id = ?", (user,)).rowcount == 1


@pytest.mark.parametrize(("setting", "is_kept"), [({"AUDIT_STORE_PROMPTS": "true"}, True), ({}, False)])
def test_what_was_asked_is_kept_only_where_that_is_set_and_can_be_erased(env, started, tmp_path, setting, is_kept):
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


def test_reloading_the_registry_under_load_drops_no_request(env, started, tmp_path):
    registry = tmp_path / "registry.yaml"
    as_it_was = registry.read_text()
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
        for text, wanted in [(as_it_was + more, {"disk.look", "disk.more"}), (as_it_was, {"disk.look"})] * 3:
            registry.write_text(text)
            process.send_signal(signal.SIGHUP)
            wait_until(lambda wanted=wanted: tools() == wanted)
            reloads += 1
            before = len(statuses)
            wait_until(lambda before=before: len(statuses) > before + 3, seconds=30)
        registry.write_text("tools: [not, right")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "registry_reload_failed" in (tmp_path / "log").read_text())
        assert tools() == {"disk.look"}
        stop.set()
        for client in clients:
            client.join(30)
    assert reloads == 6
    assert set(map(str, statuses)) == {str((200, {"path": "/look"}))}
