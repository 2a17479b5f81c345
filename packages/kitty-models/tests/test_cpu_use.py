"""What other programs leave of the cores: our own work, above all our own busy engine, is nobody else's."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from kitty_models.cpu_use import CpuSample, free_cores, our_processes

SPIN = "import sys\nprint('on', flush=True)\nwhile True: pass"
# The parent ends at once: the one that waits is then nobody's child here, as the engine of a resident is.
WAIT_ALONE = "import os, sys\nif pid := os.fork(): print(pid, flush=True); os._exit(0)\nsys.stdin.read()"
BEFORE = CpuSample(total=1000.0, idle=600.0, ours=50.0)
WITHIN_SEC = 20
# Clocks are read one after another and in whole ticks.
CLOCK_TICK_SEC = 1 / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("idle", "ours", "free"),
    [
        (0.4, 0.0, 2.0),  # an idle machine
        (0.0, 0.4, 2.0),  # our engine on both cores
        (0.2, 0.0, 1.0),  # somebody else on one
        (0.0, 0.2, 1.0),  # somebody else on one, our engine on the other
        (0.0, 0.0, 0.0),  # others on both
        (0.2, -9.0, 1.0),  # an engine of ours ended meanwhile
        (0.4, 0.1, 2.0),  # rounded clocks: never more than there is
    ],
)
def test_what_is_idle_or_ours_is_free(idle, ours, free):
    after = CpuSample(BEFORE.total + 0.4, BEFORE.idle + idle, BEFORE.ours + ours)
    assert free_cores(BEFORE, after, cores=2) == pytest.approx(free)


def test_a_machine_that_counts_no_time_tells_nothing():
    assert free_cores(BEFORE, BEFORE, cores=2) is None


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def watch(pid: int) -> tuple[float, float]:
    """Samples before and after a process has used 0.1 s: what `ours` grew by, and what that process used."""
    process, deadline = psutil.Process(pid), time.monotonic() + WITHIN_SEC
    before, began = CpuSample.take(), spent(process)
    while spent(process) - began < 0.1 and time.monotonic() < deadline:
        time.sleep(0.01)
    used = spent(process) - began
    return CpuSample.take().ours - before.ours, used


def test_what_we_started_is_ours_also_when_it_has_ended():
    with subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        before = CpuSample.take()
        grown, used = watch(child.pid)
        child.kill()
    assert used > 5 * CLOCK_TICK_SEC
    assert grown > used - 2 * CLOCK_TICK_SEC
    assert CpuSample.take().ours - before.ours > used - 2 * CLOCK_TICK_SEC


@pytest.mark.parametrize(("name", "is_ours"), [("kitty_models.engine", True), ("another.engine", False)])
def test_an_engine_that_another_program_started_is_ours_and_no_other_stranger(name, is_ours):
    with subprocess.Popen(
        [sys.executable, "-c", WAIT_ALONE, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        stranger = psutil.Process(int(parent.stdout.readline()))
        parent.wait(WITHIN_SEC)
        assert stranger not in psutil.Process().children(recursive=True)
        assert (stranger in our_processes()) is is_ours
    stranger.wait(WITHIN_SEC)
