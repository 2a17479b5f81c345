from binary_search import find


def test_each_item_is_found():
    items = [2, 3, 5, 8, 13, 21]
    assert [find(items, item) for item in items] == [0, 1, 2, 3, 4, 5]


def test_what_is_not_there_is_not_found():
    assert [find([2, 3, 5], item) for item in (1, 4, 9)] == [-1, -1, -1]
    assert find([], 1) == -1
