def row(number):
    """Row `number` of Pascal's triangle; row 0 is [1]."""
    current = [1]
    for _ in range(number):
        current = [1] + [a + b for a, b in zip(current, current[1:])] + [1]
    return current
