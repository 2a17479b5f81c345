from dataclasses import replace

import pytest

from kitty_llm import BackendAnsweredNonsense, Part, Sampling
from kitty_llm.dialects import Call, Message, Variant, ask_for_prefill_in_words, chat_body, delta_of, native_body

CALL = Call((Message("user", (Part("hi"),)),), "So: ", Sampling(stop=("X",), json_schema={"type": "object"}), "m")


def test_the_sampling_is_pinned_and_not_left_to_the_servers_defaults():
    for body in (chat_body(CALL, Variant()), native_body(CALL, "p")):
        assert (body["repeat_penalty"], body["top_k"], body["top_p"], body["min_p"]) == (1.0, 40, 0.95, 0.05)
        assert (body["cache_prompt"], body["return_progress"], body["stream"]) == (True, True, True)
        assert (body["seed"], body["model"], body["stop"][0]) == (0, "m", "X")


def test_a_server_that_draws_before_it_cuts_unlikely_tokens_off_is_asked_for_less_heat():
    hot = replace(CALL, sampling=replace(CALL.sampling, temperature=1.3))
    assert chat_body(hot, Variant())["temperature"] == native_body(hot, "")["temperature"] == 1.3
    assert chat_body(hot, Variant(strict=True))["temperature"] == 1.0
    assert chat_body(CALL, Variant(strict=True))["temperature"] == CALL.sampling.temperature


def test_alternatives_are_asked_for_under_each_dialects_name_and_of_no_strict_server():
    told = replace(CALL, sampling=replace(CALL.sampling, top_logprobs=5))
    body = chat_body(told, Variant())
    assert (body["logprobs"], body["top_logprobs"], native_body(told, "")["n_probs"]) == (True, 5, 5)
    assert not {"logprobs", "top_logprobs"} & set(chat_body(told, Variant(strict=True)))
    assert "logprobs" not in chat_body(CALL, Variant())


def test_alternatives_that_are_told_in_another_shape_count_as_not_told():
    for odd in ([{"token": "a"}], [7], 7, [{"token": "a", "logprob": 0, "top_logprobs": [{"token": "a"}]}]):
        assert delta_of({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": odd}}]}).tokens == ()
        assert delta_of({"content": "a", "completion_probabilities": odd}).tokens == ()


def test_a_strict_body_has_only_what_openai_knows():
    body = chat_body(CALL, Variant(strict=True))
    assert not {"repeat_penalty", "top_k", "min_p", "cache_prompt", "return_progress", "timings_per_token"} & set(body)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_each_dialect_gets_the_schema_under_its_own_name():
    assert native_body(CALL, "p")["json_schema"] == {"type": "object"}
    assert "json_schema" not in chat_body(CALL, Variant())


def test_the_prefill_is_the_last_message_or_asked_for_in_words():
    assert chat_body(CALL, Variant())["messages"][-1] == {"role": "assistant", "content": "So: "}
    in_words = chat_body(ask_for_prefill_in_words(CALL), Variant())["messages"]
    assert [message["role"] for message in in_words] == ["user"]
    assert in_words[0]["content"].endswith("So: ")


@pytest.mark.parametrize("payload", [[], 7, "x", {}, {"choices": 3}, {"content": ["a"]}, {"choices": [{"delta": 5}]}])
def test_a_frame_of_another_shape_is_nonsense(payload):
    with pytest.raises(BackendAnsweredNonsense):
        delta_of(payload)


def test_the_native_limit_is_called_length():
    assert delta_of({"content": "", "stop": True, "stop_type": "limit"}).finish_reason == "length"
    assert delta_of({"content": "", "stop": True, "stop_type": "word"}).finish_reason == "stop"
