def spiral(rows):
    """All values of a matrix in clockwise order from the top left corner inwards."""
    rows = [list(row) for row in rows]
    values = []
    while rows:
        values.extend(rows.pop(0))
        rows = [list(column) for column in zip(*rows)][::-1]
    return values
