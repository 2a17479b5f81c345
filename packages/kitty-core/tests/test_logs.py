"""What a log line shows on a terminal."""

import os
import pty
import subprocess
import sys

LINE = r"""
import structlog
from kitty_core.logs import configure_logs
configure_logs("it")
structlog.get_logger().info("request", path="/\x1b]0;owned\x07\x9b2J")
"""


def test_what_a_caller_sends_gives_no_orders_to_the_terminal():
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        subprocess.run([sys.executable, "-c", LINE], stdout=theirs, check=True, timeout=60)
        os.close(theirs)
        shown = screen.read(65536).decode()
    assert r"/\x1b]0;owned\x07\x9b2J" in shown
    assert "\x07" not in shown
    assert "\x9b" not in shown


def test_a_line_that_cannot_be_written_is_lost_and_ends_nothing():
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-c", f"{LINE}\nimport os\nos.write(2, b'went on')\nos._exit(0)"],
            stdout=full, stderr=subprocess.PIPE, check=True, timeout=60,
        )  # fmt: skip
    assert run.stderr == b"went on"
