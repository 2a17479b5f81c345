"""What the brain counts."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """All series of one service, in a registry of their own. A tool that does not exist is counted as `unknown`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        on: dict[str, Any] = {"registry": self.registry}
        self.tool_executions = Counter(
            "brain_tool_execution_total", "Calls of tools by how they ended", ["tool", "status"], **on
        )
        self.tool_seconds = Histogram(
            "brain_tool_execution_duration_seconds", "Seconds of a tool's call", ["tool"], buckets=SECONDS, **on
        )
        self.routing_requests = Counter("kitty_routing_requests_total", "Messages by who answered", ["tier"], **on)
