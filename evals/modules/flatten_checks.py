from flatten import flatten


def test_lists_within_lists():
    assert flatten([1, [2, [3, [4]]], 5]) == [1, 2, 3, 4, 5]


def test_texts_and_tuples_stay_whole():
    assert flatten(["ab", [(1, 2)]]) == ["ab", (1, 2)]


def test_nothing_within():
    assert flatten([[], [[]]]) == []
