"""The tool registry: `config/tool_registry.yaml`, read strictly.

file ─> source.py (nodes with their lines) ─> entry.py (both spellings) ─┬─> Tool, Registry (kitty_core.tools)
                                              │  address.py  schema.py   └─> or RegistryProblem: all of it, each with
SIGHUP ─> live.py (the old one stays          └─ ${VAR}, url, server             FILE:LINE: KEY: reason
                   when the new one is bad)

    registry = load_registry(Path("config/tool_registry.yaml"), environment())
    registry.find("coding_generate").problems({"request": "fib"})
"""

from kitty_core.errors import RegistryProblem
from kitty_core.registry.address import backing_url
from kitty_core.registry.live import LiveRegistry, install_reload_signal
from kitty_core.registry.reading import load_registry
from kitty_core.tools import HAZARD_CLASSES, HazardClass, Registry, Tool

__all__ = [
    "HAZARD_CLASSES",
    "HazardClass",
    "LiveRegistry",
    "Registry",
    "RegistryProblem",
    "Tool",
    "backing_url",
    "install_reload_signal",
    "load_registry",
]
