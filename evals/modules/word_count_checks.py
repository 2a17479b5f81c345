from word_count import most_common


def test_frequent_ones_first():
    assert most_common("b a a c b a", 2) == [("a", 3), ("b", 2)]


def test_equally_frequent_ones_by_the_alphabet():
    assert most_common("pear Apple fig", 3) == [("apple", 1), ("fig", 1), ("pear", 1)]


def test_no_words():
    assert most_common("", 5) == []
