"""What each layer is good for: a program that gets out with all layers off, and does not with this one alone.

A layer for which there is no such program would be an ornament.
"""

import dataclasses
import shutil
from typing import get_args

import pytest
from arena import make_run, read_lines
from baits import baited
from corpus.attacks import ATTACKS

from kitty_sandbox.launch import Launcher
from kitty_sandbox.place import Layer, make_place, privileges
from kitty_sandbox.pool import Pool
from kitty_sandbox.python_env import inspect_python

ALL = frozenset(get_args(Layer))
PROGRAMS = {
    "capabilities": "files.mount_over_the_tests",
    "identity": "files.plant_a_conftest",
    "landlock": "files.write_to_a_shared_device",
    "limits": "resources.memory_at_once",
    "network": "network.tcp",
    "processes": "processes.signal_to_the_host",
    "read-only": "files.make_the_tests_writable",
    "scopes": "network.unix_abstract",
    "seccomp": "processes.fork",
}
RESTS_ON = {"scopes": {"landlock"}}
"""Layers that are part of another one, which stays on with them."""
ALWAYS_ON = ("files.home", "files.planted_file", "files.environment")
"""Stopped by what cannot be left out: a root and an environment of its own."""


@pytest.fixture(scope="module")
def facts():
    with baited() as found:
        yield found


@pytest.fixture(scope="module")
def env():
    return inspect_python(None)


async def get_endings(env, facts, names, without, *bound):
    """How the programs end where the layers of `without` are missing and the files of `bound` are let in."""
    place = make_place(shutil.which("bwrap"), env, privileges()[0], "full", without)
    at = len(place.argv) - place.argv[::-1].index("--remount-ro") - 1
    binds = [word for path in bound for word in ("--ro-bind", path, path)]
    place = dataclasses.replace(place, argv=(*place.argv[:at], *binds, *place.argv[at:]))
    launcher = Launcher(place, Pool(place.furnish, 1))
    run = make_run([ATTACKS[name] for name in names], facts)
    control = {"test_zz.py": "def test_zz(): assert False\n"}
    fields = {"nonce": "0", "tests": list(run.tests), "control": "test_zz.py"}
    ending = await launcher.launch("tests", {**run.files, **control}, run.limits, **fields)
    launcher.close()
    said = read_lines(ending.stdout.decode())
    assert set(said) == set(names), (ending.stdout, ending.stderr)
    return {name: outcome for name, (outcome, _) in said.items()}


def test_each_layer_has_its_program():
    assert set(PROGRAMS) == ALL


async def test_with_all_layers_off_each_program_gets_out(env, facts):
    names = [name for layer, name in PROGRAMS.items() if exists(layer)]
    assert await get_endings(env, facts, names, ALL) == dict.fromkeys(names, "escaped")


@pytest.mark.parametrize("layer", PROGRAMS)
async def test_one_layer_alone_contains_its_program(env, facts, layer):
    if not exists(layer):
        pytest.skip("only root's guest gets an identity of its own")
    name = PROGRAMS[layer]
    off = ALL - RESTS_ON.get(layer, set())
    if off != ALL:
        assert await get_endings(env, facts, [name], off) == {name: "escaped"}
    assert await get_endings(env, facts, [name], off - {layer}) == {name: "contained"}


async def test_what_cannot_be_left_out_contains_with_all_layers_off(env, facts):
    assert await get_endings(env, facts, ALWAYS_ON, ALL) == dict.fromkeys(ALWAYS_ON, "contained")


async def test_a_file_that_is_let_in_is_readable_in_spite_of_all_layers(env, facts):
    """The root of its own is all that hides a file."""
    path = facts["home_file"]
    assert await get_endings(env, facts, ["files.home"], frozenset(), path) == {"files.home": "escaped"}


def exists(layer):
    return layer != "identity" or privileges()[0] == "setuid"
