"""What a command leaves behind, eats, and prints: real processes."""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from broker.testing import TOKEN

SLEEP = "31536"
"""Seconds of a sleep that nobody else sleeps."""


def shell_list(**scripts):
    """An allow-list of /bin/sh scripts: {name: (script, extra keys)}."""
    commands = {}
    for name, script in scripts.items():
        entry = {"description": "A test.", "program": "/bin/sh", "argv": ["-c", script], "hazard_class": "low"}
        commands[name] = entry | {"timeout_sec": 20, "output_kb": 16}
    return commands


def as_yaml(commands):
    return json.dumps({"commands": commands})


@pytest.fixture
def mark():
    """A number of seconds that only this test sleeps."""
    return f"{SLEEP}.{os.getpid()}{os.urandom(3).hex().translate(str.maketrans('abcdef', '123456'))}"


def test_a_daemon_that_forked_twice_and_left_the_session_dies_with_its_command(start, mark, processes_with):
    daemon = f"trap '' TERM HUP INT; echo $$ > $HOME/pid; sleep {mark} & wait"
    script = f'(setsid setsid sh -c "{daemon}" >/dev/null 2>&1 &) ; until test -s $HOME/pid; do :; done; cat $HOME/pid'
    answer = start(as_yaml(shell_list(it=script.replace("$$", "\\$\\$")))).run("it").json()
    assert (answer["success"], answer["stdout"].strip().isdecimal()) == (True, True), answer
    assert not os.path.exists(f"/proc/{answer['stdout'].strip()}")
    assert not processes_with(mark)


def test_at_the_deadline_everything_dies_also_what_ignores_sigterm(start, mark, processes_with):
    script = f"trap '' TERM; echo begun; setsid sleep {mark} & sleep {mark}; sleep {mark}"
    answer = start(as_yaml(shell_list(it=script))).run("it", timeout=1).json()
    assert (answer["timeout_exceeded"], answer["success"], answer["exit_code"]) == (True, False, None)
    assert answer["stdout"] == "begun\n"
    assert "1 s" in answer["error"]
    assert not processes_with(mark)


def test_a_command_that_heeds_sigterm_may_say_its_last_words(start):
    script = f"trap 'echo bye; exit 3' TERM; echo begun; sleep {SLEEP} & wait"
    answer = start(as_yaml(shell_list(it=script))).run("it", timeout=1).json()
    assert (answer["timeout_exceeded"], answer["stdout"]) == (True, "begun\nbye\n")


def test_a_timeout_beyond_the_entrys_is_clamped(start, mark):
    commands = shell_list(it=f"sleep {mark}")
    commands["it"]["timeout_sec"] = 1
    answer = start(as_yaml(commands)).run("it", timeout=99999).json()
    assert (answer["timeout_exceeded"], answer["error"].partition(" after ")[2][:3]) == (True, "1 s")


def test_a_flood_of_output_is_counted_and_not_kept(start):
    script = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 2000000 /dev/zero | tr '\\0' y >&2"
    answer = start(as_yaml(shell_list(it=script))).run("it").json()
    assert (answer["success"], answer["stdout"], answer["stderr"]) == (True, "x" * 16384, "y" * 16384)
    assert (answer["stdout_discarded"], answer["stderr_discarded"]) == (3000000 - 16384, 2000000 - 16384)


def test_an_endless_flood_ends_at_the_deadline(start):
    answer = start(as_yaml(shell_list(it="yes"))).run("it", timeout=1).json()
    assert (answer["timeout_exceeded"], len(answer["stdout"])) == (True, 16384)
    assert answer["stdout_discarded"] > 0


def test_a_client_that_leaves_ends_its_command(start, mark, processes_with, eventually):
    broker = start(as_yaml(shell_list(it=f"setsid sleep {mark} & sleep {mark}")))
    with ThreadPoolExecutor() as pool, httpx.Client(trust_env=False, timeout=httpx.Timeout(30, read=2)) as client:
        body = {"command": "it", "user_id": "ann"}
        asked = pool.submit(client.post, f"{broker.base_url}/exec", json=body, headers=dict(broker.headers))
        eventually(lambda: len(processes_with(mark)) >= 2)
        with pytest.raises(httpx.ReadTimeout):
            asked.result()
    eventually(lambda: not processes_with(mark))
    eventually(lambda: 'outcome="cancelled"} 1.0' in broker.get("/metrics").text)
    assert broker.get("/healthz").json()["running"] == 0


def test_when_the_broker_is_killed_its_commands_die_too(place, mark, processes_with, eventually, tmp_path):
    (place / "commands.yaml").write_text(as_yaml(shell_list(it=f"setsid sleep {mark} & sleep {mark}")))
    (place / "tmp").mkdir(mode=0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {
        "BROKER_PORT": str(port), "BROKER_ALLOW_LIST": str(place / "commands.yaml"), "KITTY_SERVICE_TOKEN": TOKEN,
        "TMPDIR": str(place / "tmp"),
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-m", "broker.main"], env=env, cwd=tmp_path) as broker:
        base = f"http://127.0.0.1:{port}"

        def answers():
            try:
                return httpx.get(f"{base}/healthz", trust_env=False).status_code == 200
            except httpx.ConnectError:
                return False

        eventually(answers, 60)
        with ThreadPoolExecutor() as pool:
            headers = {"authorization": f"Bearer {TOKEN}"}
            body = {"command": "it", "user_id": "ann"}
            asked = pool.submit(httpx.post, f"{base}/exec", json=body, headers=headers, timeout=60, trust_env=False)
            eventually(lambda: len(processes_with(mark)) >= 2)
            assert list((place / "tmp").iterdir())
            broker.send_signal(signal.SIGKILL)
            assert isinstance(asked.exception(30), httpx.TransportError)
    eventually(lambda: not processes_with(mark))
    eventually(lambda: not list((place / "tmp").iterdir()))


def test_a_command_sees_nothing_of_the_services_environment(start, monkeypatch):
    monkeypatch.setenv("KITTY_SERVICE_TOKEN", "secret-one")
    monkeypatch.setenv("API_OVERRIDE_PASSWORD", "secret-two")
    script = "env; echo umask=$(umask); cat; ls -A $HOME; ls -l /proc/self/fd | wc -l; pwd"
    answer = start(as_yaml(shell_list(it=script))).run("it").json()
    lines = answer["stdout"].splitlines()
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "LANG", "HOME", "TMPDIR", "umask"}
    assert "umask=0077" in lines
    assert "secret" not in answer["stdout"]
    home = next(line[5:] for line in lines if line.startswith("HOME="))
    assert lines[-1] == home
    assert not os.path.exists(home)
    # total, stdin, stdout, stderr, and the one that ls reads the folder by
    assert int(lines[-2]) == 5


def test_the_limits_hold(start):
    script = "ulimit -c; grep NoNewPrivs /proc/self/status; head -c 70000000 /dev/zero > $HOME/big; ls -s $HOME/big"
    answer = start(as_yaml(shell_list(it=script))).run("it").json()
    lines = answer["stdout"].splitlines()
    assert lines[0] == "0"
    assert lines[1].split() == ["NoNewPrivs:", "1"]
    assert int(lines[2].split()[0]) <= 65536


def test_a_fork_bomb_ends_and_the_machine_goes_on(start, processes_with):
    script = "b() { b | b & }; b; sleep 1; : bomb-of-the-broker"
    broker = start(as_yaml(shell_list(it=script)))
    broker.run("it", timeout=3)
    assert not processes_with("bomb-of-the-broker")
    assert broker.get("/healthz").status_code == 200


def test_root_does_not_run_commands_as_root(start):
    answer = start(as_yaml(shell_list(it="id -u; id -G"))).run("it").json()
    uid, groups = answer["stdout"].splitlines()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        assert (uid, groups) == (str(nobody.pw_uid), str(nobody.pw_gid))
    else:
        assert uid == str(os.geteuid())


def test_a_confined_command_reads_nothing_outside_and_reaches_no_network(start, place, workspace):
    (place / "outside.txt").write_text("outside")
    (place / "outside.txt").chmod(0o644)
    (workspace / "inside.txt").write_text("inside")
    commands = shell_list(it=f"cat inside.txt; cat {place}/outside.txt; touch made.txt")
    workspace.chmod(0o777)
    commands["it"] |= {"workspace": True}
    commands["free"] = commands["it"] | {"confined": False, "hazard_class": "high"}
    broker = start(as_yaml(commands))
    if broker.get("/healthz").json()["landlock_abi"] == 0:
        pytest.skip("this kernel has no Landlock")
    assert broker.run("it").json()["stdout"] == "inside"
    assert not (workspace / "made.txt").exists()
    assert broker.run("free").json()["stdout"] == "insideoutside"
    assert (workspace / "made.txt").exists()


def test_a_command_with_a_workspace_sees_no_other_process(start):
    commands = shell_list(it="cat /proc/1/cmdline", free="cat /proc/1/cmdline")
    commands["it"] |= {"workspace": True}
    broker = start(as_yaml(commands))
    if broker.get("/healthz").json()["landlock_abi"] == 0:
        pytest.skip("this kernel has no Landlock")
    assert (broker.run("it").json()["stdout"], broker.run("free").json()["success"]) == ("", True)


def test_a_confined_command_cannot_kill_its_guard(start, processes_with):
    broker = start(as_yaml(shell_list(it="kill -9 $PPID; echo still=$?")))
    if os.geteuid() != 0 and broker.get("/healthz").json()["landlock_abi"] < 6:
        pytest.skip("this kernel's Landlock has no scope for signals, and the command runs as our own user")
    assert broker.run("it").json()["stdout"] == "still=1\n"


def test_more_commands_than_may_run_at_once_are_told_to_come_back(start, mark, processes_with, eventually):
    broker = start(as_yaml(shell_list(it=f"sleep {mark}")), broker_most_at_once=1)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(broker.run, "it", 4)
        eventually(lambda: processes_with(mark))
        refused = broker.run("it")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_commands")
        assert refused.headers["retry-after"] == "1"
        assert asked.result(30).json()["timeout_exceeded"]


def test_a_program_that_cannot_be_started_says_why(start, place):
    (place / "broken").write_text("#!/no/such/interpreter\n")
    (place / "broken").chmod(0o755)
    commands = shell_list(it="")
    commands["it"] |= {"program": str(place / "broken"), "argv": []}
    answer = start(as_yaml(commands)).run("it").json()
    assert (answer["success"], answer["exit_code"]) == (False, None)
    assert "could not be started" in answer["error"]


def test_a_command_ended_by_a_signal_says_so(start):
    answer = start(as_yaml(shell_list(it="kill -SEGV $$"))).run("it").json()
    assert (answer["exit_code"], answer["error"]) == (-11, "The command was ended by signal 11.")
