import pytest
from median import median


def test_an_odd_number_of_values():
    assert median([9, 1, 5]) == 5


def test_an_even_number_of_values():
    assert median([4, 1, 3, 2]) == 2.5


def test_no_values():
    with pytest.raises(ValueError):
        median([])
