"""The program that measures the router, over real HTTP."""

import json
from pathlib import Path

import pytest

from brain.routing_eval import main
from brain.testing import TOKEN, done

DECODER = json.JSONDecoder()
ROUTING = Path(__file__).parents[3] / "evals" / "routing.jsonl"


def reported(capsys):
    """The report; a service of the test may log around it."""
    out = capsys.readouterr().out
    return DECODER.raw_decode(out, out.index("{\n"))[0]


def test_there_are_forty_requests_half_of_them_coding_in_two_halves():
    rows = [json.loads(line) for line in ROUTING.read_text(encoding="utf-8").splitlines()]
    counted = {(row["split"], row["coding"]) for row in rows}
    assert len({row["text"] for row in rows}) == len({row["id"] for row in rows}) == 40
    for part in counted:
        assert sum((row["split"], row["coding"]) == part for row in rows) == 10


def test_the_rules_alone_report_what_they_leave_to_the_model(capsys):
    assert main([str(ROUTING)]) == 0
    said = reported(capsys)
    assert (said["coding"], said["others"]) == (10, 10)
    assert said["coding_reached_the_tool"] >= 9
    assert said["others_reached_no_tool"] == 10


@pytest.mark.parametrize(("label", "reached"), [("coding", 2), ("talk", 1)])
def test_a_running_brain_is_asked_and_both_shares_are_told(start, tmp_path, capsys, monkeypatch, label, reached):
    brain, model, gateway = start(
        lambda messages: json.dumps({"route": label}) if '"route"' in messages[0]["content"] else "Yes.",
        gateway={"calls": {"coding_generate": done("coding.generate", {"code": "x = 1"})}},
    )
    monkeypatch.setenv("KITTY_SERVICE_TOKEN", TOKEN)
    cases = [("a", True, "Write a function f."), ("b", True, "fib"), ("c", False, "what time is it")]
    file = tmp_path / "cases.jsonl"
    rows = [{"id": name, "split": "report", "coding": coding, "text": text} for name, coding, text in cases]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    assert main([str(file), "--split", "report", "--base", brain.base_url]) == 0
    said = reported(capsys)
    assert (said["coding_reached_the_tool"], said["others_reached_no_tool"]) == (reached, 1)
    assert len(said["wrong"]) == 2 - reached
    assert model.generations
    assert gateway.invocations


def test_a_brain_that_is_not_there_is_an_error_and_not_a_result(capsys, monkeypatch, refused_url):
    monkeypatch.setenv("KITTY_SERVICE_TOKEN", TOKEN)
    assert main([str(ROUTING), "--base", refused_url]) == 1
    said = reported(capsys)
    assert said["coding_reached_the_tool"] == said["others_reached_no_tool"] == 0
