def averages(values, window):
    """The mean of each `window` consecutive values; ValueError where the window is not positive."""
    if window < 1:
        raise ValueError("a window of at least one value")
    return [sum(values[at : at + window]) / window for at in range(len(values) - window + 1)]
