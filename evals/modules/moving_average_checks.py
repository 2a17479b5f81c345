import pytest
from moving_average import averages


def test_each_window():
    assert averages([1, 2, 3, 4], 2) == [1.5, 2.5, 3.5]


def test_a_window_of_all_and_of_more():
    assert averages([1, 2, 3], 3) == [2.0]
    assert averages([1, 2], 3) == []


def test_no_window():
    with pytest.raises(ValueError):
        averages([1], 0)
