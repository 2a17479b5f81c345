def largest_sum(numbers):
    """The largest sum of consecutive numbers, of at least one; an empty list raises ValueError."""
    if not numbers:
        raise ValueError("no numbers")
    best = current = numbers[0]
    for number in numbers[1:]:
        current = max(number, current + number)
        best = max(best, current)
    return best
