import pytest
from matrix_product import product


def test_a_product():
    assert product([[1, 2], [3, 4]], [[5, 6], [7, 8]]) == [[19, 22], [43, 50]]


def test_of_different_shapes():
    assert product([[1, 2, 3]], [[1], [2], [3]]) == [[14]]
    assert product([[1], [2]], [[3, 4]]) == [[3, 4], [6, 8]]


def test_they_do_not_fit():
    with pytest.raises(ValueError):
        product([[1, 2]], [[1, 2]])
