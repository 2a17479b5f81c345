"""The ways in which `arena` is called: by tier and by user."""

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from corpus import Attack

import kitty_sandbox
from kitty_sandbox.guest.syscalls import landlock_abi

TESTS = Path(__file__).parent
ORDINARY_USER = 60123
"""A user that nobody is; without an entry in /etc/passwd."""


@dataclass(frozen=True)
class Stage:
    tier: str
    way: str
    """`setuid`, `userns`: as root. `any`: as an ordinary user, who has but one."""

    def __str__(self) -> str:
        who = {"setuid": "root", "userns": "root in a user namespace", "any": "ordinary user"}
        return f"{self.tier}, {who[self.way]}"

    def run(self, *names: str) -> dict[str, Any]:
        """What `arena` says of the attacks `names` (or all) or that it `failed`; skips where there is no such stage."""
        if self.tier != "ns-only" and not landlock_abi():
            pytest.skip("this kernel has no Landlock")
        if self.way != "any" and os.getuid() != 0:
            pytest.skip("only root can run it as root")
        who: dict[str, Any] = {}
        python, environment = sys.executable, _environment()
        if os.getuid() == 0 and (self.way == "any" or self.tier == "landlock"):
            found = find_python_for_everybody()
            if found is None:
                pytest.skip("an ordinary user can read no interpreter of this version here")
            python = found
        if os.getuid() == 0 and self.way == "any":
            who = {"user": ORDINARY_USER, "group": ORDINARY_USER, "extra_groups": []}
        argv = [python, str(TESTS / "arena.py"), self.tier, self.way, "--inside", *names]
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd="/", timeout=280, **who)
        if done.returncode != 0:
            return {"failed": done.stderr[-3000:]}
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def lets_through(self, attack: Attack) -> bool:
        """Whether the tier says itself that it does not stop this."""
        return bool({self.tier, f"{self.tier} {self.way}"} & set(attack.open_in))

    def has_hole(self, attack: Attack) -> bool:
        """Whether the sandbox is known to fail here."""
        return bool(attack.hole) and attack.hole_of in {"", self.way}


def check_ending(stage: Stage, attack: Attack, mode: str, ending: str, detail: str) -> None:
    """Contained, or ended as it must; no process is lent to the profile `proc` where nothing could bound it."""
    if ending == "escaped" and stage.has_hole(attack):
        pytest.xfail(attack.hole)
    assert not stage.has_hole(attack), "mended: take the hole out of the corpus"
    allowed = set(attack.ends) or {"contained"}
    if attack.ends and mode == "apart":
        allowed.add("failed")
    if attack.profile == "proc":
        allowed.add("refused")
    assert ending in allowed, detail


@functools.cache
def find_python_for_everybody() -> str | None:
    """An interpreter that an ordinary user can run with our packages: pyenv below /root is not one."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        who: dict[str, Any] = {}
        if os.getuid() == 0:
            who = {"user": ORDINARY_USER, "group": ORDINARY_USER, "extra_groups": []}
        try:
            argv = [python, "-c", "import pytest, kitty_sandbox, arena"]
            done = subprocess.run(argv, env=_environment(), cwd="/", capture_output=True, timeout=60, **who)
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return None


def _environment() -> dict[str, str]:
    """Enough to find our packages and bubblewrap; a home folder only where it is ours."""
    here = (
        Path(kitty_sandbox.__file__).parents[1],
        Path(pytest.__file__).parents[1],
        TESTS,
        TESTS.parents[2] / "benchmarks",
    )
    return {"PYTHONPATH": ":".join(map(str, here)), "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
