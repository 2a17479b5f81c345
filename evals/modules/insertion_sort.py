def insertion_sorted(items):
    """A new sorted list of the items."""
    ordered = list(items)
    for end in range(1, len(ordered)):
        item, at = ordered[end], end
        while at > 0 and ordered[at - 1] > item:
            ordered[at] = ordered[at - 1]
            at -= 1
        ordered[at] = item
    return ordered
