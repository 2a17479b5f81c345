"""Evidence on disk: of this user alone, the newest only, and never a reason to fail."""

import os

from matrices import candidate, row

from coder_agent.journal import Journal, folder_of
from coder_agent.recording import VERSION, Recording
from coder_agent.replay import main, read_recordings
from coder_agent.state import StepTaken


def recording(job_id, right=None):
    steps = (StepTaken("write_code", 100, (0, 1)), StepTaken("run_tests", inputs=()))
    pool = (candidate(0, row("t u v")),)
    return Recording(
        job_id,
        "standard",
        refinements=2,
        trusted=("t", "u", "v"),
        properties=(),
        has_caller_tests=False,
        telling=3,
        calls={"f": ("t",)},
        asked_for=("numpy",),
        runs_code=True,
        candidates=pool,
        steps=steps,
        verdict="verified",
        delivered=0,
        right=right,
    )


def test_what_is_saved_is_read_back_and_nobody_else_may_read_it(tmp_path):
    folder = tmp_path / "evidence"
    Journal(folder, keep=5).save(recording("one"))
    assert list(read_recordings([folder])) == [recording("one")]
    assert (folder / "one.json").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_only_the_newest_are_kept(tmp_path):
    journal = Journal(tmp_path, keep=2)
    for number, job_id in enumerate(["old", "older", "new", "newest"]):
        journal.save(recording(job_id))
        os.utime(tmp_path / f"{job_id}.json", (number, number))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["new", "newest"]


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "file").write_text("")
    Journal(tmp_path / "file", keep=2).save(recording("one"))
    Journal(None, keep=2).save(recording("one"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_off_keeps_nothing_and_a_name_is_a_folder():
    assert folder_of("off", "evidence") is None
    assert str(folder_of("/somewhere", "evidence")) == "/somewhere"
    assert folder_of("", "evidence").name == "evidence"


def test_the_replay_command_tells_each_job_and_the_totals(tmp_path, capsys):
    Journal(tmp_path, keep=5).save(recording("one", right={0: True}))
    assert main([str(tmp_path)]) == 0
    _, job, totals = (line for line in capsys.readouterr().out.splitlines() if line)
    assert job.split()[:4] == ["one", "same", "settled", "right"]
    assert totals == "1 jobs: 1 decided as before, 1 settled, 1 of 1 known right."
    assert main([str(tmp_path), "--tier", "fast", "--json"]) == 0
    assert '"settled": true' in capsys.readouterr().out


def test_what_is_no_recording_is_named_with_its_line(tmp_path, capsys):
    (tmp_path / "odd.json").write_text('{"version": 99}\n')
    assert main([str(tmp_path)]) == 2
    assert "odd.json:1: a recording of version 99" in capsys.readouterr().err
    (tmp_path / "odd.json").write_text(f'{{"version": {VERSION}}}\n')
    assert main([str(tmp_path)]) == 2
    assert "incomplete" in capsys.readouterr().err
    (tmp_path / "odd.json").write_text("[]\n")
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
