"""All groups of attacks, entered in `ATTACKS`."""

from corpus import ATTACKS, Attack, calls, files, network, processes, resources

__all__ = ["ATTACKS", "Attack", "calls", "files", "network", "processes", "resources"]
