"""What the numbers of the sandbox say."""

from prometheus_client import generate_latest

from coder_agent.metrics import MeteredSandbox, Metrics
from kitty_sandbox import SandboxMatrix


async def test_each_different_candidate_of_a_matrix_is_a_run(sandbox):
    metrics = Metrics()
    one, other = "def f():\n    return 1\n", "def f():\n    return 2\n"
    rows = await MeteredSandbox(sandbox, metrics).matrix(SandboxMatrix((one, other, one), ("assert f() == 1",)))
    assert [row.cells[0].outcome for row in rows] == ["passed", "failed", "passed"]
    assert all(row.seconds > 0 for row in rows)
    text = generate_latest(metrics.registry).decode()
    assert 'sandbox_runs_total{outcome="ran"} 2.0' in text
    assert "sandbox_run_seconds_count 2.0" in text
    [spent] = [float(line.split()[1]) for line in text.splitlines() if line.startswith("sandbox_run_seconds_sum")]
    assert abs(spent - rows[0].seconds - rows[1].seconds) < 1e-6
