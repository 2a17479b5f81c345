"""What `code` starts when nothing runs. The service is a stand-in package; processes, ports and locks are real."""

import json
import time

import filelock
import psutil
import pytest

from kitty_cli.testing import CODE, finished_job
from kitty_models.catalogue import KITTY_CODER, KITTY_CODER_SMALL
from kitty_models.store import write_record

WITHIN_SEC = 20


@pytest.fixture
def model_server(scripted, cli):
    """A model server that is there: what it answers does not matter, so a 404 will do."""
    cli.env["LLAMACPP_CODER_BASE"] = scripted().base_url
    cli.install_stand_in()


def install_model(cli, spec) -> None:
    """A file of the right size and record, without the bytes."""
    folder = cli.folder / "models"
    folder.mkdir(exist_ok=True)
    path = folder / spec.file_name
    with path.open("wb") as file:
        file.write(b"GGUF")
        file.truncate(spec.size_bytes)
    write_record(path, "local", "a test", spec.sha256)


def record(cli) -> list[dict]:
    return json.loads((cli.folder / "state" / "kitty" / "resident.json").read_text())["residents"]


def test_servers_that_are_named_and_do_not_answer_are_listed_within_5_seconds(cli):
    cli.install_stand_in()
    bases = {"LLAMACPP_CODER_BASE": "http://127.0.0.1:9,127.0.0.1:5", "LLAMACPP_Q4_HOST": "127.0.0.1:7"}
    began = time.monotonic()
    done = cli.run("code", "add", "--json", **bases)
    assert done.returncode == 4
    assert json.loads(done.stdout)["error_code"] == "model_unavailable"
    assert time.monotonic() - began < 5
    assert "http://127.0.0.1:9" in done.stderr
    assert "http://127.0.0.1:5" in done.stderr
    assert "http://127.0.0.1:7" in done.stderr
    assert "unset" in done.stderr
    assert not cli.started()


def test_one_server_of_several_that_answers_is_enough(cli, model_server):
    several = "http://127.0.0.1:9, " + cli.env["LLAMACPP_CODER_BASE"]
    done = cli.run("code", "add", LLAMACPP_CODER_BASE=several)
    assert (done.returncode, done.stdout) == (0, CODE)
    [(pid, _, _)] = cli.started()
    assert psutil.Process(int(pid)).environ()["LLAMACPP_CODER_BASE"] == several


def test_the_service_is_started_once_and_stays_for_the_next_command_until_stop(cli, model_server):
    (cli.folder / ".env").write_text("CODER_MAX_TOKENS=77\n")
    there = {"CODER_EVIDENCE_DIR": "evidence", "KITTY_BIND": "0.0.0.0"}
    first, second = cli.run("code", "add", KITTY_COMMAND="./kitty", **there), cli.run("code", "add", **there)
    assert (first.returncode, first.stdout) == (0, CODE)
    assert "Starting the coder-agent; it stays for the next command (`./kitty stop` ends it)." in first.stderr
    assert "Starting" not in second.stderr
    assert len(cli.started()) == 1
    pid, port, _ = cli.started()[0]
    assert port == cli.env["CODER_PORT"]
    assert pid in cli.run("status").stdout
    settings = psutil.Process(int(pid)).environ()
    assert (settings["KITTY_IDLE_STOP_SEC"], settings["CODER_MAX_TOKENS"]) == ("900", "77")
    assert (settings["CODER_EVIDENCE_DIR"], settings["KITTY_BIND"]) == (str(cli.folder / "evidence"), "127.0.0.1")
    assert f"pid {pid}" in cli.run("stop").stdout
    assert not psutil.pid_exists(int(pid))
    assert "Nothing" in cli.run("stop").stdout


def test_by_the_brain_no_model_is_looked_for_or_pulled_and_no_address_is_taken(cli):
    cli.install_stand_in()
    by_brain = {"CODER_LLM_ROUTE": "brain", "LLAMACPP_CODER_BASE": "http://127.0.0.1:9"}
    done = cli.run("code", "add", "--model", "http://127.0.0.1:9", **by_brain)
    assert (done.returncode, cli.started()) == (2, [])
    assert "CODER_LLM_ROUTE" in done.stderr
    assert cli.run("code", "add", **by_brain).returncode == 0
    assert cli.run("code", "add", BRAIN_BASE="http://127.0.0.1:7", **by_brain).returncode == 0
    (_, _, model), (_, _, other) = cli.started()
    assert (model, other) == ("", "")


def test_one_relative_path_means_two_things_in_two_folders(cli, model_server):
    cli.run("code", "add", CODER_EVIDENCE_DIR="evidence", KITTY_IDLE_STOP_SEC="77")
    (cli.folder / "other").mkdir()
    cli.folder = cli.folder / "other"
    assert cli.run("code", "add", CODER_EVIDENCE_DIR="evidence").returncode == 0
    (_, first_port, _), (second, second_port, _) = cli.started()
    assert first_port == second_port
    assert psutil.Process(int(second)).environ()["CODER_EVIDENCE_DIR"] == str(cli.folder / "evidence")


def test_two_commands_at_once_start_one_service(cli, model_server):
    folder = cli.folder / "state" / "kitty"
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / "resident.lock"):
        both = [cli.start("code", "add") for _ in range(2)]
        for process in both:  # each found nothing running and now wants to start a service
            assert b"Starting the coder-agent" in process.stderr.readline()
        assert not cli.started()
    for process in both:
        process.communicate(timeout=WITHIN_SEC)
    assert [process.returncode for process in both] == [0, 0]
    assert len(cli.started()) == 1


def test_an_idle_service_with_other_settings_is_replaced(cli, model_server):
    cli.run("code", "add")
    cli.run("code", "add", CODER_MAX_TOKENS="99")
    (old, *_), (new, *_) = cli.started()
    assert not psutil.pid_exists(int(old))
    assert [entry["pid"] for entry in record(cli)] == [int(new)]


def test_a_busy_service_with_other_settings_is_left_alone(cli, model_server):
    cli.run("code", "add", STAND_IN_JOBS="1")
    done = cli.run("code", "add", CODER_MAX_TOKENS="99")
    assert done.returncode == 0
    (old, old_port, _), (_, new_port, _) = cli.started()
    assert psutil.pid_exists(int(old))
    assert old_port != new_port
    assert len(record(cli)) == 2


def test_a_recorded_number_that_belongs_to_another_process_is_never_stopped(cli, model_server):
    cli.run("code", "add")
    path = cli.folder / "state" / "kitty" / "resident.json"
    entry = record(cli)[0] | {"created": record(cli)[0]["created"] - 60}
    path.write_text(json.dumps({"residents": [entry]}))
    assert "Nothing" in cli.run("stop").stdout
    assert psutil.pid_exists(entry["pid"])


def test_a_service_that_was_killed_is_started_again(cli, model_server):
    cli.run("code", "add")
    psutil.Process(int(cli.started()[0][0])).kill()
    assert cli.run("code", "add").returncode == 0
    assert len(cli.started()) == 2


def test_a_service_that_dies_at_its_start_shows_its_last_words(cli, model_server):
    done = cli.run("code", "add", STAND_IN_DIES="1")
    assert done.returncode == 3
    assert "the stand-in was told to die" in done.stderr
    assert "coder-agent.log" in done.stderr


def test_a_service_somebody_else_started_is_used_as_it_is(cli, scripted):
    cli.install_stand_in()
    agent = scripted(finished_job(), port=int(cli.env["CODER_PORT"]))
    done = cli.run("code", "add")
    assert done.returncode == 0
    assert len(agent.requests) == 1
    assert not cli.started()


def test_a_port_held_by_another_program_is_left_to_it(cli, scripted, model_server):
    scripted(port=int(cli.env["CODER_PORT"]), health={"service": "something else"})
    assert cli.run("code", "add").returncode == 0
    assert cli.started()[0][1] != cli.env["CODER_PORT"]


def test_an_absent_model_that_cannot_be_pulled_is_status_4_with_the_command_that_helps(cli):
    cli.install_stand_in()
    done = cli.run("code", "add", "--model", "kitty-coder-small")
    assert done.returncode == 4
    assert "491 MB" in done.stderr
    assert "Run `kitty-cli models pull kitty-coder-small`" in done.stderr
    by_launcher = cli.run("code", "add", "--model", "kitty-coder-small", KITTY_COMMAND="./kitty")
    assert "Run `./kitty models pull kitty-coder-small`" in by_launcher.stderr
    assert not cli.started()


def test_without_a_model_the_advised_one_is_used_or_one_that_is_here(cli):
    cli.install_stand_in()
    install_model(cli, KITTY_CODER_SMALL)
    done = cli.run("code", "add")
    assert done.returncode == 0, done.stderr
    assert cli.started()[0][2] == "kitty-coder-small"


def test_a_path_and_a_name_get_services_of_their_own(cli):
    cli.install_stand_in()
    install_model(cli, KITTY_CODER)
    install_model(cli, KITTY_CODER_SMALL)
    path = cli.folder / "models" / KITTY_CODER_SMALL.file_name
    cli.run("code", "add", "--model", "kitty-coder")
    cli.run("code", "add", "--model", str(path))
    assert [start[2] for start in cli.started()] == ["kitty-coder", str(path)]
