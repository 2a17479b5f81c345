from bits import count_ones, is_power_of_two


def test_ones():
    assert [count_ones(number) for number in (0, 1, 6, 255)] == [0, 1, 2, 8]


def test_powers():
    assert [n for n in range(-2, 17) if is_power_of_two(n)] == [1, 2, 4, 8, 16]
