from rotate import rotated


def test_to_the_right():
    assert rotated([1, 2, 3, 4, 5], 2) == [4, 5, 1, 2, 3]


def test_to_the_left_and_around():
    assert rotated([1, 2, 3], -1) == [2, 3, 1]
    assert rotated([1, 2, 3], 7) == [3, 1, 2]


def test_nothing():
    assert rotated([], 3) == []
