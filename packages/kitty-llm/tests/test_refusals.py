import json
from dataclasses import replace

from kitty_llm import BackendFailed, ContextOverflow, Endpoint, Part, RequestRefused, Sampling
from kitty_llm.dialects import Call, Message, Variant
from kitty_llm.refusals import Refusal, error_in_stream, error_of, other_way

CALL = Call((Message("user", (Part("hi"),)),), "So: ", Sampling(), "m")
ENDPOINT = Endpoint("http://127.0.0.1:1")


def refusal(status: int, message: str, **more: object) -> Refusal:
    return Refusal(status, json.dumps({"error": {"message": message, **more}}))


def test_only_a_missing_path_changes_the_dialect():
    for status in (404, 405, 501):
        assert other_way(Variant(), refusal(status, "no"), CALL) == Variant("completion")
    for status in (401, 418, 429, 500, 503):
        assert other_way(Variant(), refusal(status, "no"), CALL) is None


def test_a_bad_grammar_or_schema_is_never_dropped():
    bare = replace(CALL, prefill="")
    assert other_way(Variant(), refusal(400, "failed to parse grammar"), bare) is None
    assert other_way(Variant(), refusal(400, "JSON schema error"), bare) is None
    with_grammar = replace(bare, sampling=Sampling(grammar="root ::= x"))
    assert other_way(Variant(), refusal(400, "unknown field top_k"), with_grammar) is None


def test_a_refused_prefill_is_left_out_and_unknown_fields_are_too():
    assert other_way(Variant(), refusal(400, "assistant prefill is off"), CALL) == Variant(continues=False)
    assert other_way(Variant(), refusal(400, "unknown field top_k"), CALL) == Variant(strict=True)
    assert other_way(Variant(strict=True), refusal(400, "no"), CALL) == Variant(strict=True, continues=False)


def test_the_servers_overflow_says_by_how_much():
    error = error_of(refusal(400, "", type="exceed_context_size_error", n_prompt_tokens=9000, n_ctx=2048), ENDPOINT)
    assert isinstance(error, ContextOverflow)
    assert (error.tokens_over, error.n_prompt_tokens, error.n_ctx) == (6953, 9000, 2048)


def test_the_rest_says_who_refused_and_why():
    error = error_of(refusal(400, "bad seed"), ENDPOINT)
    assert isinstance(error, RequestRefused)
    assert "http://127.0.0.1:1" in str(error)
    assert "bad seed" in str(error)
    assert isinstance(error_of(Refusal(500, "oops"), ENDPOINT), BackendFailed)


def test_an_error_frame_of_any_shape_is_an_error():
    for payload in ({"error": {"message": "x"}}, {"error": "x"}, "x", {"message": "x"}, {"error": {"code": 404}}):
        assert isinstance(error_in_stream(payload, ENDPOINT), BackendFailed)
