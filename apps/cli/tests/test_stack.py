"""`up` and `down`. The programs are stand-in packages; processes, ports, signals and files are real."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import filelock
import psutil
import pytest

from kitty_cli.gateway import USUAL, find_gateway
from kitty_cli.stack_door import door_lines
from kitty_cli.stack_plan import KINDS, plan_programs, with_absolute_paths
from kitty_cli.stack_record import ProgramRecord, StackRecord, read_stack, stack_file
from kitty_cli.testing import CODE
from kitty_models.testing import Script, listening, script_handler

WITHIN_SEC = 20
PROGRAM = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

NAME, VARIABLE = "{name}", "{variable}"
with open(os.environ["STAND_IN_STARTS"], "a") as file:
    file.write(f"{{os.getpid()}} {{NAME}}\\n")
if os.environ.get("STAND_IN_REFUSES") == NAME:
    print(NAME + ": SOME_SETTING: is wrong")
    sys.exit(3)
if os.environ.get("STAND_IN_ENDS_SILENTLY") == NAME:
    sys.exit(3)
if os.environ.get("STAND_IN_CRASHES") == NAME:
    raise RuntimeError("a library is missing")
if os.environ.get("STAND_IN_IS_SLOW") == NAME:
    time.sleep(2)
if os.environ.get("STAND_IN_HANGS") == NAME:
    time.sleep(600)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        told = {{name: os.environ.get(name) for name in ("KITTY_BIND", "GATEWAY_BASE", "BROKER_WORKSPACE")}}
        missing = int(os.environ.get("STAND_IN_LACKS", "0")) if told["BROKER_WORKSPACE"] else 6
        counts = {{"commands_available": 8 - missing, "commands_unavailable": missing}}
        body = {{"service": NAME, "status": "ok", "token": os.environ.get("KITTY_SERVICE_TOKEN"), "told": told}}
        body["jobs_running"] = int(os.environ.get("STAND_IN_JOBS", "0"))
        body = json.dumps(body | (counts if NAME == "broker" else {{}})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

HTTPServer((os.environ["KITTY_BIND"], int(os.environ[VARIABLE])), Handler).serve_forever()
"""


@pytest.fixture
def stack(cli, scripted, free_ports):
    """The command line with stand-ins for all programs, each on a port of its own, and a model server that is there."""
    for kind, port in zip(KINDS, free_ports(len(KINDS)), strict=True):
        package = cli.folder / "stand_in" / kind.module.partition(".")[0]
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "main.py").write_text(PROGRAM.format(name=kind.name, variable=kind.port_variable))
        cli.env[kind.port_variable] = str(port)
    cli.env["PYTHONPATH"] = str(cli.folder / "stand_in")
    cli.env["LLAMACPP_CODER_BASE"] = scripted().base_url
    yield cli
    cli.run("down")


def record(cli) -> dict:
    return json.loads((cli.folder / "state" / "kitty" / "stack.json").read_text())


def pids(cli) -> dict[str, int]:
    return {program["name"]: program["pid"] for program in record(cli)["programs"]}


def wait_until(holds) -> None:
    deadline = time.monotonic() + WITHIN_SEC
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_up_starts_every_program_and_down_leaves_none(stack):
    first = stack.run("up")
    assert first.returncode == 0, first.stderr
    assert "Ask with" in first.stdout
    running = {**pids(stack), "supervisor": record(stack)["pid"]}
    assert set(running) == {"broker", "coder-agent", "brain", "gateway", "supervisor"}
    assert all(os.getsid(pid) == pid for pid in running.values())
    for name in ("broker", "coder-agent", "brain", "gateway"):
        assert name in first.stdout
    assert "running" in first.stdout
    again = stack.run("up", "--model", "other")
    assert "It runs already. --model other changes nothing" in again.stdout
    assert len(stack.started()) == 4
    assert "gateway" in stack.run("down").stdout
    assert all(is_gone(pid) for pid in running.values())
    assert not (stack.folder / "state" / "kitty" / "stack.json").exists()
    assert "Nothing" in stack.run("down").stdout


def test_all_programs_share_one_token_that_only_this_user_can_read(stack):
    began = json.loads(stack.run("up", "--json", STAND_IN_IS_SLOW="brain").stdout)
    assert began["supervised"] is True
    assert [(program["state"], program["health"]["status"]) for program in began["programs"]] == [("running", "ok")] * 4
    told = json.loads(stack.run("status", "--json").stdout)["stack"]
    tokens = {program["health"]["token"] for program in told["programs"]}
    file = stack.folder / "state" / "kitty" / "service-token"
    assert tokens == {file.read_text().strip()}
    assert file.stat().st_mode & 0o077 == 0
    logs = Path(told["programs"][0]["log"]).parent
    for path in (file.parent / "stack.json", logs, *logs.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_up_says_that_a_token_of_ones_own_can_be_guessed(stack):
    assert "KITTY_SERVICE_TOKEN has fewer than 16 characters" in stack.run("up", KITTY_SERVICE_TOKEN="short").stderr
    stack.run("down")
    assert "KITTY_SERVICE_TOKEN" not in stack.run("up", KITTY_SERVICE_TOKEN="x" * 16).stderr


def test_a_program_that_dies_is_started_again_at_the_same_address(stack):
    assert stack.run("up").returncode == 0
    before = pids(stack)
    os.kill(before["brain"], signal.SIGKILL)
    wait_until(lambda: pids(stack)["brain"] != before["brain"] and record_of(stack, "brain")["state"] == "running")
    assert record_of(stack, "brain")["restarts"] == 1
    assert record_of(stack, "brain")["base_url"].endswith(stack.env["BRAIN_PORT"])
    assert {name: pid for name, pid in pids(stack).items() if name != "brain"} == {
        name: pid for name, pid in before.items() if name != "brain"
    }
    assert "started again 1 times" in stack.run("status").stdout


def record_of(cli, name: str) -> dict:
    return next(program for program in record(cli)["programs"] if program["name"] == name)


def test_a_port_in_use_is_named_with_its_holder_and_the_variable_that_moves_it(stack):
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(stack.env["GATEWAY_PORT"])))
        other.listen()
        done = stack.run("up")
    assert done.returncode == 3
    assert f"{stack.env['GATEWAY_PORT']} (gateway) is in use by" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert "GATEWAY_PORT names another" in done.stderr
    assert not stack.started()


def test_a_wrong_setting_ends_the_start_with_what_the_program_said(stack):
    done = stack.run("up", STAND_IN_REFUSES="brain")
    assert done.returncode == 3
    assert "brain ended at its start." in done.stderr
    assert "SOME_SETTING: is wrong" in done.stderr
    assert all(is_gone(int(pid)) for pid, *_ in stack.started())
    assert "Nothing is running" in stack.run("status").stdout
    silent = stack.run("up", STAND_IN_ENDS_SILENTLY="brain")
    assert (silent.returncode, "SOME_SETTING" in silent.stderr) == (3, False)
    assert "brain ended at its start. It said nothing" in silent.stderr


def test_a_program_that_crashes_at_its_start_is_told_at_once_with_what_it_said(stack):
    began = time.monotonic()
    done = stack.run("up", STAND_IN_CRASHES="gateway")
    assert time.monotonic() - began < WITHIN_SEC
    assert (done.returncode, done.stdout) == (3, "")
    assert "gateway ended at its start with status 1. It said last" in done.stderr
    assert "RuntimeError: a library is missing" in done.stderr
    assert [name for _, name in stack.started()].count("gateway") == 1
    assert all(is_gone(int(pid)) for pid, *_ in stack.started())


def test_two_programs_on_one_port_are_refused(stack):
    done = stack.run("up", BRAIN_PORT=stack.env["GATEWAY_PORT"])
    assert done.returncode == 3
    assert "brain and gateway are both to listen on port" in done.stderr


@pytest.mark.parametrize("port", ["0", "70000", "http", "-1"])
def test_a_variable_that_is_no_port_is_named(stack, port):
    done = stack.run("up", BROKER_PORT=port)
    assert done.returncode == 3
    assert f"BROKER_PORT: {port!r} is not a port." in done.stderr


def test_a_supervisor_that_is_told_to_end_takes_its_programs_along(stack):
    assert stack.run("up").returncode == 0
    running = [*pids(stack).values(), record(stack)["pid"]]
    os.kill(running[-1], signal.SIGTERM)
    wait_until(lambda: all(is_gone(pid) for pid in running))
    assert "Nothing is running" in stack.run("status").stdout


def test_what_a_killed_supervisor_left_is_ended_by_down(stack, monkeypatch):
    assert stack.run("up").returncode == 0
    running = pids(stack)
    os.kill(record(stack)["pid"], signal.SIGKILL)
    wait_until(lambda: is_gone(record(stack)["pid"]))
    os.kill(running["brain"], signal.SIGKILL)
    wait_until(lambda: is_gone(running["brain"]))
    document = record(stack)
    for program in document["programs"]:
        program["state"] = "ended with 1, starts again in 30 s" if program["name"] == "brain" else program["state"]
    (stack.folder / "state" / "kitty" / "stack.json").write_text(json.dumps(document))
    shown = stack.run("status").stdout
    assert "lost its supervisor" in shown
    assert next(line for line in shown.splitlines() if line.startswith("brain")).split()[2] == "gone"
    monkeypatch.setenv("XDG_STATE_HOME", stack.env["XDG_STATE_HOME"])
    assert find_gateway(None, {}).base_url == USUAL
    assert stack.run("down").returncode == 0
    assert all(is_gone(pid) for pid in running.values())


def test_up_takes_over_from_a_killed_supervisor(stack):
    assert stack.run("up").returncode == 0
    before = pids(stack)
    os.kill(record(stack)["pid"], signal.SIGKILL)
    assert stack.run("up").returncode == 0
    assert all(is_gone(pid) for pid in before.values())
    assert not set(pids(stack).values()) & set(before.values())


def test_paths_hold_wherever_the_programs_run(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "commands.yaml").touch()
    env = {"KITTY_MODEL_DIR": "models", "SANDBOX_PY_PATH": "/usr/bin/python3", "CODER_EVIDENCE_DIR": "off", "A": "b"}
    located = with_absolute_paths(env, tmp_path)
    assert located["KITTY_MODEL_DIR"] == str(tmp_path / "models")
    assert located["SANDBOX_PY_PATH"] == "/usr/bin/python3"
    assert (located["CODER_EVIDENCE_DIR"], located["A"]) == ("off", "b")
    assert located["BROKER_ALLOW_LIST"] == str(tmp_path / "config" / "commands.yaml")
    assert Path(located["TOOL_REGISTRY_PATH"]).is_file()
    assert with_absolute_paths({"TOOL_REGISTRY_PATH": "mine.yaml"}, tmp_path)["TOOL_REGISTRY_PATH"] == str(
        tmp_path / "mine.yaml"
    )


def test_the_brokers_workspace_is_named_where_the_stack_is_shown(stack):
    (stack.folder / "my work").mkdir()
    began = stack.run("up", "--workspace", "my work", "--workspace", str(stack.folder / "home"))
    assert began.returncode == 0, began.stderr
    both = f"{stack.folder / 'my work'}:{stack.folder / 'home'}"
    shown = stack.run("status")
    for text in (began.stdout, shown.stdout):
        assert f"Workspace of the broker: {both}\n" in text
    assert told(stack)["broker"]["BROKER_WORKSPACE"] == both


def test_a_stack_that_runs_takes_no_other_workspace_and_says_so(stack):
    (stack.folder / "link").symlink_to("home")
    assert stack.run("up", "--workspace", "home").returncode == 0
    for again in (("up",), ("up", "--workspace", "home"), ("up", "--workspace", "link")):
        done = stack.run(*again)
        assert (done.returncode, "It runs already." in done.stdout) == (0, True)
    for other in (("--workspace", "."), ("--workspace", "home", "--workspace", ".")):
        refused = stack.run("up", *other)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"with the workspace {stack.folder / 'home'}; nothing was changed" in refused.stderr
    assert len(stack.started()) == 4
    assert told(stack)["broker"]["BROKER_WORKSPACE"] == str(stack.folder / "home")


def test_a_stack_without_a_workspace_takes_none_later(stack):
    assert stack.run("up").returncode == 0
    refused = stack.run("up", "--workspace", "home")
    assert (refused.returncode, "with no workspace; nothing was changed" in refused.stderr) == (2, True)


def test_without_a_workspace_it_is_said_what_is_missing(stack):
    began = stack.run("up")
    for text in (began.stdout, stack.run("status").stdout):
        words = "The broker has no workspace: 6 of 8 commands are unavailable (`kitty-cli tools` says why)."
        assert f"{words} `kitty-cli down`, then `up --workspace DIR`, gives it one." in text


def test_commands_that_are_unavailable_for_another_reason_are_counted_and_the_reason_is_where_it_is_said(stack):
    began = stack.run("up", "--workspace", "home", STAND_IN_LACKS="2")
    assert f"{stack.folder / 'home'}: 2 of 8 commands are unavailable (`kitty-cli tools` says why)\n" in began.stdout


@pytest.mark.parametrize("folder", ["nowhere", "a:b"])
def test_a_workspace_that_is_none_is_refused_before_anything_starts(stack, folder):
    (stack.folder / "a:b").mkdir()
    done = stack.run("up", "--workspace", folder)
    assert (done.returncode, stack.started()) == (2, [])
    assert f"--workspace {stack.folder / folder}" in done.stderr


def told(cli) -> dict[str, dict[str, str]]:
    programs = json.loads(cli.run("status", "--json").stdout)["stack"]["programs"]
    return {program["name"]: program["health"]["told"] for program in programs}


def test_only_the_gateway_listens_for_other_machines_and_a_key_is_asked_for(stack):
    began = stack.run("up", KITTY_BIND="0.0.0.0", KITTY_COMMAND="./kitty")
    assert began.returncode == 0, began.stderr
    binds = {name: variables["KITTY_BIND"] for name, variables in told(stack).items()}
    assert binds == dict.fromkeys(("broker", "coder-agent", "brain"), "127.0.0.1") | {"gateway": "0.0.0.0"}
    shown = stack.run("status", KITTY_COMMAND="./kitty").stdout
    for text in (began.stdout, began.stderr, shown):
        assert "The gateway listens on 0.0.0.0" in text
        assert "`./kitty keys create --role admin`" in text
    stack.run("down")
    assert "The gateway listens" not in stack.run("up").stdout


@pytest.mark.parametrize(
    ("bind", "host", "is_open"),
    [
        ("127.0.0.5", "127.0.0.5", False),
        ("localhost", "localhost", False),
        ("::1", "[::1]", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "[::1]", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("box.example", "box.example", True),
    ],
)
def test_all_programs_know_where_the_gateway_can_be_called(bind, host, is_open):
    programs = {p.name: p for p in plan_programs({"KITTY_BIND": bind, "KITTY_ALLOWED_HOSTS": "gateway"}, "t")}
    assert programs["gateway"].base_url == f"http://{host}:8080"
    assert {p.env["GATEWAY_BASE"] for p in programs.values()} == {f"http://{host}:8080"}
    assert programs["gateway"].env["KITTY_ALLOWED_HOSTS"] == f"gateway,{host}"
    assert programs["brain"].base_url == "http://127.0.0.1:8000"
    assert bool(list(door_lines(bind))) is is_open


def test_an_address_that_is_not_this_machines_is_named(stack):
    done = stack.run("up", KITTY_BIND="192.0.2.7")
    assert (done.returncode, stack.started()) == (3, [])
    assert "KITTY_BIND=192.0.2.7: this machine cannot listen there" in done.stderr


def test_the_model_servers_log_and_health_are_shown_with_the_others(stack):
    assert stack.run("up").returncode == 0
    document = record(stack)
    log = str(stack.folder / "state" / "kitty" / "logs" / "model.log")
    me = {"pid": os.getpid(), "created": psutil.Process().create_time(), "state": "running", "restarts": 0}
    with listening(script_handler(Script({"/health": (200, {}), "/v1/models": (200, {})}, "its key"))) as base_url:
        model = {"name": "model", "base_url": base_url, "log": log, **me}
        file = stack.folder / "state" / "kitty" / "stack.json"
        file.write_text(json.dumps(document | {"programs": [model, *document["programs"]]}))
        shown = json.loads(stack.run("status", "--json").stdout)["stack"]["programs"][0]
        assert (shown["name"], shown["health"], shown["log"]) == ("model", {"status": "ok"}, log)
        assert "running, ok" in stack.run("status").stdout.splitlines()[0]
    gone = json.loads(stack.run("status", "--json").stdout)["stack"]["programs"][0]
    assert gone["health"] is None
    file.write_text(json.dumps(document))


def test_no_secret_is_on_a_command_line_or_in_the_record(stack):
    assert stack.run("up", LLAMACPP_API_KEY="secret-of-the-model").returncode == 0
    token = (stack.folder / "state" / "kitty" / "service-token").read_text().strip()
    shown = json.dumps(record(stack))
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in [record(stack)["pid"], *pids(stack).values()]]
    for secret in (token, "secret-of-the-model"):
        assert secret not in shown
        assert all(secret not in line for line in lines)


def test_code_goes_through_the_gateway_of_the_stack(stack, scripted):
    assert stack.run("up").returncode == 0
    agent = scripted()
    document = record(stack)
    for program in document["programs"]:
        if program["name"] == "gateway":
            program["base_url"] = agent.base_url
    (stack.folder / "state" / "kitty" / "stack.json").write_text(json.dumps(document))
    done = stack.run("code", "add two numbers")
    assert done.stdout == CODE, done.stderr
    assert [request.path for request in agent.requests] == ["/api/coding/stream"]


def test_a_service_that_hangs_is_not_said_to_be_well(stack):
    assert stack.run("up").returncode == 0
    brain = pids(stack)["brain"]
    os.kill(brain, signal.SIGSTOP)
    try:
        shown = stack.run("status").stdout.splitlines()
    finally:
        os.kill(brain, signal.SIGCONT)
    told = {line.split()[0]: line for line in shown}
    assert "running, does not answer" in told["brain"]
    assert "running, ok" in told["broker"]


def test_two_ups_at_once_start_one_stack_and_down_waits_its_turn(stack):
    folder = stack.folder / "state" / "kitty"
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / "stack.lock"):
        both = [stack.start("up") for _ in range(2)]
        for process in both:
            assert b"waiting for it" in process.stderr.readline()
        assert not stack.started()
    said = [process.communicate(timeout=2 * WITHIN_SEC)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(b"It runs already." in text for text in said) == 1
    assert len(stack.started()) == 4
    running = pids(stack)
    with filelock.FileLock(folder / "stack.lock"):
        down = stack.start("down")
        assert b"waiting for it" in down.stderr.readline()
        assert not any(is_gone(pid) for pid in running.values())
    assert b"Stopped broker" in down.communicate(timeout=2 * WITHIN_SEC)[0]
    assert all(is_gone(pid) for pid in running.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_that_is_cancelled_leaves_nothing(stack, number):
    starting = stack.start("up", STAND_IN_HANGS="brain")
    wait_until(lambda: len(stack.started()) == 4)
    starting.send_signal(number)
    _, said = starting.communicate(timeout=2 * WITHIN_SEC)
    assert (starting.returncode, b"cancelled" in said) == (130, True)
    assert all(is_gone(int(pid)) for pid, *_ in stack.started())
    assert "Nothing is running" in stack.run("status").stdout


def test_up_that_takes_too_long_is_called_off_and_names_what_was_slow(stack):
    program = "import kitty_cli.stack as stack, kitty_cli.main as line; stack.READY_WITHIN_SEC = 4; line.main()"
    stack.command = lambda *words: [sys.executable, "-c", program, *words]
    done = stack.run("up", STAND_IN_HANGS="brain")
    assert done.returncode == 3
    assert "brain did not answer. It said nothing" in done.stderr
    assert all(is_gone(int(pid)) for pid, *_ in stack.started())


def test_up_takes_the_place_of_a_service_that_is_idle_and_never_of_one_that_works(stack):
    assert stack.run("code", "add").returncode == 6  # this stand-in takes no jobs, but it stays
    idle = int(stack.started()[0][0])
    assert stack.run("up").returncode == 0
    assert is_gone(idle)
    stack.run("down")
    stack.run("code", "add", STAND_IN_JOBS="1")
    busy = int(stack.started()[-1][0])
    done = stack.run("up")
    assert (done.returncode, "(coder-agent) is in use by" in done.stderr) == (3, True)
    assert not is_gone(busy)


def test_a_recorded_number_that_belongs_to_another_process_is_never_ended(stack, monkeypatch):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        began = psutil.Process(other.pid).create_time()
        program = ProgramRecord("gateway", other.pid, began - 60, "http://127.0.0.1:9", None, "running", 0)
        document = asdict(StackRecord(other.pid, began - 60, (program,)))
        folder = stack.folder / "state" / "kitty"
        folder.mkdir(parents=True)
        (folder / "stack.json").write_text(json.dumps(document))
        assert "Nothing is running" in stack.run("status").stdout
        monkeypatch.setenv("XDG_STATE_HOME", stack.env["XDG_STATE_HOME"])
        assert find_gateway(None, {}).base_url == USUAL
        (folder / "stack.json").write_text(json.dumps(document | {"created": began}))
        assert find_gateway(None, {}).base_url == program.base_url
        (folder / "stack.json").write_text(json.dumps(document))
        assert "Nothing" in stack.run("down").stdout
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"x"', '{"pid": 1, "created": 1.0, "programs": [{}]}'])
def test_a_record_that_is_none_counts_as_none(tmp_path, monkeypatch, text):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    stack_file().write_text(text)
    assert read_stack() is None


@pytest.mark.parametrize("words", [("up",), ("down",), ("stop",), ("code", "add")])
def test_a_state_directory_that_cannot_be_made_is_named_in_a_line(cli, scripted, words):
    (cli.folder / "file").touch()
    base = scripted().base_url
    done = cli.run(*words, XDG_STATE_HOME=str(cli.folder / "file"), LLAMACPP_CODER_BASE=base)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == f"kitty-cli: {cli.folder}/file/kitty: Not a directory."
