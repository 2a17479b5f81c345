"""The question whether code is wanted, and what comes of the answer to it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brain.clarification import QUESTIONS, question_for, read_choice
from brain.testing import coding_tool, done

GATEWAY = {"calls": {"coding_generate": done("coding.generate", {"code": "x = 1\n", "final_answer": "Done."})}}
UNSURE = "no json at all"


@pytest.mark.parametrize(
    "said", ["yes, write the code", "Yes please!", "code", "Ja, bitte.", "oui", "да, напиши код", "写代码"]
)
def test_after_a_yes_the_first_request_is_written_and_not_the_yes(start, said):
    brain, _, gateway = start(UNSURE, gateway=GATEWAY)
    assert brain.query("fib(n) ", conversationId="c1").json()["result"]["output"] == QUESTIONS["en"]
    body = brain.query(said, conversationId="c1").json()
    [call] = gateway.invocations
    assert call.body["arguments"]["request"] == "fib(n) "
    assert body["routing"]["metadata"]["agent_steps"][0]["reason"] == "the person said so"


@pytest.mark.parametrize(
    "said", ["talk", "no", "just talk about it", "Nein, nur reden.", "pas de code", "no, hablemos", "聊聊吧"]
)
def test_after_a_no_the_first_request_is_talked_about(start, said):
    brain, model, gateway = start(UNSURE, gateway=GATEWAY)
    brain.query("fib(n)", conversationId="c1")
    model.script = lambda messages: "A sequence."
    body = brain.query(said, conversationId="c1").json()
    assert body["result"]["output"] == "A sequence."
    assert model.generations[-1].messages[-1]["content"].startswith("fib(n)")
    assert not gateway.invocations


def test_the_model_of_the_first_message_writes_unless_the_answer_names_another(start):
    brain, _, gateway = start(UNSURE, gateway=GATEWAY)
    brain.query("/model kitty-f16 fib(n)", conversationId="c1")
    brain.query("yes", conversationId="c1")
    brain.query("fac(n)", conversationId="c2")
    brain.query("yes", conversationId="c2", modelAlias="kitty-coder")
    sent = [call.body["arguments"] for call in gateway.invocations]
    assert [(one["request"], one["model"]) for one in sent] == [("fib(n)", "kitty-f16"), ("fac(n)", "kitty-coder")]


def test_anything_else_is_a_new_message_and_closes_the_question(start):
    brain, model, gateway = start(UNSURE, gateway=GATEWAY)
    brain.query("fib(n)", conversationId="c1")
    model.script = lambda messages: "Noon."
    assert brain.query("what time is it", conversationId="c1").json()["result"]["output"] == "Noon."
    model.script = lambda messages: UNSURE
    brain.query("yes", conversationId="c1")
    assert not gateway.invocations


@pytest.mark.parametrize("other", [{"conversationId": "c2"}, {"conversationId": "c1", "user": "bob"}, {}])
def test_a_yes_elsewhere_answers_nothing(start, other):
    brain, _, gateway = start(UNSURE, gateway=GATEWAY)
    brain.query("fib(n)", conversationId="c1")
    brain.query("yes", **other)
    assert not gateway.invocations


def test_a_yes_that_was_not_asked_for_is_a_message(start):
    brain, _, gateway = start("Fine.", gateway={"tools": [coding_tool()], **GATEWAY})
    brain.query("what is up", conversationId="c1")
    brain.query("yes", conversationId="c1")
    assert not gateway.invocations


def test_talk_about_an_unclear_request_is_not_kept_for_the_same_words(start):
    brain, model, _ = start(UNSURE, gateway=GATEWAY)
    brain.query("fib(n)", conversationId="c1")
    model.script = lambda messages: "A sequence."
    brain.query("talk", conversationId="c1")
    model.script = lambda messages: UNSURE
    assert brain.query("fib(n)", conversationId="c2").json()["result"]["output"] == QUESTIONS["en"]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("no, write the code", "coding"),
        ("no code, only talk", "talk"),
        ("yes, only talk", "talk"),
        ("I want you to write the function", "coding"),
        ("ok - do it", "coding"),
        ("sí, escribe el código", "coding"),
        ("sim, por favor", "coding"),
        ("sì, scrivi il codice", "coding"),
        ("tak, napisz kod", "coding"),
        ("はい、コードを書いてください", "coding"),
        ("いいえ、話すだけ", "talk"),
        ("不要写代码", "talk"),
        ("nie, tylko porozmawiajmy", "talk"),
        ("solo parliamone", "talk"),
        ("d’accord", "coding"),
        ("code or talk", None),
        ("yes and no", None),
        ("yes, but with type hints", None),
        ("write a poem", None),
        ("what is code?", None),
        ("code?", None),
        ("please", None),
        ("", None),
        ("...", None),
    ],
)
def test_an_answer_is_read_only_where_every_word_is_known(text, choice):
    assert read_choice(text) == choice


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("fib", "en"),
        ("sum of the digits of n", "en"),
        ("Quersumme von n", "de"),
        ("somme des chiffres de n", "fr"),
        ("suma de los dígitos de n", "es"),
        ("soma dos dígitos, não negativos", "pt"),
        ("somma delle cifre di n", "it"),
        ("сумма цифр n", "ru"),
        ("suma cyfr liczby, która jest dodatnia", "pl"),
        ("n 的各位数字之和", "zh"),
        ("n の桁の合計", "ja"),
    ],
)
def test_the_question_is_asked_in_the_persons_language(text, language):
    assert question_for(text) == QUESTIONS[language]


@settings(deadline=None, max_examples=50)
@given(st.text())
@example("yes " * 20_000)
@example("ー" * 20_000)
def test_no_text_makes_it_fail(text):
    assert read_choice(text) in ("coding", "talk", None)
    assert question_for(text) in QUESTIONS.values()
