def is_valid(number):
    """Whether the digits of the text `number` pass the Luhn check; spaces are skipped."""
    digits = [int(letter) for letter in number if letter != " "]
    total = 0
    for position, digit in enumerate(reversed(digits)):
        if position % 2 == 1:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10 == 0
