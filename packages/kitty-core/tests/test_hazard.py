"""Who may call what: the order of the checks, roles, the research gate, and the override word."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitty_core.hazard import Call, Kind, Rule, find_override, judge
from kitty_core.registry import HAZARD_CLASSES, Registry, Tool

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def judged(tool, /, **facts):
    """The decision about a call of `tool` by a user of their own who is online, where `facts` say nothing else."""
    usual = {"tool": tool.name, "role": "user", "user_id": "ada", "offline": False}
    return judge(Registry({tool.name: tool}), Call(**(usual | facts)))


def outcome(tool, /, **facts):
    decision = judged(tool, **facts)
    return decision.kind, decision.rule


def test_what_objects_first_decides_in_the_order_of_the_checks():
    everything = {
        "enabled": False,
        "requires_override": True,
        "egress": True,
        "requires_confirmation": True,
        "dual_confirm": True,
        "hazard_class": "high",
    }
    facts = {"role": "read-only", "offline": True, "user_id": "local"}
    assert outcome(Tool("a", **everything), tool="b", **facts) == ("unknown", "unknown")
    assert outcome(Tool("a", **everything), **facts) == ("blocked", "disabled")
    everything["enabled"] = True
    assert outcome(Tool("a", **everything), **facts) == ("blocked", "role")
    facts["role"] = "admin"
    assert outcome(Tool("a", **everything), **facts) == ("blocked", "offline")
    facts["offline"] = False
    assert outcome(Tool("a", **everything), **facts) == ("blocked", "override")
    facts["override_given"] = True
    assert outcome(Tool("a", **everything), **facts) == ("blocked", "second_person")
    facts["user_id"] = "ada"
    assert outcome(Tool("a", **everything), **facts) == ("needs_confirmation", "confirmation")
    everything |= {"requires_confirmation": False, "dual_confirm": False}
    assert outcome(Tool("a", **everything), **facts) == ("needs_confirmation", "hazard_high")
    everything["hazard_class"] = "medium"
    assert outcome(Tool("a", **everything), **facts) == ("approved", "approved")


def test_a_confirmation_opens_only_what_waits_for_one():
    for tool in (
        Tool("a", requires_confirmation=True),
        Tool("a", hazard_class="high"),
        Tool("a", dual_confirm=True),
    ):
        assert outcome(tool)[0] == "needs_confirmation"
        assert outcome(tool, confirmed=True) == ("approved", "approved")
    for tool, rule in ((Tool("a", enabled=False), "disabled"), (Tool("a", requires_override=True), "override")):
        assert outcome(tool, confirmed=True) == ("blocked", rule)
    assert outcome(Tool("a"), tool="b", confirmed=True) == ("unknown", "unknown")


def test_a_tool_is_known_by_both_spellings():
    tool = Tool("coding.generate", hazard_class="low")
    for name in ("coding.generate", "coding_generate"):
        decision = judged(tool, tool=name)
        assert (decision.kind, decision.tool, decision.hazard_class) == ("approved", tool, "low")
    assert judged(tool, tool="coding-generate").tool is None


def test_the_reason_names_the_tool_and_is_a_sentence():
    for decision in (judged(Tool("a.b", enabled=False)), judged(Tool("a.b")), judged(Tool("x"), tool="a.b")):
        assert "a.b" in decision.reason
        assert decision.reason.endswith(".")
    assert len(judged(Tool("x"), tool="y" * 10_000).reason) < 200


@pytest.mark.parametrize(
    ("tool", "may"),
    [
        (Tool("a", method="GET", hazard_class="none"), True),
        (Tool("a", method="POST", hazard_class="none", read_only=True), True),
        (Tool("a", method="POST", hazard_class="none"), False),
        (Tool("a", method="GET", hazard_class="low"), False),
        (Tool("a", method="POST", hazard_class="low", read_only=True), False),
        (Tool("a", method="DELETE", hazard_class="none"), False),
    ],
)
@pytest.mark.parametrize("role", ["read-only", "READ-ONLY", "Admin", "", "guest"])
def test_the_role_read_only_and_any_unknown_role_may_call_what_changes_nothing(tool, may, role):
    assert outcome(tool, role=role, confirmed=True)[1] == ("approved" if may else "role")
    assert outcome(tool, role="user") == ("approved", "approved")


def test_the_one_user_of_an_open_loopback_has_no_second_person():
    assert outcome(Tool("a", dual_confirm=True), user_id="local", confirmed=True) == ("blocked", "second_person")
    assert outcome(Tool("a", requires_confirmation=True), user_id="local", confirmed=True)[0] == "approved"


def test_a_tool_that_reaches_out_wants_both_to_be_online_and_the_override_word():
    search = Tool("research.web_search", egress=True)
    assert outcome(search, offline=True, override_given=True) == ("blocked", "offline")
    assert outcome(search, offline=False) == ("blocked", "override")
    assert outcome(search, offline=False, override_given=True) == ("approved", "approved")
    assert outcome(Tool("a", requires_override=True), offline=True, override_given=True)[0] == "approved"


def test_the_broker_takes_its_commands_class_and_its_own_where_that_is_not_known():
    broker = Tool("broker.run", hazard_class="high", hazard_from="command")
    assert outcome(broker) == ("needs_confirmation", "hazard_high")
    assert outcome(broker, named_class="none") == ("approved", "approved")
    assert judged(broker, named_class="low").hazard_class == "low"
    lower = Tool("broker.run", hazard_class="none", hazard_from="command")
    assert outcome(lower, named_class="high") == ("needs_confirmation", "hazard_high")
    other = Tool("a", hazard_class="high")
    assert outcome(other, named_class="none") == ("needs_confirmation", "hazard_high")


def test_a_call_of_which_nothing_is_known_is_allowed_least():
    call = Call("a")
    assert (call.role, call.offline, call.override_given, call.confirmed) == ("read-only", True, False, False)


TOOLS = st.builds(
    Tool,
    name=st.just("a.b"),
    method=st.sampled_from(METHODS),
    hazard_class=st.sampled_from(HAZARD_CLASSES),
    hazard_from=st.sampled_from([None, "command"]),
    requires_confirmation=st.booleans(),
    requires_override=st.booleans(),
    dual_confirm=st.booleans(),
    egress=st.booleans(),
    read_only=st.booleans(),
    enabled=st.booleans(),
)
CALLS = st.builds(
    Call,
    tool=st.sampled_from(["a.b", "a_b", "other"]),
    user_id=st.sampled_from(["local", "ada"]),
    role=st.sampled_from(["admin", "user", "read-only", "strange"]),
    override_given=st.booleans(),
    confirmed=st.booleans(),
    offline=st.booleans(),
    named_class=st.sampled_from([None, *HAZARD_CLASSES]),
)


@settings(max_examples=300, deadline=None)
@given(tool=TOOLS, call=CALLS)
def test_whatever_is_approved_breaks_no_rule(tool, call):
    decision = judge(Registry({tool.name: tool}), call)
    assert decision.kind in Kind.__args__
    assert decision.rule in Rule.__args__
    if decision.kind != "approved":
        return
    named = call.named_class if tool.hazard_from and call.named_class else tool.hazard_class
    assert call.tool in {"a.b", "a_b"}
    assert tool.enabled
    assert call.override_given or not (tool.requires_override or tool.egress)
    assert not (call.offline and tool.egress)
    assert call.confirmed or not (tool.requires_confirmation or tool.dual_confirm or named == "high")
    assert not (tool.dual_confirm and call.user_id == "local")
    assert call.role in {"admin", "user"} or (named == "none" and (tool.method == "GET" or tool.read_only))


@pytest.mark.parametrize(
    ("message", "rest"),
    [
        ("@omega", ""),
        ("omega", ""),
        ("  omega  ", ""),
        ("search for cats @omega", "search for cats"),
        ("@omega search for cats", " search for cats"),
        ("search @omega for cats", "search for cats"),
        ("search for cats, @omega.", "search for cats,"),
        ("search (@omega) for cats", "search for cats"),
        ("search for cats\nomega\nplease", "search for cats\nplease"),
        ("search for cats\r\nomega\r\nplease", "search for cats\r\nplease"),
        ("search for cats\nomega", "search for cats\n"),
        ("omega @omega\nx", "x"),
        ("@omega @omega\nomega\nx", "\nx"),
    ],
)
def test_the_override_word_is_found_and_taken_out(message, rest):
    assert find_override(message, "omega") == (True, rest)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "what is omega?",
        "omega please",
        "the omega\nwas here",
        "me@omega.example",
        "@omegatron",
        "@omega-3",
        "@Omega",
        "OMEGA",
        "@ omega",
        "x@omega",
        "omega.",
        "ome\nga",
    ],
)
def test_what_only_holds_the_letters_is_no_override(message):
    assert find_override(message, "omega") == (False, message)


def test_the_word_can_be_another_and_an_empty_one_is_never_found():
    assert find_override("go @a.b* now", "a.b*") == (True, "go now")
    assert find_override("go @axbb now", "a.b*") == (False, "go @axbb now")
    for message in ("", "\n", "@", " @ \n\n"):
        assert find_override(message, "") == find_override(message, "  ") == (False, message)


PIECES = st.lists(
    st.sampled_from(["omega", "@omega", " ", "\n", "\r", "\u2028", "x", ".", "(", "@", "\t"]), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(pieces=PIECES)
def test_what_is_kept_never_holds_the_word_as_an_override_again(pieces):
    message = "".join(pieces)
    found, rest = find_override(message, "omega")
    assert found == (rest != message)
    assert find_override(rest, "omega") == (False, rest)
    assert [c for c in rest if c == "x"] == [c for c in message if c == "x"]
    assert all(line.strip() != "omega" for line in rest.splitlines())
