"""What the broker counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """All series of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.commands = Counter(
            "broker_commands_total",
            "Attempts to run a command; names that are not listed count as unknown",
            ["command", "outcome"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "broker_command_seconds", "Seconds a command ran", ["command"], buckets=SECONDS, registry=self.registry
        )
        self.running = Gauge("broker_commands_running", "Commands running now", registry=self.registry)
