def most_common(text, count):
    """The `count` most frequent words, lower case, with how often each occurs; equally frequent ones by the alphabet."""
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ranked[:count]
