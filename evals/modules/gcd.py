def gcd(a, b):
    """The greatest whole number that divides both; gcd(0, 0) is 0."""
    a, b = abs(a), abs(b)
    while b:
        a, b = b, a % b
    return a


def lcm(a, b):
    """The least positive whole number that both divide; 0 where one is 0."""
    if a == 0 or b == 0:
        return 0
    return abs(a * b) // gcd(a, b)
