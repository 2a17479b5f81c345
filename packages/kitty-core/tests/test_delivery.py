"""Results in words."""

import pytest

from kitty_core.delivery import fenced, in_markdown


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("Nothing to do.", "Nothing to do."),
        ({"code": "x = 1", "final_answer": "**Verified.**"}, "**Verified.**\n\n```python\nx = 1\n```"),
        ({"code": "x = 1\n", "summary": "", "explanation": "One."}, "One.\n\n```python\nx = 1\n```"),
        ({"code": "x = 1\n"}, "disk.usage: ok.\n\n```python\nx = 1\n```"),
        ({"stdout": "a\n", "stderr": "", "exit_code": 0}, "disk.usage: ok.\n\n```\na\n```"),
        ({"stdout": "", "stderr": "b"}, "disk.usage: ok.\n\n```\nb\n```"),
        ({"stdout": "", "stderr": ""}, "disk.usage: ok."),
        ({"summary": "Three files."}, "Three files."),
        ({"summary": ["no text"], "size": 3}, '```json\n{\n  "summary": [\n    "no text"\n  ],\n  "size": 3\n}\n```'),
        (["é"], '```json\n[\n  "é"\n]\n```'),
        (None, "```json\nnull\n```"),
    ],
)
def test_a_result_is_said_as_a_person_would_want_it(result, said):
    assert in_markdown(result, "disk.usage: ok.") == said


@pytest.mark.parametrize(("text", "fence"), [("a", "```"), ("``", "```"), ("```x```", "````"), ("a ````` b", "``````")])
def test_no_text_closes_its_own_fence(text, fence):
    assert fenced(text, "") == f"{fence}\n{text}\n{fence}"
