def count_ones(number):
    """How many ones the binary form of a number has that is not negative."""
    count = 0
    while number:
        number &= number - 1
        count += 1
    return count


def is_power_of_two(number):
    """Whether the number is 1, 2, 4, 8, …"""
    return number > 0 and number & (number - 1) == 0
