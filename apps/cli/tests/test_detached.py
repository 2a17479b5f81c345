"""Processes of our own, told apart by when they began, and ended for good."""

import subprocess
import sys

import psutil

from kitty_cli.detached import end, process_of, start_detached, with_absolute_paths
from kitty_cli.tail import KEPT_BYTES, LINES, fresh, tail_of

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


def test_a_process_is_its_number_and_its_beginning(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    began = psutil.Process(ended.pid).create_time()
    assert process_of(ended.pid, began) is not None
    assert process_of(ended.pid, began - 60) is None
    while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert process_of(ended.pid, began) is None
    ended.wait()


def test_one_that_ignores_sigterm_is_killed_and_gone_and_its_namesake_is_left_alone():
    deaf = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    deaf.stdout.readline()
    began = psutil.Process(deaf.pid).create_time()
    end(deaf.pid, began - 60, 0.1)
    assert deaf.poll() is None
    end(deaf.pid, began, 0.1)
    assert not psutil.pid_exists(deaf.pid)
    deaf.stdout.close()
    deaf.returncode = 0


def test_what_is_started_is_told_by_a_pipe_and_has_a_session_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    log = fresh(tmp_path / "log")
    program = "import os, sys; print(sys.stdin.read(), os.getsid(0) == os.getpid(), os.getcwd())"
    (tmp_path / "said.py").write_text(program)
    assert start_detached("said", log, {"PYTHONPATH": str(tmp_path)}, b"secret").wait(20) == 0
    assert log.read_text() == f"secret True {tmp_path}/kitty\n"
    assert start_detached("nowhere", log, {}, b"x" * 1_000_000).wait(20) == 1


def test_paths_are_those_of_the_caller(tmp_path):
    env = {"CODER_EVIDENCE_DIR": "evidence", "CODER_CONVERSATIONS_DIR": "off", "KITTY_MODEL_DIR": "~/models", "A": "b"}
    located = with_absolute_paths(env, tmp_path)
    assert located["CODER_EVIDENCE_DIR"] == str(tmp_path / "evidence")
    assert not located["KITTY_MODEL_DIR"].startswith(("~", str(tmp_path)))
    assert (located["CODER_CONVERSATIONS_DIR"], located["A"]) == ("off", "b")


def test_a_log_is_for_this_user_alone_and_a_long_one_is_put_aside(tmp_path):
    log = fresh(tmp_path / "a.log")
    assert log.stat().st_mode & 0o077 == 0
    log.write_text("".join(f"{number}\n" for number in range(LINES + 5)))
    assert tail_of(log, 0).splitlines()[1:] == [str(number) for number in range(5, LINES + 5)]
    assert tail_of(log, log.stat().st_size) == f" It said nothing ({log})."
    with log.open("a") as file:
        file.truncate(KEPT_BYTES + 1)
    old = log.stat().st_size
    fresh(log).write_text("anew\n")
    assert (tmp_path / "a.log.old").stat().st_size == old
    assert tail_of(log, old).endswith("anew")
