"""Registry files: both spellings, and every way a file can be wrong, with its place."""

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitty_core.registry import HAZARD_CLASSES, Registry, RegistryProblem, Tool, load_registry
from kitty_core.registry.reading import read_registry

FIRST = """
coding.generate:
  method: post
  url: http://127.0.0.1:8092/api/coding/generate
  schema:
    type: object
    required: [request]
    properties:
      request: {type: string, maxLength: 5}
      items: {type: array, items: {type: object, properties: {n: {type: integer}}}}
  safety: {hazard_class: high, confirmation_required: true}
"""
SECOND = """
web_search:
  server: http://box:9000
  description: Search the web.
  hazard_class: low
  requires_confirmation: false
  confirmation_phrase: "Confirm: search"
  requires_override: true
  budget_tier: free
  enabled: true
  note: Needs a search engine.
"""
CALLABLE = "  url: http://h/x\n  method: POST\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text, env=None):
        content = text if isinstance(text, bytes) else text.encode()
        Path("tools.yaml").write_bytes(content)
        return load_registry(Path("tools.yaml"), env or {})

    return load


def indented(text):
    return "".join(f"  {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        FIRST + SECOND,
        f"tools:{indented(FIRST)}{indented(SECOND)}",
        f"{FIRST}tools:{indented(SECOND)}",
        f"tools:{indented(FIRST)}{SECOND}",
    ],
    ids=["at the root", "under tools", "second under tools", "first under tools"],
)
def test_both_spellings_are_read_at_the_root_and_under_tools(load, text):
    registry = load(text)
    assert set(registry.tools) == {"coding.generate", "web_search"}
    first, second = registry.find("coding.generate"), registry.find("web_search")
    assert (first.method, first.url) == ("POST", "http://127.0.0.1:8092/api/coding/generate")
    assert (first.hazard_class, first.requires_confirmation, first.enabled) == ("high", True, True)
    assert (first.requires_override, first.egress, first.confirmation_phrase) == (False, False, None)
    assert second == Tool(
        name="web_search",
        method="POST",
        url="http://box:9000/api/web_search",
        description="Search the web.",
        hazard_class="low",
        confirmation_phrase="Confirm: search",
        requires_override=True,
        egress=True,
        budget_tier="free",
        note="Needs a search engine.",
    )


def test_one_entry_may_mix_both_spellings(load):
    where = "a.b:\n  server: broker\n  url: /exec\n  method: put\n"
    tool = load(f"{where}  hazard_class: none\n  safety: {{confirmation_required: yes}}").find("a_b")
    assert (tool.method, tool.url) == ("PUT", "http://127.0.0.1:8777/exec")
    assert (tool.hazard_class, tool.requires_confirmation) == ("none", True)


def test_what_an_entry_does_not_say_is_taken_for_the_more_careful(load):
    tool = load(f"a:\n{CALLABLE}").find("a")
    assert (tool.hazard_class, tool.read_only, tool.enabled, tool.schema) == ("medium", False, True, {"type": "object"})
    assert load(f"a:\n{CALLABLE}  requires_override: true").find("a").egress
    assert not load(f"a:\n{CALLABLE}  requires_override: true\n  egress: false").find("a").egress


def test_a_disabled_tool_needs_no_address_and_is_still_known(load):
    registry = load("a.b: {enabled: false}\nc: {url: '${NOT_SET}', enabled: false, safety: {hazard_class: none}}")
    assert not registry.find("a_b").enabled
    assert registry.find("c").url == ""


def test_what_is_null_is_not_said_where_nothing_depends_on_it(load):
    tool = load(f"a:\n{CALLABLE}  confirmation_phrase: null\n  budget_tier: ~\n  note:\n  description: ''").find("a")
    assert (tool.confirmation_phrase, tool.budget_tier, tool.note, tool.description) == (None, None, "", "")


def test_anchors_and_merge_keys_are_understood(load):
    text = "a: &a\n  url: http://h/x\n  method: GET\n  enabled: false\nb:\n  <<: *a\n  enabled: true\n"
    registry = load(text)
    assert (registry.find("b").method, registry.find("b").enabled) == ("GET", True)
    assert not registry.find("a").enabled


def test_an_empty_registry_has_to_be_meant(load):
    assert load("tools: {}").tools == {}
    with pytest.raises(RegistryProblem, match=r"tools\.yaml:1: tools: there is none"):
        load("# nothing\n")


def test_arguments_that_do_not_fit_are_told_with_their_path(load):
    tool = load(FIRST).find("coding_generate")
    assert tool.problems({"request": "fib", "other": 1}) == []
    assert tool.problems({}) == ["arguments: 'request' is a required property"]
    assert tool.problems([]) == ["arguments: [] is not of type 'object'"]
    assert tool.problems({"request": "x", "items": [{"n": 1}, {"n": "1"}]}) == [
        "items[1].n: '1' is not of type 'integer'"
    ]
    (told,) = tool.problems({"request": "x" * 20_000})
    assert told.startswith("request: 'xxx")
    assert told.endswith("is too long")
    assert len(told) < 300
    assert len(tool.problems({"request": "x", "items": ["x"] * 50})) == 20


def test_arguments_no_schema_can_judge_are_refused_and_end_nothing():
    endless = Tool("a", schema={"type": "object", "properties": {"n": {"$ref": "#/properties/n"}}})
    assert endless.problems({"n": 1})[0].startswith("arguments: cannot be checked: ")
    steps = Tool("a", schema={"type": "object", "properties": {"n": {"multipleOf": 0.5}}})
    assert steps.problems({"n": 10**400})[0].startswith("arguments: cannot be checked: ")


def test_a_reference_out_of_the_schema_is_not_fetched():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/schema.json"
        tool = Tool("a", schema={"type": "object", "properties": {"n": {"$ref": address}}})
        assert tool.problems({"n": 1})[0].startswith("arguments: cannot be checked: ")
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_the_digest_follows_what_models_see_and_what_decides_and_nothing_else():
    tool = Tool("a.b", url="http://h/x", note="one")
    digest = Registry({"a.b": tool}).digest
    assert digest == Registry({"a.b": Tool("a.b", url="http://other/x", note="two")}).digest
    changes = [
        {"description": "x"},
        {"schema": {"type": "object", "title": "x"}},
        {"hazard_class": "high"},
        {"enabled": False},
        {"requires_confirmation": True},
        {"requires_override": True},
        {"egress": True},
        {"dual_confirm": True},
        {"read_only": True},
        {"method": "GET"},
    ]
    others = {Registry({"a.b": Tool("a.b", **change)}).digest for change in changes}
    assert len(others | {digest}) == len(changes) + 1


def test_the_digest_does_not_depend_on_the_order_of_the_file(load):
    assert load(FIRST + SECOND).digest == load(SECOND + FIRST).digest


def test_a_registry_does_not_change_with_the_mapping_it_was_made_of():
    tools = {"a": Tool("a")}
    registry = Registry(tools)
    tools["b"] = Tool("b")
    assert set(registry.tools) == {"a"}
    with pytest.raises(TypeError):
        registry.tools["c"] = Tool("c")


WORD = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
NAMES = st.lists(st.lists(WORD, min_size=1, max_size=3).map(".".join), min_size=1, max_size=6, unique=True)


@settings(max_examples=50, deadline=None)
@given(names=NAMES)
def test_a_name_is_found_in_both_spellings_or_refused_for_being_two(names):
    content = json.dumps({"tools": {name: {"server": "broker"} for name in names}}).encode()
    if len({name.replace(".", "_") for name in names}) < len(names):
        with pytest.raises(RegistryProblem, match="models see it as"):
            read_registry("tools.yaml", content, {})
        return
    registry = read_registry("tools.yaml", content, {})
    for name in names:
        assert registry.find(name).name == registry.find(name.replace(".", "_")).name == name
    assert registry.find("no.such.tool") is None


@settings(max_examples=50, deadline=None)
@given(
    said=st.fixed_dictionaries(
        {"hazard_class": st.sampled_from(HAZARD_CLASSES), "requires_confirmation": st.booleans()},
        optional={
            "requires_override": st.booleans(),
            "enabled": st.booleans(),
            "description": st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
        },
    )
)
def test_both_spellings_of_the_same_facts_give_the_same_tool(said):
    place = {"url": "http://h/x", "method": "POST"}
    safety = {"hazard_class": said["hazard_class"], "confirmation_required": said["requires_confirmation"]}
    rest = {key: value for key, value in said.items() if key not in {"hazard_class", "requires_confirmation"}}
    content = json.dumps({"a": {**place, **said}, "tools": {"b": {**place, **rest, "safety": safety}}}).encode()
    registry = read_registry("tools.yaml", content, {})
    first, second = registry.find("a"), registry.find("b")
    assert first.__dict__ | {"name": "b"} == second.__dict__
    assert first.hazard_class == said["hazard_class"]
