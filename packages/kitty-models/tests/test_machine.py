import os
from dataclasses import replace

import pytest

from kitty_models.catalogue import GIB
from kitty_models.machine import Machine, choose, missing_cpu_flags, usable_cores

LAPTOP = Machine(cores=8, available_bytes=10 * GIB, total_bytes=16 * GIB, architecture="x86_64", free_cores=7.8)


@pytest.mark.parametrize(
    ("machine", "alias", "threads", "n_ctx"),
    [
        (LAPTOP, "kitty-coder", 8, 8192),
        (replace(LAPTOP, cores=2), "kitty-coder", 2, 8192),
        (replace(LAPTOP, cores=1), "kitty-coder-small", 1, 8192),
        (replace(LAPTOP, available_bytes=int(2.5 * GIB)), "kitty-coder-small", 8, 8192),
        (replace(LAPTOP, available_bytes=1 * GIB), "kitty-coder-small", 8, 4096),
        (replace(LAPTOP, available_bytes=0), "kitty-coder-small", 8, 4096),
        (replace(LAPTOP, cores=2, free_cores=0.6), "kitty-coder", 2, 8192),
        (replace(LAPTOP, cores=2, free_cores=0.4), "kitty-coder", 1, 8192),
        (replace(LAPTOP, free_cores=None), "kitty-coder", 8, 8192),
        (replace(LAPTOP, cores=64, free_cores=60.0), "kitty-coder", 16, 8192),
    ],
)
def test_the_best_model_that_runs_acceptably_is_chosen(machine, alias, threads, n_ctx):
    advice = choose(machine)
    assert (advice.alias, advice.threads, advice.n_ctx) == (alias, threads, n_ctx)


def test_only_what_is_allowed_is_chosen():
    advice = choose(LAPTOP, {"kitty-coder-small"})
    assert advice.alias == "kitty-coder-small"
    assert "only kitty-coder-small is to be had" in advice.reason


def test_the_reason_tells_what_was_seen():
    assert choose(replace(LAPTOP, free_cores=1.0)).reason == (
        "8 cores and 10.0 GiB of memory available: the 1.5B model; "
        "one thread, because other programs leave 1.0 of 8 cores"
    )


def test_a_containers_limits_count(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 2}\n")
    machine = Machine.inspect(cgroup=tmp_path, watch_sec=0)
    assert machine.cores == 1
    assert machine.total_bytes == 2 * GIB
    assert machine.available_bytes == 2 * GIB - GIB // 2


def test_without_limits_the_whole_machine_counts(tmp_path):
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_cores(tmp_path) >= 1
    assert Machine.inspect(cgroup=tmp_path, watch_sec=0).available_bytes > 0


def test_the_cores_are_watched_only_when_asked_for(tmp_path):
    assert Machine.inspect(cgroup=tmp_path, watch_sec=0).free_cores is None
    watched = Machine.inspect(cgroup=tmp_path, watch_sec=0.05).free_cores
    assert watched is None or 0 <= watched <= (os.cpu_count() or 1)


def test_missing_instruction_sets_are_named(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t: fpu sse4_2 avx fma\n")
    assert missing_cpu_flags(tmp_path, "x86_64") == ("avx2", "f16c", "bmi2")
    assert missing_cpu_flags(tmp_path, "aarch64") == ()
