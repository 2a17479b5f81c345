import json

import pytest

from kitty_models.probe import PREFILL, probe
from kitty_models.reach import Reach, embedded_wanted, reachable


def delta(text):
    return {"choices": [{"delta": {"content": text}}]}


def chat(request):
    """A llama.cpp server that can do everything, in a few lines."""
    if "response_format" in request:
        return 200, [delta('{"ok":'), delta(" true}")]
    if "grammar" in request:
        return 200, [delta("kitty-yes")]
    if request["messages"][-1]["role"] == "assistant":
        return 200, [delta(PREFILL), delta(", Saturday")]
    return 200, [{"choices": [], "prompt_progress": {"total": 3}}, delta("Hello!")]


ABLE = {
    "/health": (200, {"status": "ok"}),
    "/v1/models": (200, {"data": [{"id": "kitty-f16"}]}),
    "/props": (200, {"default_generation_settings": {"n_ctx": 4096}, "chat_template": "{{ messages }}"}),
    "/tokenize": (200, {"tokens": [1, 2]}),
    "/v1/chat/completions": chat,
}


async def test_what_a_server_proves_is_reported(scripted, tmp_path):
    report = await probe(scripted(ABLE).url, cache_file=tmp_path / "cache.json")

    assert (report.reachable, report.error, report.models) == (True, None, ("kitty-f16",))
    assert (report.n_ctx, report.chat_template, report.dialect, report.tokenize) == (4096, True, "chat", True)
    assert (report.json_schema, report.grammar, report.prompt_progress) == (True, True, True)
    assert (report.prefill, report.prefill_echoed) == (True, True)
    assert json.dumps(report.to_dict())


async def test_a_server_that_ignores_every_extra_field_is_not_believed(scripted, tmp_path):
    plain = {
        "/v1/models": (200, {"data": [{"id": "other"}]}),
        "/v1/chat/completions": (200, [delta("Hello! How can I help?")]),
    }
    report = await probe(scripted(plain).url, cache_file=tmp_path / "cache.json")

    assert (report.reachable, report.error, report.dialect) == (True, None, "chat")
    assert (report.n_ctx, report.chat_template, report.tokenize, report.prompt_progress) == (None, False, False, False)
    assert (report.json_schema, report.grammar, report.prefill, report.prefill_echoed) == (False, False, False, False)


async def test_a_strict_server_that_refuses_unknown_fields_is_asked_plainly(scripted, tmp_path):
    def strict(request):
        return (422, {}) if "return_progress" in request else (200, [delta("Hello")])

    report = await probe(scripted({**ABLE, "/v1/chat/completions": strict}).url, cache_file=tmp_path / "c.json")
    assert (report.dialect, report.prompt_progress) == ("chat", False)


async def test_without_a_chat_route_the_native_one_is_used(scripted, tmp_path):
    def completion(request):
        return 200, [{"content": '{"ok": true}' if "json_schema" in request else "hello", "stop": False}]

    native = {path: route for path, route in ABLE.items() if "chat" not in path}
    report = await probe(scripted({**native, "/completion": completion}).url, cache_file=tmp_path / "c.json")
    assert (report.dialect, report.json_schema, report.grammar, report.prefill) == ("completion", True, False, True)


async def test_a_report_is_remembered_for_a_day_and_per_model(scripted, tmp_path):
    server, cache, now = scripted(ABLE), tmp_path / "cache.json", [1000.0]

    async def generations(**options):
        server.asked.clear()
        report = await probe(server.url, cache_file=cache, clock=lambda: now[0], **options)
        return server.asked.count("/v1/chat/completions"), report.from_cache

    assert await generations() == (4, False)
    assert await generations() == (0, True)
    assert await generations(refresh=True) == (4, False)
    assert await generations(model="another") == (4, False)
    now[0] += 24 * 3600 + 1
    assert await generations() == (4, False)


async def test_a_server_that_wants_a_key_is_reachable_and_nothing_is_remembered(scripted, tmp_path):
    server = scripted(ABLE, api_key="right")
    report = await probe(server.url, "wrong", cache_file=tmp_path / "cache.json")
    assert (report.reachable, report.needs_api_key) == (True, True)
    assert not (tmp_path / "cache.json").exists()
    assert (await probe(server.url, "right", cache_file=tmp_path / "cache.json")).json_schema


async def test_a_server_that_generates_nothing_says_why(scripted, tmp_path):
    broken = {**ABLE, "/v1/chat/completions": (500, {"error": "out of memory"})}
    report = await probe(scripted(broken).url, cache_file=tmp_path / "cache.json")
    assert report.error is not None
    assert "out of memory" in report.error
    assert not (tmp_path / "cache.json").exists()


async def test_nobody_there_is_not_reachable(tmp_path):
    report = await probe("http://127.0.0.1:9", cache_file=tmp_path / "cache.json")
    assert not report.reachable
    assert report.error is not None


@pytest.mark.parametrize(
    ("routes", "state"),
    [
        (ABLE, "ok"),
        ({"/health": (503, {"error": {"message": "Loading model"}})}, "loading"),
        ({"/v1/models": (200, {})}, "ok"),
        ({}, "ok"),
        ({"/health": (200, {}), "/v1/models": (401, {})}, "unauthorized"),
        ({"/health": (200, {}), "/v1/models": (500, {})}, "error"),
    ],
)
async def test_a_quick_look_tells_the_states_apart_without_any_generation(scripted, routes, state):
    server = scripted(routes)
    assert (await reachable(server.url)).state == state
    assert set(server.asked) <= {"/health", "/v1/models"}


async def test_a_closed_port_is_refused():
    reach = await reachable("http://127.0.0.1:9")
    assert reach == Reach("refused", reach.detail)
    assert not reach.answers


async def test_a_set_address_means_no_embedded_model_even_when_nothing_answers_there():
    assert not await embedded_wanted({"LLAMACPP_Q4_BASE": "http://127.0.0.1:9"})
