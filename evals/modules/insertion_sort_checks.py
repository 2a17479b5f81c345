from insertion_sort import insertion_sorted


def test_sorted():
    assert insertion_sorted([3, 1, 2, 1]) == [1, 1, 2, 3]
    assert insertion_sorted([5, 4, 3, 2, 1]) == [1, 2, 3, 4, 5]


def test_what_is_given_stays():
    given = [2, 1]
    assert insertion_sorted(given) == [1, 2]
    assert given == [2, 1]
