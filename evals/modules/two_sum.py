def two_sum(numbers, target):
    """Positions i < j of two numbers that add up to `target`, or None."""
    seen = {}
    for position, number in enumerate(numbers):
        if target - number in seen:
            return seen[target - number], position
        seen[number] = position
    return None
