from gcd import gcd, lcm


def test_common_divisors():
    assert [gcd(12, 18), gcd(-4, 6), gcd(0, 5), gcd(0, 0)] == [6, 2, 5, 0]


def test_common_multiples():
    assert [lcm(4, 6), lcm(-3, 5), lcm(0, 7)] == [12, 15, 0]
