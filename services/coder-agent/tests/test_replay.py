"""What a job recorded is enough to take its decisions again."""

import json
from pathlib import Path

import pytest

from coder_agent.recording import from_json, to_json
from coder_agent.replay import COLUMNS, main, read_recordings, replay

RECORDINGS = Path(__file__).parent / "recordings"
REQUEST = "Write add(a, b). add(1, 2) == 3"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
WRONG = "```python\ndef add(a, b):\n    return a - b\n```"
CRASH = "```python\ndef add(a, b):\n    return a + c\n```"
NEEDS = "```python\nimport numpy\n\n\ndef add(a, b):\n    return numpy.add(a, b)\n```"
SEVERAL = "Write two functions add(a, b) and sub(a, b). add(1, 2) == 3"
BOTH = f"{RIGHT.removesuffix('```')}\n\ndef sub(a, b):\n    return a - b\n```"
CHECKS = "1, 2) == 3\nassert add(0, 5) == 5\nassert add(-1, 1) == 0\nassert add(10, 20) == 31\n"


@pytest.fixture
def recorded(start, tmp_path):
    """recorded(request, *codes, tier=…) -> the recording of a job of a model that answers `codes` in turn."""

    def recorded(request, *codes, **fields):
        left = list(codes)

        def answer(messages):
            asked = messages[-1 if messages[-1]["role"] == "user" else -2]["content"]
            if "checks of" in asked:
                return CHECKS
            if "JSON list" in asked:
                return '["Add."]'
            return left.pop(0) if len(left) > 1 else left[0]

        agent, _ = start(answer, coder_evidence_dir=str(tmp_path / "evidence"))
        agent.generate(request, **fields)
        (recording,) = read_recordings([tmp_path / "evidence"])
        return recording

    return recorded


@pytest.mark.parametrize(
    ("request_text", "codes", "tier"),
    [
        (REQUEST, [RIGHT], "standard"),
        (REQUEST, [RIGHT], "fast"),
        (REQUEST, [WRONG, CRASH, RIGHT], "standard"),
        (REQUEST, [WRONG], "standard"),
        (REQUEST, ["no code", RIGHT], "standard"),
        (REQUEST, ["no code", WRONG, RIGHT], "standard"),
        (REQUEST, [NEEDS, NEEDS, RIGHT], "standard"),
        (f"{REQUEST} using numpy", [NEEDS], "standard"),
        (SEVERAL, [RIGHT, BOTH], "standard"),
        (REQUEST, [WRONG, CRASH, WRONG, RIGHT], "deep"),
        ("Write add(a, b), the sum.", [RIGHT], "standard"),
        ("Write add(a, b), the sum.", [WRONG, RIGHT, CRASH], "standard"),
        ("Write add(a, b), the sum.", [WRONG, RIGHT, CRASH], "deep"),
    ],
)
def test_the_same_rules_on_a_record_take_the_same_steps(recorded, request_text, codes, tier):
    recording = recorded(request_text, *codes, tier=tier)
    again = replay(recording)
    assert list(again.actions[:-1]) == recording.actions
    assert again.actions[-1] in {"accept", "stop"}
    assert again.chosen == recording.delivered
    assert not again.exhausted


def test_a_record_survives_json(recorded):
    recording = recorded(REQUEST, WRONG, RIGHT)
    assert from_json(json.loads(json.dumps(to_json(recording)))) == recording


@pytest.mark.parametrize(("model", "settled", "right"), [("0.5b", 18, 19), ("1.5b", 19, 20)])
def test_on_real_recordings_no_settled_answer_is_wrong_and_no_fewer_are_settled(model, settled, right):
    """Twenty easy requests (evals/easy.jsonl, tier standard) as each built-in model answered them."""
    recordings = list(read_recordings([RECORDINGS / f"easy-{model}.jsonl"]))
    assert len(recordings) == 20
    again = [replay(one) for one in recordings]
    is_right = [one.right.get(today.chosen, False) for one, today in zip(recordings, again, strict=True)]
    assert [today for today, ok in zip(again, is_right, strict=True) if today.is_settled and not ok] == []
    assert sum(today.is_settled for today in again) >= settled
    assert sum(is_right) >= right


def test_the_folder_of_an_evaluation_is_as_good_as_its_evidence(tmp_path, capsys):
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (tmp_path / "records.jsonl").write_text("{}\n")
    first = (RECORDINGS / "easy-0.5b.jsonl").read_text().splitlines()[0]
    (evidence / "job.json").write_text(first)
    shown = []
    for folder in (tmp_path, evidence):
        assert main([str(folder)]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    names, job, total = shown[0].splitlines()
    assert names.split("  ")[0] == "task"
    assert [job[names.index(name) :].split()[0] for name in ("task", "as before", "code")] == [
        "easy/primes_below",
        "same",
        "right",
    ]
    assert total == "1 jobs: 1 decided as before, 1 settled, 1 of 1 known right."


def test_each_column_is_explained_by_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert [name for name in COLUMNS if f"\n  {name}  " not in told] == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "nowhere cannot be read: No such file or directory."),
        ("empty", "empty holds no recorded evidence."),
        ("with-base", "with-base holds no evidence: "),
        ("with-base/records.jsonl", "records.jsonl:1: no recording."),
        ("report.png", "report.png: no recording."),
        ("notes.txt", "notes.txt:1: no recording."),
    ],
)
def test_what_holds_no_evidence_is_named_in_one_line(tmp_path, capsys, path, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "with-base").mkdir()
    (tmp_path / "with-base" / "records.jsonl").write_text('{"task": "a"}\n')
    (tmp_path / "report.png").write_bytes(b"\x89PNG")
    (tmp_path / "notes.txt").write_text("hello\n")
    assert main([str(tmp_path / path)]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("kitty-cli: ")
    assert said in told.err
