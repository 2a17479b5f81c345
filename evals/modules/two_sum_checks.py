from two_sum import two_sum


def test_two_that_add_up():
    assert two_sum([2, 7, 11, 15], 9) == (0, 1)


def test_the_same_number_twice_is_two():
    assert two_sum([3, 1, 3], 6) == (0, 2)
    assert two_sum([3, 1], 6) is None


def test_none_add_up():
    assert two_sum([1, 2], 10) is None
