def flatten(items):
    """All items of lists within lists, in order; texts and tuples stay whole."""
    flat = []
    for item in items:
        if isinstance(item, list):
            flat.extend(flatten(item))
        else:
            flat.append(item)
    return flat
