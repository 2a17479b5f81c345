"""What the coder-agent counts."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kitty_sandbox import MatrixRow, Sandbox, SandboxMatrix, SandboxResult, SandboxRun, SandboxStatus

SECONDS = (0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)


class Metrics:
    """All series of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        on: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("coder_requests_total", "Finished jobs", ["verdict"], **on)
        self.latency = Histogram("coder_latency_seconds", "Seconds from request to verdict", buckets=SECONDS, **on)
        self.generations = Counter("coder_generations_total", "Finished jobs", ["status"], **on)
        self.generation_seconds = Histogram(
            "coder_generation_duration_seconds", "Seconds of a job", buckets=SECONDS, **on
        )
        self.refinements = Counter("coder_refinements_total", "Refinements", **on)
        self.tests_passed = Counter("coder_tests_passed_total", "Jobs by whether their tests passed", ["result"], **on)
        self.step_seconds = Histogram("coder_step_seconds", "Seconds of a step", ["step"], buckets=SECONDS, **on)
        self.tokens = Counter("coder_tokens_total", "Tokens", ["kind"], **on)
        self.candidates = Histogram("coder_candidates", "Candidates a job", buckets=(0, 1, 2, 3, 4, 6, 8, 12), **on)
        self.sandbox_seconds = Histogram("sandbox_run_seconds", "Seconds of a sandbox run", buckets=SECONDS, **on)
        self.sandbox_runs = Counter("sandbox_runs_total", "Sandbox runs", ["outcome"], **on)
        self.jobs_running = Gauge("jobs_running", "Jobs running now", **on)
        self.jobs_queued = Gauge("jobs_queued", "Jobs that wait for their turn", **on)
        self.spool_rows = Gauge("audit_spool_rows", "Audit rows that wait for the database", **on)


class MeteredSandbox:
    """A sandbox whose runs are counted."""

    def __init__(self, inner: Sandbox, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def run(self, run: SandboxRun) -> SandboxResult:
        """As the sandbox within."""
        result = await self._inner.run(run)
        self._metrics.sandbox_seconds.observe(result.seconds)
        self._metrics.sandbox_runs.labels(outcome=result.outcome).inc()
        return result

    async def matrix(self, matrix: SandboxMatrix) -> tuple[MatrixRow, ...]:
        """As the sandbox within. Each different candidate is a run."""
        rows = await self._inner.matrix(matrix)
        for row in dict(zip(matrix.candidates, rows, strict=True)).values():
            self._metrics.sandbox_seconds.observe(row.seconds)
            self._metrics.sandbox_runs.labels(outcome=row.outcome).inc()
        return rows

    async def probe(self) -> SandboxStatus:
        """As the sandbox within."""
        return await self._inner.probe()
