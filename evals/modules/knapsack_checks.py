from knapsack import best_value


def test_the_best_choice():
    assert best_value([(1, 1), (3, 4), (4, 5), (5, 7)], 7) == 9


def test_each_item_once():
    assert best_value([(2, 3)], 10) == 3


def test_nothing_fits():
    assert best_value([(5, 10)], 4) == 0
