def product(a, b):
    """The product of two matrices given as lists of rows; ValueError where they do not fit."""
    if not a or not b or len(a[0]) != len(b):
        raise ValueError("they do not fit")
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]
