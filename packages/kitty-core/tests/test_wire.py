"""JSON as it leaves a service."""

import json

from kitty_core.wire import JsonResponse, to_json


def test_what_no_encoding_has_is_replaced_and_everything_else_arrives_as_it_was():
    sent = {"a\udfff": ["\ud800 boom", "größe 😀", "line\u2028or\x85\nnot", None, 1.5, True]}
    received = {"a\ufffd": ["\ufffd boom", "größe 😀", "line\u2028or\x85\nnot", None, 1.5, True]}
    assert json.loads(JsonResponse(sent).body) == received
    assert len(to_json(sent).splitlines()) == 1
