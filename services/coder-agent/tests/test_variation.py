"""Inputs nobody wrote."""

import pytest

from coder_agent.variation import MOST_CALLS, MOST_TEXTS, varied_calls, varied_texts


@pytest.mark.parametrize(
    ("call", "variant"),
    [
        ("f(3)", "f(4)"),
        ("f(3)", "f(1)"),
        ("f(3)", "f(13)"),
        ("f('{()}[]')", "f('{()[]')"),
        ("f('the cat')", "f('THE CAT')"),
        ("f('ab')", "f('ab AB')"),
        ("f('1.25')", "f('1.2')"),
        ("f(True)", "f(False)"),
        ("f({2, 3})", "f({3})"),
        ("f([3, 1], reverse=True)", "f([1, 3], reverse=True)"),
        ("f([3, 1])", "f([1, 3])"),
        ("f([1, 2, 3, 4])", "f([1, 3, 2, 4])"),
        ("f([1, 2, 3])", "f([1, 3, 3])"),
        ("f(['a', 'b'])", "f(['a', 'B'])"),
        ("f([1, 2], 'x')", "f([1, 2], 'X')"),
        ("f((1, 2))", "f((1, 2, 1, 2))"),
        ("f([1], 2)", "f([1], 3)"),
        ("f({'a': 1, 'b': 2})", "f({'b': 2})"),
        ("f({'a': 1, 'b': 2})", "f({'a': 1})"),
        ("f({'a': 1, 'b': [2, 3]})", "f({'a': 2, 'b': [3, 2]})"),
        ("f([1, 'ab', None])", "f([2, 'AB', None])"),
        ("list(f(3))", "list(f(4))"),
        ("asyncio.run(f(3))", "asyncio.run(f(4))"),
    ],
)
def test_one_argument_is_changed_at_a_time(call, variant):
    assert variant in varied_calls([call])


@pytest.mark.parametrize(
    ("call", "variant"),
    [
        ("f([5, 6], 2)", "f([5, 6, 5, 6], 4)"),
        ("f([5, 6], [1, 2])", "f([6], [2])"),
        ("f([5, 6], [1, 2])", "f([6, 5], [1, 2])"),
        ("f([5, 6], 7)", "f([6], 7)"),
        ("f('kitten', 'sitter')", "f('kitte', 'sitte')"),
        ("f('kitten', 'sit')", "f('kitte', 'sit')"),
    ],
)
def test_what_goes_with_a_sequence_is_kept_in_step(call, variant):
    assert variant in varied_calls([call])


def test_a_number_that_is_a_length_is_not_changed_alone():
    assert "f([5, 6], 3)" not in varied_calls(["f([5, 6], 2)"])
    assert "f([5, 6], 8)" in varied_calls(["f([5, 6], 7)"])


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("3 5\n", "4 5\n"),
        ("3 5\n", "3 15\n"),
        ("the cat\n", "THE cat\n"),
        ("2\n7\n9\n", "2\n8\n9\n"),
        ("2\n7 9\n", "2\n7 18\n"),
    ],
)
def test_one_word_of_what_a_script_reads_is_changed_at_a_time(text, variant):
    assert variant in varied_texts([text])


def test_a_number_of_lines_or_words_is_left_as_it_is():
    assert all(text.startswith("2\n") for text in varied_texts(["2\n7\n9\n", "2\n7 9\n"]))
    assert varied_texts(["", "\n"]) == []
    assert len(varied_texts(["1 2 3 4 5 6 7 8 9\n"])) == MOST_TEXTS


@pytest.mark.parametrize("call", ["f()", "f(None)", "f('')", "f(x)", "f(key=1)", "f(", "1 + 1"])
def test_what_cannot_be_varied_gives_nothing(call):
    assert varied_calls([call]) == []


def test_all_calls_get_their_turn_within_the_limit():
    calls = varied_calls([f"f({number})" for number in range(100, 200, 5)])
    assert len(calls) == MOST_CALLS
    assert len({call for call in calls if call.endswith("1)") or call.endswith("6)")}) == MOST_CALLS
