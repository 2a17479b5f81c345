"""evals/modules: each module passes its checks, and with each of the faults it does not."""

import json
from pathlib import Path

import pytest

from kitty_sandbox import BubblewrapSandbox, SandboxLimits, SandboxRun

FOLDER = Path(__file__).parents[1] / "modules"
NAMES = sorted(file.name.removesuffix("_checks.py") for file in FOLDER.glob("*_checks.py"))
FAULTS = [json.loads(line) for line in (FOLDER / "bugs.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def sandbox():
    made = BubblewrapSandbox()
    yield made
    made.close()


async def passes(sandbox, name, code):
    files = {f"{name}.py": code, "test_it.py": (FOLDER / f"{name}_checks.py").read_text()}
    return (await sandbox.run(SandboxRun(files, ("test_it.py",), SandboxLimits(timeout_sec=3)))).passed


@pytest.mark.parametrize("name", NAMES)
async def test_a_module_passes_its_checks(sandbox, name):
    assert await passes(sandbox, name, (FOLDER / f"{name}.py").read_text())


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault['module']}: {fault['wrong'].strip()}" for fault in FAULTS])
async def test_a_fault_is_found_by_them(sandbox, fault):
    right = (FOLDER / f"{fault['module']}.py").read_text()
    assert right.count(f"{fault['right']}\n") == 1
    assert not await passes(sandbox, fault["module"], right.replace(f"{fault['right']}\n", f"{fault['wrong']}\n"))


def test_there_are_enough_of_them():
    assert len(NAMES) >= 30
    assert len(FAULTS) >= 30
