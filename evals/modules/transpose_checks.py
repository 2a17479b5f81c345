import pytest
from transpose import transposed


def test_rows_become_columns():
    assert transposed([[1, 2, 3], [4, 5, 6]]) == [[1, 4], [2, 5], [3, 6]]


def test_nothing_stays_nothing():
    assert transposed([]) == []


def test_ragged_rows():
    with pytest.raises(ValueError):
        transposed([[1], [2, 3]])
