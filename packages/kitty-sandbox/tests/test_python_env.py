"""Interpreters other than the service's own, made here without any download."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kitty_sandbox import BubblewrapSandbox, SandboxRun, SandboxUnavailable
from kitty_sandbox.python_env import PYTEST_MODULES, PythonEnv, inspect_python, readable_parts

RUN = SandboxRun({"test_a.py": "from wings import fly\ndef test_a(): assert fly() == 1\n"}, ("test_a.py",))


def make_environment(folder: Path, *, with_pytest: bool) -> Path:
    """A virtual environment with a package of its own; pytest is linked in from ours."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "wings.py").write_text("def fly(): return 1\n")
    for source, place in inspect_python(None).modules if with_pytest else ():
        subprocess.run(["cp", "-r", source, str(site / os.path.basename(place))], check=True)
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    return folder / "bin" / "python"


async def test_an_interpreter_with_pytest_brings_its_packages(tmp_path):
    python = make_environment(tmp_path / "env", with_pytest=True)
    result = await BubblewrapSandbox(python=python).run(RUN)
    assert result.passed, result


async def test_an_interpreter_without_pytest_uses_ours_and_keeps_its_packages_out(tmp_path):
    python = make_environment(tmp_path / "env", with_pytest=False)
    result = await BubblewrapSandbox(python=python).run(RUN)
    assert (result.outcome, result.missing_modules) == ("failed", ("wings",))


def test_another_version_without_pytest_is_told_how_to_get_it(tmp_path):
    other = tmp_path / "python"
    real = inspect_python(None).executable
    other.write_text(
        f"#!/bin/sh\nexec {real} -I -c \"import json; print(json.dumps(dict(executable='/opt/p', version='3.99.0',"
        ' prefixes=[], stdlib=[], path=[], has_pytest=False)))"\n'
    )
    other.chmod(0o755)
    with pytest.raises(SandboxUnavailable, match=r"3\.99\.0 without pytest") as caught:
        inspect_python(other)
    assert caught.value.fix == f"{other} -m pip install pytest"


def test_only_pytest_and_what_it_needs_is_taken_from_the_service():
    env = inspect_python(None)
    assert {Path(place).stem for _, place in env.modules} == set(PYTEST_MODULES)
    assert env.site_dirs == ()
    assert not any("site-packages" in path for path in env.binds)
    assert str(Path.home()) not in env.binds


def test_where_nothing_can_be_mounted_over_it_what_is_beside_a_mask_is_named(tmp_path):
    for name in ("lib/python3/os.py", "lib/python3/json/x.py", "lib/python3/site-packages/secret.py", "lib/libc.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to("lib")
    binds = (str(tmp_path / "lib"), str(tmp_path / "link"))
    env = PythonEnv("python", "3.12.1", binds, (str(tmp_path / "lib/python3/site-packages"),), (("/x/pytest", ""),), ())
    readable, listable = readable_parts(env)
    names = ["lib/libc.so", "lib/python3/json", "lib/python3/os.py"]
    assert {str(tmp_path / name) for name in names} | {"/x/pytest"} == set(readable)
    assert listable == [str(tmp_path / "lib"), str(tmp_path / "lib/python3")]


@pytest.mark.skipif(not list(Path("/lib").glob("*-linux-*/libc.so.6")), reason="libraries have no folder of their own")
def test_of_the_systems_library_folder_only_the_libraries_are_visible():
    tests = """
import os
def test_a(): assert set(os.listdir("/usr/lib")) <= {KEPT} | {name for name in os.listdir("/usr/lib") if ".so" in name}
def test_b():
    import ctypes, ctypes.util, lzma, sqlite3, ssl, zlib
"""
    kept = {"locale", "ssl", "terminfo", *(path.name for path in Path("/usr/lib").glob("*-linux-*"))}
    stdlib = {path.name for path in Path("/usr/lib").glob("python3.*")}
    run = SandboxRun({"test_a.py": tests.replace("{KEPT}", repr(kept | stdlib))}, ("test_a.py",))
    result = asyncio.run(BubblewrapSandbox().run(run))
    assert result.passed, result
    assert len(os.listdir("/usr/lib")) > len(kept | stdlib)
