def rotated(items, by):
    """The list with its last `by` items moved to the front; negative: the first ones to the end."""
    if not items:
        return []
    at = -by % len(items)
    return items[at:] + items[:at]
