import pytest
from roman import to_roman


def test_letters_are_repeated():
    assert [to_roman(number) for number in (1, 3, 8, 30)] == ["I", "III", "VIII", "XXX"]


def test_smaller_ones_before_larger_ones():
    assert [to_roman(number) for number in (4, 9, 1994)] == ["IV", "IX", "MCMXCIV"]


def test_what_has_no_numeral_is_refused():
    for number in (0, 4000):
        with pytest.raises(ValueError):
            to_roman(number)
