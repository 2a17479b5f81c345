def best_value(items, capacity):
    """The greatest value of items (weight, value), each taken at most once, that weigh at most `capacity`."""
    best = [0] * (capacity + 1)
    for weight, value in items:
        for room in range(capacity, weight - 1, -1):
            best[room] = max(best[room], best[room - weight] + value)
    return best[capacity]
