from edit_distance import distance


def test_known_distances():
    assert distance("kitten", "sitting") == 3
    assert distance("flaw", "lawn") == 2


def test_an_empty_text_costs_all_letters():
    assert distance("", "abc") == 3
    assert distance("abc", "") == 3


def test_the_same_text_costs_nothing():
    assert distance("same", "same") == 0
