from pascal import row


def test_the_first_rows():
    assert [row(number) for number in range(4)] == [[1], [1, 1], [1, 2, 1], [1, 3, 3, 1]]


def test_a_later_row():
    assert row(6) == [1, 6, 15, 20, 15, 6, 1]
