from sieve import primes_up_to


def test_the_limit_is_one_of_them():
    assert primes_up_to(13) == [2, 3, 5, 7, 11, 13]


def test_squares_are_none():
    assert primes_up_to(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]


def test_below_two_there_are_none():
    assert primes_up_to(1) == []
