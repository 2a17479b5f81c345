from merge_intervals import merge


def test_overlapping_ones_are_joined():
    assert merge([(1, 4), (3, 6), (8, 9)]) == [(1, 6), (8, 9)]


def test_one_inside_another_changes_nothing():
    assert merge([(1, 10), (2, 3)]) == [(1, 10)]


def test_touching_ones_are_joined_in_any_order():
    assert merge([(5, 7), (1, 5)]) == [(1, 7)]
