"""What a request says of every result is read only where it says so plainly."""

import time

import pytest

from coder_agent.reading.examples import read_request
from coder_agent.reading.properties import read_properties


def names(request_text):
    return {one.name for one in read_properties(request_text, read_request(request_text))}


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("Write f(xs) that returns a sorted list.", {"is_list", "ascending"}),
        ("Write merge(a, b). It returns a list in ascending order.", {"is_list", "ascending"}),
        ("Write f(xs) which returns the numbers in descending order.", {"descending"}),
        ("Write f(xs). Return a list of the unique elements.", {"is_list", "no_duplicates"}),
        ("dedupe(xs) returns the list without duplicates.", {"no_duplicates"}),
        ("Write f(xs) that returns a sorted list of unique values.", {"is_list", "ascending", "no_duplicates"}),
        ("Write f(s). It should return a string of the same length as the input.", {"is_str", "same_length"}),
        ("Write f(xs) that returns a sorted copy of the list.", {"ascending", "same_elements"}),
        ("Write a function `order(xs)` that returns the given list sorted.", {"ascending", "same_elements"}),
        ("Write f(a, b) returning a tuple with quotient and remainder.", {"is_tuple"}),
        ("Write f(words) that returns a dictionary mapping words to counts.", {"is_dict"}),
        ("Write f(a, b) that returns a set of common items.", {"is_set"}),
        ("Write is_odd(n) that returns True if n is odd and False otherwise.", {"is_bool"}),
        ("Write is_odd(n). Return True or False.", {"is_bool"}),
        ("Write is_odd(n) which returns a boolean.", {"is_bool"}),
        ("Write is_odd(n: int) -> bool.", {"is_bool"}),
        ("def f(xs: list[int]) -> list[int]:\n    '''Does things.'''", {"is_list"}),
        ("Write vowels(s) that returns the number of vowels.", {"count"}),
        ("Write vowels(s). It returns the count of vowels in s.", {"count"}),
        ("Write f(xs) that doubles all, without modifying the input.", {"argument_unchanged"}),
        ("Write f(xs). It must not change its argument.", {"argument_unchanged"}),
        ("Write f(xs) that reverses xs, leaving the original unchanged.", {"argument_unchanged"}),
        ("Write f(n). Raises ValueError for negative numbers.", {"raises_ValueError"}),
        ("Write f(n, k); it raises a ValueError if k is negative.", {"raises_ValueError"}),
        ("Write f(n, k) and raise ValueError when n < 1.", {"raises_ValueError"}),
        ("Write f(xs) that raises IndexError if the list is empty.", {"raises_IndexError"}),
        ("Write f(x) that raises TypeError if x is None.", {"raises_TypeError"}),
        ("Write f(xs) that returns the numbers in\nascending order.", {"ascending"}),
        ("Write f(xs). The result should be in increasing order.", {"ascending"}),
        ("Write f(xs) that\nreturns a new list with the\neven numbers.", {"is_list"}),
    ],
)
def test_what_is_plainly_said_is_read(request_text, expected):
    assert names(request_text) == expected


@pytest.mark.parametrize(
    "request_text",
    [
        # said of what is given
        "Write search(xs, x) for a sorted list.",
        "Write f(xs): takes a sorted list, returns the index of the smallest gap.",
        "Write f(xs) that checks whether a list is in ascending order.",
        "Write f(a, b) where both lists have the same length.",
        "Write f(s) for a string without duplicates.",
        # said of another value
        "Write f(xs) that returns whether the list is sorted.",
        "Write f(xs) that returns the sum of the unique elements.",
        "Write f(xs) that returns the first element of the sorted list.",
        "Write f(xs) that returns the longest run in increasing order.",
        "Write f(s) that returns the phone number of the customer.",
        "Write f(s) that returns the number of each letter.",
        "Write f(a, b) that returns the number of days between two dates.",
        # under a condition, or one of several
        "Write f(xs) that returns a list or None.",
        "Write f(xs) that returns a sorted list if reverse is False.",
        "Write f(x) that returns a string when x is short.",
        "Write f(x) that returns either a tuple or a list.",
        "Write f(x) that returns True when done.",
        "Write f(xs) that returns a sorted list of words when asked.",
        # in an order of its own
        "Write f(xs) that returns the words sorted by length.",
        "Write f(words) that returns the words in ascending order of length.",
        "Write f(xs) that returns the names sorted ignoring case.",
        "Write f(xs) that returns the sorted lists.",
        # said of other code
        "Write f(x). The helper load() returns a list of rows.",
        "Write f(x) for an API that returns a dictionary of users.",
        "Write f(x) instead of returning a string.",
        "Write f(xs). It must not return a list.",
        "def load(x):\n    '''It returns a list.'''\n    return [x]\n\nWrite f(x).",
        # more than one thing, or no plain function
        "Write functions a(x) and b(x). a returns a list of x.",
        "Write a class Box whose method returns a list.",
        "Write a generator f(n) that returns a list.",
        # no words of a type
        "Write f(x) that returns the string reversed twice as a list index",
        "Write f(x) that returns a list index.",
        "Write f(x: int) -> int | None.",
        "Write f(xs) that changes the input in place.",
        "Write f(xs), modifying the original list.",
        # errors with no plain condition
        "Write f(n). Raises ValueError for bad input.",
        "Write f(n). It must not raise ValueError for negative numbers.",
        "Write f(a, b) that raises ValueError for negative numbers.",
        "Write f(n) that raises MyError if n is negative.",
        "Write f(n) that raises ValueError if n is negative or odd.",
        "Sort things.",
        "",
    ],
)
def test_what_is_not_plainly_said_of_the_result_is_no_property(request_text):
    assert names(request_text) == set()


def test_a_property_that_an_example_contradicts_is_not_meant():
    assert names("Write f(xs) that returns a sorted list. f([1, 2]) == [1, 2]") == {"is_list", "ascending"}
    assert names("Write f(xs) that returns a sorted list. f([1, 2]) == [2, 1]") == {"is_list"}
    assert names("Write f(n) that raises ValueError if n is negative. f(-1) == 0") == set()


@pytest.mark.parametrize(
    ("said", "right", "wrong"),
    [
        ("returns a sorted list", ([2, 1], [1, 2]), ([2, 1], [2, 1])),
        ("returns the numbers in descending order", ([1, 2], [2, 1]), ([1, 2], [1, 2])),
        ("returns a list of the unique elements", ([1, 1, []], [1, []]), ([1, 1], [1, 1])),
        ("returns a list of the same length as the input", ([1, 2], [3, 4]), ([1, 2], [3])),
        ("returns a sorted copy of the list", ([2, 1], [1, 2]), ([2, 1], [1, 3])),
        ("returns the number of vowels", ("ab", 1), ("ab", -1)),
        ("returns the number of vowels", ("ab", 0), ("ab", 1.5)),
        ("returns a boolean", (1, True), (1, 1)),
    ],
)
def test_a_check_holds_for_right_results_alone(said, right, wrong):
    request_text = f"Write f(x) that {said}."
    found = read_properties(request_text, read_request(request_text))
    assert found
    assert all(holds(one, *right) for one in found)
    assert not all(holds(one, *wrong) for one in found)


def holds(stated, argument, result):
    try:
        exec(stated.check, {"result": result, "args": (argument,), "passed": (argument,)})  # noqa: S102  # ours
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("said", "raising", "ordinary"),
    [
        ("raises ValueError for negative numbers", (-1,), (0,)),
        ("raises ValueError if x is zero", (0,), (1,)),
        ("raises ValueError when x < 3", (2,), (3,)),
        ("raises ValueError if the list is empty", ([],), ([0],)),
        ("raises ValueError if x is None", (None,), (0,)),
    ],
)
def test_the_condition_of_an_error_tells_calls_apart(said, raising, ordinary):
    request_text = f"Write f(x) that {said}."
    [error] = read_properties(request_text, read_request(request_text))
    assert error.raises == "ValueError"
    assert eval(error.when, {"args": raising})  # noqa: S307  # ours
    assert not eval(error.when, {"args": ordinary})  # noqa: S307  # ours


SLOW = ["returns a " * 2000, "the result is " * 1400, "raises ValueError if " * 950, "f(" * 10_000, "without " * 2500]
SLOW += ["\n" * 20_000, "\t" * 20_000, " " * 20_000, "f" + " " * 19_990 + ":", "that returns a list " * 1000]


@pytest.mark.parametrize("text", SLOW, ids=range(len(SLOW)))
def test_no_text_of_20_000_characters_takes_long(text):
    before = time.process_time()
    read_properties(text, read_request(text))
    assert time.process_time() - before < 2
