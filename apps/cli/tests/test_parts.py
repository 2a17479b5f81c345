"""Pure parts: frames, progress, words, and what doctor and models say."""

import json

import pytest

from kitty_cli.errors import ServiceFailed, UsageProblem
from kitty_cli.locate import locate
from kitty_cli.progress import JobProgress
from kitty_cli.sse import FrameParser
from kitty_cli.testing import result, steps
from kitty_cli.visible import visible
from kitty_cli.wording import cost_words, evidence_words, verdict_line

BAD = "http://127.0.0.1:9"
"""Nothing listens there."""


def test_frames_are_the_same_however_the_bytes_are_cut():
    text = (
        ': ping\n\ndata: {"type": "a",\r\ndata:  "x": "ä\u2028"}\r\n\r\nevent: b\ndata: {"y": 1}\n\n: ping\n\n'.encode()
    )
    expected = [{"type": "a", "x": "ä\u2028"}, {"type": "b", "y": 1}]
    for size in range(1, len(text) + 1):
        parser = FrameParser()
        blocks = [text[start : start + size] for start in range(0, len(text), size)]
        assert [event for block in blocks for event in parser.feed(block)] == expected


@pytest.mark.parametrize("data", ["[1]", "{", "\\xff"])
def test_a_frame_that_is_no_json_object_is_an_error(data):
    with pytest.raises(ServiceFailed):
        list(FrameParser().feed(f"data: {data}\n\n".encode()))


def test_progress_counts_tokens_of_the_current_step_only():
    now = [0.0]
    progress = JobProgress(clock=lambda: now[0])
    progress.apply({"type": "code_start", "candidate": 1, "of": 3})
    progress.apply({"type": "prefill", "done": 50, "total": 200})
    assert "candidate 2 of 3 · reading the prompt 25%" in progress.line()
    for _ in range(20):
        now[0] += 0.1
        progress.apply({"type": "code_chunk", "delta": "x"})
    assert "10 tok/s · 2 s" in progress.line()
    assert progress.apply({"type": "run_start"})
    assert "tok/s" not in progress.line()


def test_planning_is_told_only_where_a_model_is_asked_for_a_plan():
    progress = JobProgress()
    assert not progress.apply({"type": "plan_start"})
    assert not progress.apply({"type": "plan_complete", "plan": "1. write it"})
    assert [progress.apply({"type": "plan_chunk", "delta": word}) for word in "ab"] == [True, False]
    assert progress.line().startswith("planning")


@pytest.mark.parametrize(("code", "is_told"), [("x = 1", True), ("", True), ("x = 2", False)])
def test_a_refinement_that_brings_nothing_new_is_told(code, is_told):
    progress = JobProgress()
    progress.apply({"type": "code_complete", "code": "x = 1", "candidate": 0})
    progress.apply({"type": "refine_start", "iteration": 1})
    assert progress.apply({"type": "refine_complete", "code": code}) is is_told
    assert ("refining brought nothing new" in progress.line()) is is_told


def test_every_event_of_a_job_and_unknown_ones_are_taken():
    progress = JobProgress()
    for event in [*steps(), {}, {"type": None}, {"type": "prefill", "total": 0}, {"type": "candidate"}]:
        progress.apply(event)
    assert progress.line()


def test_the_verdict_line_says_what_was_run_and_what_it_cost():
    assert evidence_words(result()) == "tests: 2 from examples in the request, 3 generated; agreement 1.00"
    assert cost_words(result()) == "310 tokens read, 42 written in 2.5 s"
    assert verdict_line(result("tests_failed")).startswith("Tests failed · evidence tests: 2 from")
    assert verdict_line({}) == "No verdict"


def test_one_candidate_agrees_with_nobody():
    alone = result()["evidence"] | {"candidates": 1}
    assert evidence_words(result(evidence=alone)) == "tests: 2 from examples in the request, 3 generated"
    assert evidence_words({"evidence": {"generated_tests": 0, "agreement": 1.0}}) == "no test was run"


def test_tests_that_were_run_and_do_not_count_are_not_called_unrun():
    assert evidence_words({"evidence": {"generated_tests": 0, "generated_written": 6}}) == "no test that counts"


def test_without_the_time_of_the_job_that_of_the_model_is_named():
    usage = {"prefill_tokens": 310, "completion_tokens": 42, "seconds": {"code": 1.5, "test": 0.5}}
    assert cost_words({"usage": usage}) == "310 tokens read, 42 written in 2.0 s of the model's time"
    assert cost_words({"usage": {}}) == cost_words({}) == ""


def test_control_characters_are_shown_and_never_obeyed():
    assert visible("a\x1b[31mb\r\nc\x07\x9b\u202e\td") == "a␛[31mb\nc␇��\td"


def test_models_list_marks_the_advised_one(cli):
    answer = json.loads(cli.run("models", "list", "--json").stdout)
    assert [row["alias"] for row in answer["models"]] == ["kitty-coder-small", "kitty-coder"]
    assert sum(row["advised"] for row in answer["models"]) == 1
    assert not any(row["installed"] for row in answer["models"])


@pytest.mark.parametrize("words", [("code", ""), ("status",), ("stop",), ("models", "--help"), ("bogus",)])
def test_hints_name_the_command_that_was_typed(cli, words):
    by_launcher, alone = cli.run(*words, KITTY_COMMAND="./kitty"), cli.run(*words)
    assert "./kitty" in by_launcher.stdout + by_launcher.stderr
    assert "kitty-cli" in alone.stdout + alone.stderr
    assert "./kitty" not in alone.stdout + alone.stderr


def test_help_holds_the_default_of_every_option(cli):
    shown = " ".join(cli.run("code", "--help").stdout.split())
    assert "else solution.py" in shown.replace("│ │ ", "")


def test_models_pull_without_a_source_is_status_4(cli):
    done = cli.run("models", "pull", "kitty-coder-small")
    assert (done.returncode, done.stdout) == (4, "")


def test_doctor_names_the_fix_and_holds_no_key(cli):
    done = cli.run("doctor", "--json", LLAMACPP_API_KEY="very-secret")
    report = json.loads(done.stdout)
    assert done.returncode in (3, 4)
    assert report["ready"] is False
    assert any("kitty-cli models pull" in problem["what"] for problem in report["problems"])
    again = cli.run("doctor", KITTY_COMMAND="./kitty").stdout
    assert "Run `./kitty models pull" in again
    assert "kitty-cli" not in again
    assert {"models", "sandbox", "services", "files"} <= set(report)
    assert "very-secret" not in done.stdout


def test_doctor_in_words_ends_with_what_to_do(cli):
    done = cli.run("doctor", LLAMACPP_CODER_BASE="http://127.0.0.1:9")
    assert done.returncode in (3, 4)
    assert "unset LLAMACPP_*" in done.stdout


def test_status_and_doctor_show_each_server_of_a_role_that_has_several(cli, scripted):
    there = scripted().base_url
    env = {"LLAMACPP_CODER_BASE": f"http://127.0.0.1:9, {there}", "LLAMACPP_API_KEY": "very-secret"}
    for command in ("status", "doctor"):
        shown = cli.run(command, **env).stdout
        lines = {url: next(line for line in shown.splitlines() if f"{url} (coder)" in line) for url in (there, BAD)}
        assert lines[there].endswith(("ok", "answers"))
        assert lines[BAD].endswith(("refused", "does not answer"))
    told = json.loads(cli.run("status", "--json", **env).stdout)["model_servers"]
    assert told == [
        {"base_url": BAD, "roles": ["coder"], "state": "refused"},
        {"base_url": there, "roles": ["coder"], "state": "ok"},
    ]


def test_status_asks_no_server_where_each_role_has_one_and_tells_a_variable_it_cannot_read(cli):
    assert json.loads(cli.run("status", "--json", LLAMACPP_CODER_BASE=BAD).stdout)["model_servers"] == []
    done = cli.run("status", LLAMACPP_CODER_BASE=f"{BAD},two words")
    assert done.returncode == 0
    assert "LLAMACPP_CODER_BASE: 'two words' is not an address" in done.stdout


@pytest.mark.parametrize(
    ("model", "is_place"),
    [("kitty-coder", False), ("qwen2.5:7b", False), ("gpu:8080", True), ("http://gpu", True), ("x.gguf", True)],
)
def test_a_named_service_takes_names_of_models_and_no_places(model, is_place):
    if is_place:
        with pytest.raises(UsageProblem, match="alias"):
            locate("http://gateway", model, {}, print, quiet=True)
    else:
        assert locate("http://gateway", model, {}, print, quiet=True).model == model
