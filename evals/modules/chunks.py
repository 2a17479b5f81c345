def chunks(items, size):
    """The items in lists of `size`, the last one shorter where they do not fit; ValueError for a size below one."""
    if size < 1:
        raise ValueError("a size of at least one")
    return [list(items[at : at + size]) for at in range(0, len(items), size)]
