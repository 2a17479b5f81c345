import pytest
from max_subarray import largest_sum


def test_a_sum_in_the_middle():
    assert largest_sum([-2, 1, -3, 4, -1, 2, 1, -5, 4]) == 6


def test_all_negative():
    assert largest_sum([-3, -1, -2]) == -1


def test_no_numbers():
    with pytest.raises(ValueError):
        largest_sum([])
