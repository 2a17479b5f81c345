"""The rules that tell a wish for code from talk, and the orders at the head of a message."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brain.directives import read_directive
from brain.router import route

TUNE = [
    task
    for line in (Path(__file__).parents[3] / "evals" / "routing.jsonl").read_text().splitlines()
    if (task := json.loads(line))["split"] == "tune"
]


@pytest.mark.parametrize("task", TUNE, ids=lambda task: task["id"])
def test_the_rules_are_never_wrong_on_the_half_they_were_tuned_on(task):
    directive = read_directive(task["text"])
    kind = "coding" if directive.tool else route(directive.request).kind
    assert kind in ("unsure", "coding" if task["coding"] else "talk")


def test_the_rules_decide_most_of_that_half_without_a_model():
    unsure = [task for task in TUNE if route(read_directive(task["text"]).request).kind == "unsure"]
    assert len(unsure) <= 3


@pytest.mark.parametrize(
    "text",
    [
        "Write a function that reverses a string",
        "please implement a trie",
        "could you write unit tests for my stack class",
        "Refactor the following function: def f(x): return x",
        "I'd like a script that renames files",
        "create a class BankAccount with deposit and withdraw",
        "Schreib mir ein Skript, das Dateien umbenennt",
        "Implementiere eine Klasse für Brüche",
        "Écris un script qui compte les mots",
        "Escribe una función que sume dos números",
        "Escreva uma função que some dois números",
        "Scrivi una funzione che somma due numeri",
        "Напиши класс для дробей",
        "编写一个函数，计算阶乘",
        "階乗を計算する関数を書いてください",
        "Napisz funkcję, która liczy silnię",
        "a function that counts vowels",
        "Write slugify(title), slugify('Hello, World') == 'hello-world'",
        "please implement clamp(x, low, high): clamp(9, 0, 5) -> 5",
        "Write me a `median(xs)`. median([1, 9, 5]) should be 5",
        "schreib mir verdopple(n), verdopple(2) == 4",
        "escribe suma(a, b), suma(1, 2) == 3",
        "напиши double(n), double(2) == 4",
        "fix this:\n```python\ndef f(x) return x\n```",
    ],
)
def test_a_wish_for_code_is_coding(text):
    assert route(text).kind == "coding"


@pytest.mark.parametrize(
    "text",
    [
        "what is a decorator?",
        "I hate writing unit tests",
        "why do people write unit tests?",
        "how do I learn to write a function?",
        "explain recursion to me",
        "my boss wants me to write a program for every problem",
        "write a poem about functions",
        "write an email to my class",
        "thanks, the function is great",
        "why does slugify('a b') == 'a-b' fail?",
        "is it true that round(2.5) == 2?",
        "write a letter to Ann (my aunt)",
        "Was ist eine Funktion?",
        "Warum schreibt man Tests?",
        "Pourquoi écrire des tests ?",
        "¿Qué es una función?".lstrip("¿"),
        "что такое декоратор?",
        "什么是函数？",
        "デコレータとは何ですか",
    ],
)
def test_talk_about_code_is_never_coding(text):
    assert route(text).kind != "coding"


@pytest.mark.parametrize(
    "text", ["now handle negatives", "make it faster", "add type hints", "und jetzt auch für Listen"]
)
def test_a_short_message_right_after_code_is_about_that_code(text):
    assert route(text, last_turn_was_coding=True).kind == "coding"


@pytest.mark.parametrize("text", ["thanks!", "why does it use a set?", "what time is it", "x" * 500])
def test_thanks_questions_and_long_messages_are_no_follow_up(text):
    assert route(text, last_turn_was_coding=True).kind != "coding"


@settings(deadline=None, max_examples=50)
@given(st.text(), st.booleans())
@example("a" * 200_000, False)
@example("f(" * 50_000, False)
@example("write " * 20_000, False)
def test_every_text_gets_a_route(text, follows):
    found = route(text, last_turn_was_coding=follows)
    assert found.kind in ("coding", "talk", "unsure")
    assert 0.5 <= found.confidence <= 1


@pytest.mark.parametrize(
    ("message", "tool", "request_text"),
    [
        (
            "/agent on. Call coding.generate to implement: write f, with pytest.",
            "coding.generate",
            "write f, with pytest.",
        ),
        ("Call coding.generate to implement: {a: 'b'}\n", "coding.generate", "{a: 'b'}\n"),
        ("/agent on\nUse the tool `memory_search` with my bike", "memory_search", "my bike"),
        ("please call coding_generate: fib", "coding_generate", "fib"),
        ("call broker.run git status", "broker.run", "git status"),
        ("Call coding.generate to implement:\n```python\nx = 1\n```", "coding.generate", "\n```python\nx = 1\n```"),
    ],
)
def test_an_order_names_the_tool_and_the_rest_is_its_request(message, tool, request_text):
    directive = read_directive(message)
    assert (directive.tool, directive.request) == (tool, request_text)


@pytest.mark.parametrize(
    "message",
    [
        "  Write f.\n",
        "call me later",
        "use numpy to add: 1",
        "/help",
        "/agent online",
        "Run my code: x = 1",
        "use e.g. a",
    ],
)
def test_a_message_without_orders_is_its_own_request(message):
    directive = read_directive(message)
    assert (directive.request, directive.tool, directive.uses_agent) == (message, None, None)


def test_slash_words_switch_the_agent_and_the_model():
    assert read_directive("/agent off\nCall coding.generate: x").uses_agent is False
    assert read_directive("/agent off\nCall coding.generate: x").tool is None
    directive = read_directive("/model kitty-coder. /agent on. hello {}")
    assert (directive.model, directive.uses_agent, directive.request) == ("kitty-coder", True, "hello {}")


@given(st.text(st.characters(exclude_characters="/ \n\t\r\v\f\x1c\x1d\x1e\x1f\x85\xa0"), min_size=1))
def test_the_rest_of_an_order_is_kept_byte_for_byte(rest):
    assert read_directive(f"/agent on. Call coding.generate to implement: {rest}").request == rest


@pytest.mark.parametrize("text", ["Confirm: proceed", "confirm: proceed please", "cancel", "Abort!", "cancel that one"])
def test_a_word_for_a_call_that_waits_is_no_wish_for_code(text):
    assert route(text).kind == "talk"
    assert route(text, last_turn_was_coding=True).kind != "coding"


@pytest.mark.parametrize("text", ["Write a function confirm(text)", "cancel(order) == True: write that function"])
def test_a_function_of_that_name_is_one(text):
    assert route(text).kind == "coding"


@pytest.mark.parametrize(
    "text",
    ["Run the tests in my workspace with pytest", "Run pytest", "Run the tests", "Please run pytest.run on test_x.py"],
)
def test_running_what_is_there_is_no_wish_for_code(text):
    assert route(text).kind == "talk"


@pytest.mark.parametrize(
    "text", ["Write a function that runs the tests", "Write tests for this and run them: def f(): pass"]
)
def test_writing_what_runs_is_one(text):
    assert route(text).kind == "coding"
