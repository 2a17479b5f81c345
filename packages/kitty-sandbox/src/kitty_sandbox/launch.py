"""From what a run needs to a fork server's answer: one configuration, one server of the pool, one ending."""

import base64
import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from kitty_sandbox.place import Place
from kitty_sandbox.pool import Pool
from kitty_sandbox.port import Profile, SandboxLimits
from kitty_sandbox.zygote import Ending

Mode = Literal["tests", "split", "cells"]
"""What the guest does: pytest in one process, pytest apart from the program, single checks (see `guest.__main__`)."""


class Launcher:
    """The place that the probe settled and its fork servers."""

    def __init__(self, place: Place, pool: Pool) -> None:
        self.place = place
        self._pool = pool

    async def launch(
        self,
        mode: Mode,
        files: Mapping[str, str | bytes],
        limits: SandboxLimits,
        profile: Profile = "pure",
        **fields: Any,
    ) -> Ending:
        """One run to its end; `fields` are the mode's own.

        Raises:
            ZygoteFailed: no fork server could be had; nothing was run.
        """
        config: dict[str, Any] = {
            "mode": mode,
            "files": {path: _encoded(content) for path, content in files.items()},
            "profile": profile,
            "limits": dataclasses.asdict(limits),
            "uid": _unused_uid() if self.place.privilege == "setuid" else None,
            **fields,
        }
        async with self._pool.lend() as zygote:
            ending = await zygote.run(config, limits)
            zygote.is_sound &= b"\n" in ending.report
        return ending

    def close(self) -> None:
        """End the fork servers; a later run starts new ones."""
        self._pool.close()


def _encoded(content: str | bytes) -> object:
    return content if isinstance(content, str) else {"base64": base64.b64encode(content).decode()}


def _unused_uid() -> int:
    """A fresh uid per run, so that RLIMIT_NPROC counts this run alone; 65534 where only a small range is mapped."""
    try:
        spans = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    except OSError:
        spans = []
    wide = any(int(start) == 0 and int(length) > 0x40000000 for start, _, length in spans)
    return 0x20000000 + secrets.randbelow(0x20000000 - 1) if wide else 65534
