PAIRS = {")": "(", "]": "[", "}": "{"}


def is_balanced(text):
    """Whether each bracket in the text is closed by one of its kind, in the right order."""
    waiting = []
    for letter in text:
        if letter in PAIRS.values():
            waiting.append(letter)
        elif letter in PAIRS:
            if not waiting or waiting.pop() != PAIRS[letter]:
                return False
    return not waiting
