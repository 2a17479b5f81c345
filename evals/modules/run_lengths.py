def encode(text):
    """Pairs of each letter and how often it follows itself: encode("aab") gives [("a", 2), ("b", 1)]."""
    runs = []
    for letter in text:
        if runs and runs[-1][0] == letter:
            runs[-1] = (letter, runs[-1][1] + 1)
        else:
            runs.append((letter, 1))
    return runs


def decode(runs):
    """The text that `encode` was given."""
    return "".join(letter * count for letter, count in runs)
