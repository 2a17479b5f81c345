from brackets import is_balanced


def test_balanced_ones():
    assert all(is_balanced(text) for text in ("", "()", "a(b[c]{d})", "[]()"))


def test_one_that_is_not_closed():
    assert not is_balanced("(")
    assert not is_balanced("[(])")


def test_one_that_was_not_opened():
    assert not is_balanced(")")
