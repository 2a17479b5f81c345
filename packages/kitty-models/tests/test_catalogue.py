import pytest

from kitty_models.catalogue import CATALOGUE, SERVER_ALIASES, HttpFile, WheelParts, find
from kitty_models.errors import ModelNotFound


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.alias)
def test_the_wheels_add_up_to_the_whole_model(spec):
    (parts,) = [origin for origin in spec.origins if isinstance(origin, WheelParts)]
    assert sum(wheel.size_bytes for wheel in parts.wheels) == spec.size_bytes


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.alias)
def test_every_part_is_pinned_by_a_hash_of_its_own(spec):
    (parts,) = [origin for origin in spec.origins if isinstance(origin, WheelParts)]
    hashes = {spec.sha256, *(wheel.sha256 for wheel in parts.wheels)}
    assert len(hashes) == len(parts.wheels) + 1
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in hashes)


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.alias)
def test_the_publisher_is_asked_before_anyone_else(spec):
    assert isinstance(spec.origins[0], HttpFile)
    assert spec.origins[0].url.endswith(spec.file_name)


@pytest.mark.parametrize("alias", SERVER_ALIASES)
def test_a_servers_alias_cannot_be_pulled(alias):
    with pytest.raises(ModelNotFound, match="running server"):
        find(alias)


def test_an_unknown_alias_lists_the_known_ones():
    with pytest.raises(ModelNotFound, match="kitty-coder-small, kitty-coder"):
        find("kitty-codr")
