"""From what a run needs to a fork server's answer: one configuration, one server of the pool, one ending."""

import base64
import contextlib
import dataclasses
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from kitty_sandbox.cgroup import run_cgroup
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
        later: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Ending:
        """One run to its end.

        Args:
            later: fields that the guest reads only when it asks for them.
            fields: the mode's own.

        Raises:
            ZygoteFailed: no fork server could be had; nothing was run.
        """
        config: dict[str, Any] = {
            "mode": mode,
            "files": encoded(files),
            "profile": profile,
            "limits": dataclasses.asdict(limits),
            "uid": _unused_uid() if self.place.privilege == "setuid" else None,
            **fields,
        }
        second = json.dumps(later).encode() if later else b""
        async with self._pool.lend() as zygote:
            with run_cgroup(limits) if profile == "proc" else contextlib.nullcontext(()) as fence:
                first = json.dumps({**config, "fenced": bool(fence)}).encode()
                ending = await zygote.run(b"%010d" % len(first) + first + second, limits, fence)
            zygote.is_sound &= b"\n" in ending.report
        return ending

    def server_pids(self) -> list[int]:
        """The first process of each fork server that waits for a run."""
        return self._pool.pids()

    def close(self) -> None:
        """End the fork servers; a later run starts new ones."""
        self._pool.close()


def encoded(files: Mapping[str, str | bytes]) -> dict[str, object]:
    """The files as JSON can carry them: bytes as {"base64": …}."""
    return {
        path: content if isinstance(content, str) else {"base64": base64.b64encode(content).decode()}
        for path, content in files.items()
    }


def _unused_uid() -> int:
    """A fresh uid per run, so that RLIMIT_NPROC counts this run alone; 65534 where only a small range is mapped."""
    try:
        spans = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    except OSError:
        spans = []
    wide = any(int(start) == 0 and int(length) > 0x40000000 for start, _, length in spans)
    return 0x20000000 + secrets.randbelow(0x20000000 - 1) if wide else 65534
