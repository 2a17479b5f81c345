import pytest
from chunks import chunks


def test_the_last_one_is_shorter():
    assert chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]


def test_they_fit():
    assert chunks("abcd", 2) == [["a", "b"], ["c", "d"]]
    assert chunks([], 3) == []


def test_no_size():
    with pytest.raises(ValueError):
        chunks([1], 0)
