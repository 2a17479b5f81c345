from hypothesis import given
from hypothesis import strategies as st

from kitty_llm.echo import EchoStripper, Replay

PREFILL = "```python\n"


def stripped(pieces: list[str]) -> str:
    stripper = EchoStripper(PREFILL)
    return "".join([stripper.feed(piece) for piece in pieces]) + stripper.close()


@given(st.integers(1, 7))
def test_the_echo_is_taken_out_once_wherever_the_chunks_are_cut(size: int):
    text = PREFILL + PREFILL + "x = 1"
    assert stripped([text[at : at + size] for at in range(0, len(text), size)]) == PREFILL + "x = 1"


@given(st.lists(st.text("`python\nx", max_size=4)))
def test_text_that_is_no_echo_is_passed_on_unchanged(pieces: list[str]):
    text = "".join(pieces)
    assert stripped(pieces) == text.removeprefix(PREFILL)


def test_half_an_echo_is_text():
    assert stripped(["```", "py"]) == "```py"


def test_a_retried_answer_is_not_delivered_twice():
    replay = Replay()
    first = [replay.feed(piece) for piece in ("ab", "cd")]
    replay.restart()
    again = [replay.feed(piece) for piece in ("a", "bcde", "f")]
    assert (first, again) == (["ab", "cd"], ["", "e", "f"])


def test_a_retried_answer_that_differs_is_delivered_from_the_difference_on():
    replay = Replay()
    replay.feed("abcd")
    replay.restart()
    assert [replay.feed(piece) for piece in ("ab", "X", "Y")] == ["", "X", "Y"]
