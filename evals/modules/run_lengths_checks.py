from run_lengths import decode, encode


def test_runs_are_counted():
    assert encode("aaabcc") == [("a", 3), ("b", 1), ("c", 2)]


def test_a_letter_that_comes_again_later_is_another_run():
    assert encode("aba") == [("a", 1), ("b", 1), ("a", 1)]


def test_there_and_back():
    assert decode(encode("mississippi")) == "mississippi"
    assert encode("") == []
