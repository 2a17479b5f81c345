"""Messages to the brain: what confirms a waiting call, what goes on, and what the answer is made of."""

import json
import time

import httpx
import pytest

from gateway.testing import TOKEN, Reply, running_service, wait_until

PHRASE = "Confirm: proceed"
AS_BRAIN = {"authorization": f"Bearer {TOKEN}", "x-kitty-surface": "model"}


def ask(gateway, path="/data", conversation_id="c1", tool="disk.wipe", **headers):
    body = {"arguments": {"path": path}, "conversation_id": conversation_id}
    return gateway.post(f"/api/tools/{tool}", body, **headers).json()


def wiped(service):
    return [seen.body["path"] for seen in service.seen if seen.path == "/broker/wipe"]


def sent_to_brain(service, path="/brain/api/query"):
    return [seen.body for seen in service.seen if seen.path == path]


def query(gateway, prompt, conversation_id="c1", path="/api/query", **headers):
    return gateway.post(path, {"prompt": prompt, "conversationId": conversation_id}, **headers)


def events(response):
    return [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]


class Brain:
    """A brain whose every answer is that a call waits, as the real one says it: without the phrase."""

    def __init__(self, has_frames=False):
        self.pending_id = "none"
        self.has_frames = has_frames

    def __call__(self, seen):
        if not seen.path.startswith("/brain/api/query"):
            return Reply({"success": True, "stdout": "gone\n", "stderr": ""})
        answer = {
            "conversationId": "c1",
            "result": {"output": "It waits."},
            "requiresConfirmation": True,
            "confirmationPhrase": None,
            "pendingId": self.pending_id,
            "hint": "for a model",
        }
        if not self.has_frames:
            return Reply(answer)
        last = json.dumps({"type": "complete", "result": answer}, separators=(",", ":"))
        return Reply(frames=['data: {"type":"delta","delta":"It wa', 'its."}\n\n', f"data: {last}\n\n"])


@pytest.mark.parametrize("has_frames", [False, True])
def test_a_person_is_told_the_phrase_in_the_brains_own_answer_and_a_model_is_not(start, has_frames):
    brain = Brain(has_frames)
    gateway, _ = start(brain)
    brain.pending_id = ask(gateway)["pendingId"]
    path = "/api/query/stream" if has_frames else "/api/query"

    def answer(**headers):
        said = query(gateway, "wipe it", path=path, **headers)
        if not has_frames:
            return said.json()
        first, last = events(said)
        assert first == {"type": "delta", "delta": "It waits."}
        assert last["type"] == "complete"
        return last["result"]

    told = answer()
    assert told["confirmationPhrase"] == PHRASE
    assert told["hint"] == f"say exactly: {PHRASE}"
    assert told["arguments"] == {"path": "/data"}
    assert (told["pendingTool"], told["hazardClass"], told["result"]) == ("disk.wipe", "high", {"output": "It waits."})
    for headers in (AS_BRAIN, {"x-kitty-surface": "model"}):
        assert (answer(**headers)["confirmationPhrase"], PHRASE in str(answer(**headers))) == (None, False)


def test_another_users_waiting_call_is_not_told(start):
    brain = Brain()
    gateway, _ = start(brain)
    ann, bob = gateway.key("ann", "admin"), gateway.key("bob", "admin")
    brain.pending_id = ask(gateway, **ann)["pendingId"]
    assert query(gateway, "wipe it", **bob).json()["confirmationPhrase"] is None
    assert query(gateway, "wipe it", **ann).json()["confirmationPhrase"] == PHRASE


def test_the_answer_of_a_confirmed_call_has_the_brains_shape(start):
    gateway, _ = start(Brain())
    ask(gateway)
    answer = query(gateway, PHRASE).json()
    assert answer["result"] == {
        "output": "disk.wipe: ok.\n\n```\ngone\n```",
        "data": {"success": True, "stdout": "gone\n", "stderr": ""},
    }
    routing = answer["routing"]
    assert (routing["tier"], routing["confidence"], routing["cached"]) == ("gateway", 1.0, False)
    assert isinstance(routing["latencyMs"], int)
    assert (routing["metadata"]["tools_used"], routing["metadata"]["iterations"]) == (["disk.wipe"], 1)
    step = {"iteration": 1, "action": "confirmation", "tool": "disk.wipe", "decision": "confirmed", "status": "ok"}
    assert routing["metadata"]["agent_steps"] == [step]
    assert (answer["intent"], answer["requiresConfirmation"]) == ("query", False)


def test_a_confirmed_call_that_fails_says_so_in_words(start):
    def script(seen):
        return Reply({"detail": "No such disk.", "code": "no_disk"}, 404) if seen.path == "/broker/wipe" else Reply({})

    gateway, _ = start(script)
    ask(gateway)
    answer = query(gateway, PHRASE).json()
    assert answer["result"]["output"] == "disk.wipe failed (no_disk): No such disk."
    assert answer["routing"]["metadata"]["agent_steps"][0]["status"] != "ok"


def test_the_brain_is_told_what_was_confirmed_or_cancelled_and_is_not_needed_for_it(start):
    gateway, service = start()
    ask(gateway)
    query(gateway, PHRASE)
    ask(gateway)
    query(gateway, "no")
    told = sent_to_brain(service, "/brain/api/exchanges")
    assert [(one["userId"], one["conversationId"], one["message"], one["isCoding"]) for one in told] == [
        ("local", "c1", PHRASE, False),
        ("local", "c1", "no", False),
    ]
    assert told[1]["answer"] == "disk.wipe was cancelled; nothing was run."
    assert sent_to_brain(service) == []


def test_without_a_brain_a_confirmed_call_still_has_its_answer(start):
    gateway, service = start(brain_base="http://127.0.0.1:9")
    ask(gateway)
    assert query(gateway, PHRASE).json()["routing"]["metadata"]["tools_used"] == ["disk.wipe"]
    assert wiped(service) == ["/data"]


def test_of_several_waiting_calls_each_goes_by_its_own_phrase(start):
    own_phrase = {"requires_confirmation": True, "confirmation_phrase": "Sink it"}
    registry = json.dumps(
        {
            "tools": {
                "disk.wipe": {"method": "POST", "url": "${BROKER_BASE}/wipe", "hazard_class": "high"},
                "ship.sink": {"method": "POST", "url": "${BROKER_BASE}/sink", "hazard_class": "high", **own_phrase},
            }
        }
    )
    gateway, service = start(registry=registry)
    ask(gateway, "/old")
    ask(gateway, "/sea", tool="ship.sink")
    assert query(gateway, PHRASE).json()["routing"]["metadata"]["tools_used"] == ["disk.wipe"]
    query(gateway, "sink it")
    assert wiped(service) == ["/old"]
    assert [seen.body["path"] for seen in service.seen if seen.path == "/broker/sink"] == ["/sea"]
    assert sent_to_brain(service) == []


def test_a_confirmed_call_is_streamed_with_pings_until_it_ends(start, monkeypatch):
    monkeypatch.setattr("kitty_core.leaving.PING_SEC", 0.05)
    gateway, service = start(lambda seen: Reply({"stdout": "gone\n"}, waits=seen.path == "/broker/wipe"))
    ask(gateway)
    body = {"prompt": PHRASE, "conversationId": "c1"}
    with httpx.stream("POST", f"{gateway.base_url}/api/query/stream", json=body, trust_env=False) as response:
        lines = response.iter_lines()
        assert [next(lines), next(lines), next(lines)] == [": ping", "", ": ping"]
        service.let_go()
        rest = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [event["type"] for event in rest] == ["step", "delta", "complete"]
    assert rest[-1]["result"]["result"]["output"] == rest[1]["delta"]


def test_who_leaves_a_streamed_confirmation_ends_the_call_with_its_row(start):
    gateway, service = start(lambda seen: Reply({}, waits=seen.path == "/broker/wipe"))
    ask(gateway)
    body = {"prompt": PHRASE, "conversationId": "c1"}
    with httpx.stream("POST", f"{gateway.base_url}/api/query/stream", json=body, trust_env=False):
        wait_until(lambda: wiped(service))
    wait_until(lambda: service.left)
    wait_until(lambda: len(gateway.rows()) == 2)
    assert [(row["decision"], row["status"], row["error"]) for row in gateway.rows()][1:] == [
        ("confirmed", "error", "client_disconnected")
    ]


def test_a_streamed_confirmation_that_is_refused_ends_with_an_error_event(start):
    registry = '{"tools": {"disk.wipe": {"method": "POST", "url": "${BROKER_BASE}/wipe", "hazard_class": "high"}}}'
    gateway, service = start(registry=registry)
    ask(gateway)
    gateway.app.state.live.current.tools["disk.wipe"].__dict__["enabled"] = False
    [event] = events(query(gateway, PHRASE, path="/api/query/stream"))
    assert (event["type"], event["code"]) == ("error", "tool_blocked")
    assert wiped(service) == []


SECRET = {"arguments": {}, "conversation_id": "c1"}


class Calling:
    """A brain that calls disk.secret, as often as it is told, while it answers a message."""

    def __init__(self):
        self.times, self.gateway, self.statuses, self.as_user = 1, None, [], None

    def __call__(self, seen):
        headers = {
            **AS_BRAIN,
            "x-request-id": seen.headers["x-request-id"],
            "x-kitty-user": self.as_user or seen.headers["x-kitty-user"],
            "x-kitty-role": "user",
        }
        for _ in range(self.times):
            self.statuses.append(self.gateway.post("/api/tools/disk.secret", SECRET, **headers).status_code)
        return Reply({"result": {"output": "done"}})


@pytest.fixture
def calling(start):
    brain = Calling()
    with running_service(brain) as service:
        brain.gateway, _ = start(brain_base=service.base_url)
        yield brain, brain.gateway, service


@pytest.mark.parametrize("message", ["look it up\nomega", "look it up (@omega)"])
def test_the_override_word_counts_for_one_call_of_the_brain_and_goes_no_further(calling, message):
    brain, gateway, service = calling
    brain.times = 2
    query(gateway, message, **gateway.key("ann"))
    assert brain.statuses == [200, 403]
    assert "omega" not in json.dumps([seen.body for seen in service.seen])
    assert "omega" not in json.dumps(gateway.rows(), default=str)


@pytest.mark.parametrize("more", [{}, {"prompt": ""}])
def test_the_override_word_is_found_in_a_payload_too(calling, more):
    brain, gateway, service = calling
    gateway.post("/api/query", {"payload": {"prompt": "look @omega"}, **more}, **gateway.key("ann"))
    assert brain.statuses == [200]
    assert "omega" not in json.dumps([seen.body for seen in service.seen])


def test_without_the_word_by_another_user_or_later_it_does_not_count(calling):
    brain, gateway, _ = calling
    ann = gateway.key("ann")
    query(gateway, "what is omega?", **ann)
    brain.as_user = "bob"
    query(gateway, "look\nomega", **ann)
    brain.as_user, brain.times = None, 0
    query(gateway, "look\nomega", **ann)
    brain.times = 1
    query(gateway, "and again", **ann)
    assert brain.statuses == [403, 403, 403]


def test_a_model_that_says_the_override_word_gives_nothing(calling):
    brain, gateway, service = calling
    query(gateway, "look\nomega", **gateway.key("ann"), **{"x-kitty-surface": "model"})
    assert brain.statuses == [403]
    assert "omega" not in json.dumps([seen.body for seen in service.seen])


def test_the_brains_models_are_shown_through_the_gateway(start):
    gateway, service = start(lambda seen: Reply({"models": [], "default": "q4"}))
    answer = gateway.get("/api/routing/models")
    assert (answer.status_code, answer.json()) == (200, {"models": [], "default": "q4"})
    assert [(seen.method, seen.path, seen.headers["x-kitty-user"]) for seen in service.seen] == [
        ("GET", "/brain/api/routing/models", "local")
    ]


def test_a_brain_that_is_down_is_told_quickly(start):
    gateway, _ = start(brain_base="http://127.0.0.1:9")
    began = time.monotonic()
    answers = [query(gateway, "hello"), gateway.get("/api/routing/models")]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(502, "bad_gateway")] * 2
    assert "BRAIN_BASE" in answers[0].text
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "slip", ["confirm proceed", "Confirm: proceed!", "confirm: proceed please", "CONFIRM – PROCEED"]
)
@pytest.mark.parametrize("path", ["/api/query", "/api/query/stream"])
def test_a_slip_of_the_phrase_reaches_no_model_and_the_call_still_waits(start, slip, path):
    gateway, service = start()
    pending = ask(gateway)
    said = query(gateway, slip, path=path)
    answer = events(said)[0]["result"] if path.endswith("stream") else said.json()
    assert answer["result"]["output"] == "That is not the phrase; nothing was run, and disk.wipe still waits."
    assert (answer["requiresConfirmation"], answer["pendingId"]) == (True, pending["pendingId"])
    assert answer["confirmationPhrase"] == PHRASE
    assert (wiped(service), sent_to_brain(service, f"/brain{path}")) == ([], [])
    assert [row["error"] for row in gateway.rows()] == ["needs_confirmation", "not_the_phrase"]
    query(gateway, PHRASE)
    assert wiped(service) == ["/data"]


@pytest.mark.parametrize("headers", [{"x-kitty-surface": "model"}, {}])
def test_what_only_holds_the_phrase_is_a_message(start, headers):
    gateway, service = start()
    ask(gateway)
    said = [f"what happens if I say {PHRASE}?", f"{PHRASE} is what I am to say, and why?"]
    said += [PHRASE] if headers else []
    for text in said:
        query(gateway, text, **headers)
    assert [body["prompt"] for body in sent_to_brain(service)] == said
    assert wiped(service) == []


def test_a_call_that_comes_between_two_looks_is_not_run_by_what_was_said_before_it(start, monkeypatch):
    async def saw_nothing(*_):
        return None

    gateway, service = start()
    ask(gateway)
    monkeypatch.setattr("gateway.replies.Replies.meant_by", saw_nothing)
    assert query(gateway, PHRASE).json()["requiresConfirmation"]
    assert wiped(service) == []


def test_words_that_only_begin_like_a_short_phrase_are_a_message(start):
    registry = json.dumps(
        {
            "tools": {
                "a.b": {
                    "method": "POST",
                    "url": "${BROKER_BASE}/b",
                    "hazard_class": "high",
                    "confirmation_phrase": "go",
                }
            }
        }
    )
    gateway, service = start(registry=registry)
    said = ["google it", "go home now"]
    for text in said:
        query(gateway, text)
    assert [body["prompt"] for body in sent_to_brain(service)] == said
