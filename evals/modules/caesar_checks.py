from caesar import shifted


def test_letters_move():
    assert shifted("abc XYZ!", 3) == "def ABC!"


def test_there_and_back():
    assert shifted(shifted("Hello, World", 5), -5) == "Hello, World"


def test_a_whole_round():
    assert shifted("zebra", 26) == "zebra"
