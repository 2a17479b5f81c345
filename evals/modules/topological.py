def order(needs):
    """The names of `needs` (name: set of names that come before), each behind what it needs; ValueError in a circle."""
    left = {name: set(before) for name, before in needs.items()}
    ordered = []
    while left:
        ready = sorted(name for name, before in left.items() if not before)
        if not ready:
            raise ValueError("a circle")
        for name in ready:
            del left[name]
        for before in left.values():
            before.difference_update(ready)
        ordered.extend(ready)
    return ordered
