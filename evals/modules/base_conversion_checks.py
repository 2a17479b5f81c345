import pytest
from base_conversion import to_base


def test_known_numbers():
    assert [to_base(number, 2) for number in (0, 1, 6)] == ["0", "1", "110"]
    assert to_base(255, 16) == "ff"


def test_below_zero():
    assert to_base(-10, 8) == "-12"


def test_bases_that_are_none():
    with pytest.raises(ValueError):
        to_base(1, 1)
