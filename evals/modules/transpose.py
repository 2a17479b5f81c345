def transposed(rows):
    """The matrix with rows and columns exchanged; rows of different lengths raise ValueError."""
    if not rows:
        return []
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        raise ValueError("rows of different lengths")
    return [[row[column] for row in rows] for column in range(width)]
