DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def to_base(number, base):
    """A whole number as text in a base from 2 to 36."""
    if not 2 <= base <= 36:
        raise ValueError("a base from 2 to 36")
    if number == 0:
        return "0"
    sign, number = ("-", -number) if number < 0 else ("", number)
    text = ""
    while number:
        number, digit = divmod(number, base)
        text = DIGITS[digit] + text
    return sign + text
