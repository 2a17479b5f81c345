import json

from kitty_models.catalogue import GIB
from kitty_models.doctor import BackendCheck, choose_default, examine
from kitty_models.machine import Advice, Machine
from kitty_models.probe import BackendReport
from kitty_models.serve import Problem
from kitty_models.store import InstalledModel

MACHINE = Machine(cores=4, available_bytes=8 * GIB, total_bytes=16 * GIB, architecture="x86_64", free_cores=4.0)
ADVICE = Advice("kitty-coder", 4, 8192, "fits")
SILENT = BackendCheck(("coder", "f16"), False, BackendReport("http://localhost:8082", error="refused"))
ANSWERING = BackendCheck(("q4",), False, BackendReport("http://localhost:8083", reachable=True))


def installed(folder):
    return InstalledModel("kitty-coder", folder / "m.gguf", 1, "wheels", "0" * 64)


async def test_a_report_names_everything_and_holds_no_key(scripted, tmp_path):
    server = scripted({}, api_key="secret-key")
    env = {"LLAMACPP_CODER_BASE": server.url, "LLAMACPP_API_KEY": "secret-key", "LLAMACPP_Q4_BASE": "127.0.0.1:9"}
    report = await examine(env, tmp_path, machine=MACHINE, cache_file=tmp_path / "cache.json")

    text = json.dumps(report.to_dict())
    assert report.default == server.url
    assert report.backends[0].roles == ("coder",)
    assert "secret-key" not in text
    assert {"machine", "engine_problems", "models", "backends", "default", "default_reason", "ready"} <= set(
        json.loads(text)
    )


async def test_every_server_of_a_role_is_looked_at(scripted, tmp_path):
    answers = scripted({})
    env = {"LLAMACPP_Q4_BASE": "127.0.0.1:9", "LLAMACPP_CODER_BASE": f"127.0.0.1:9, {answers.url}"}
    report = await examine(env, tmp_path, machine=MACHINE, cache_file=tmp_path / "cache.json")
    assert [(check.report.base_url, check.roles, check.report.reachable) for check in report.backends[:2]] == [
        ("http://127.0.0.1:9", ("coder", "q4"), False),
        (answers.url, ("coder",), True),
    ]
    assert report.default == answers.url


def test_a_server_that_answers_is_used_before_the_embedded_model(tmp_path):
    default, _, ready = choose_default(False, (SILENT, ANSWERING), ADVICE, (), (installed(tmp_path),))
    assert (default, ready) == ("http://localhost:8083", True)


def test_a_set_server_that_is_down_is_not_replaced_by_the_embedded_model(tmp_path):
    default, reason, ready = choose_default(True, (SILENT,), ADVICE, (), (installed(tmp_path),))
    assert (default, ready) == ("http://localhost:8082", False)
    assert "nothing answers" in reason


def test_without_servers_the_embedded_model_is_the_default(tmp_path):
    assert choose_default(False, (SILENT,), ADVICE, (), (installed(tmp_path),)) == ("kitty-coder", "fits", True)


def test_a_model_that_is_not_here_yet_is_not_ready():
    default, reason, ready = choose_default(False, (SILENT,), ADVICE, (), ())
    assert (default, ready) == ("kitty-coder", False)
    assert "to be pulled on first use (1,117 MB)" in reason


def test_a_machine_that_cannot_run_the_engine_is_told_what_to_do(tmp_path):
    problem = Problem("No libgomp.", "Install it.")
    _, reason, ready = choose_default(False, (SILENT,), ADVICE, (problem,), (installed(tmp_path),))
    assert not ready
    assert "No libgomp. Install it." in reason
