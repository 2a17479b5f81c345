from luhn import is_valid


def test_valid_numbers():
    assert is_valid("4539 3195 0343 6467")
    assert is_valid("79927398713")


def test_one_wrong_digit():
    assert not is_valid("79927398710")
    assert not is_valid("8273 1232 7352 0569")
