def shifted(text, by):
    """Each letter from a to z and A to Z moved by `by` places in the alphabet; everything else stays."""
    moved = []
    for letter in text:
        if "a" <= letter <= "z":
            moved.append(chr((ord(letter) - ord("a") + by) % 26 + ord("a")))
        elif "A" <= letter <= "Z":
            moved.append(chr((ord(letter) - ord("A") + by) % 26 + ord("A")))
        else:
            moved.append(letter)
    return "".join(moved)
