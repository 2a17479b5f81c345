"""YAML with places: a mistake is named with its file, line and key; nothing but plain data comes out."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kitty_core.errors import ConfigurationError
from kitty_core.located_yaml import load_yaml, parse_yaml

TEXT = """\
tools:
  first.one:
    url: http://x
    level: 3
    on: true
    many:
      - a
      - {deep: b}
"""


def test_each_value_knows_its_line_and_the_way_to_it():
    tool = parse_yaml(TEXT.replace("on:", '"on":'), "f.yaml").mapping()["tools"].mapping()["first.one"]
    assert (tool.line, tool.key) == (2, "tools.first.one")
    keys = tool.mapping(("url", "level", "on", "many"), required=("url",))
    assert (keys["url"].text(), keys["level"].whole(1, 5), keys["on"].flag()) == ("http://x", 3, True)
    deep = keys["many"].items()[1].mapping()["deep"]
    assert (deep.text(), deep.line, deep.key) == ("b", 8, "tools.first.one.many[1].deep")
    assert str(deep.problem("is wrong")) == "f.yaml:8: tools.first.one.many[1].deep: is wrong"


@pytest.mark.parametrize(
    ("text", "ask", "said"),
    [
        ("a: 1\n\na: 2\n", lambda top: top, "f.yaml:3: a: stands twice (first in line 1)"),
        ("on: 1\n", lambda top: top, "f.yaml:1: True: a key must be text (quote it?)"),
        ("[1]: 1\n", lambda top: top, "f.yaml:1: "),
        ("a: &x [1]\nb: *x\n", lambda top: top, "f.yaml:2: b: aliases"),
        ("a: &x [*x]\n", lambda top: top, "f.yaml:1: a[0]: aliases"),
        ("a: !!python/object:os.system {}\n", lambda top: top, "f.yaml:1: a: the tag "),
        ("a: !!python/name:os.system x\n", lambda top: top, "f.yaml:1: could not determine"),
        ("a: !!set {x}\n", lambda top: top, "f.yaml:1: a: the tag "),
        ("a: [1\nb: 2\n", lambda top: top, "f.yaml:2: "),
        ("a: 1\n--- \nb: 2\n", lambda top: top, "f.yaml:2: "),
        ("a: '\x01'\n", lambda top: top, "f.yaml: "),
        ("a: 2026-99-99\n", lambda top: top, "f.yaml: "),
        ("[" * 600, lambda top: top, "f.yaml: "),
        ("urll: x\n", lambda top: top.mapping(("url",)), "f.yaml:1: urll: unknown key (did you mean 'url'?)"),
        ("zzz: x\n", lambda top: top.mapping(("url",)), "f.yaml:1: zzz: unknown key"),
        ("url: x\n", lambda top: top.mapping(required=("name",)), "f.yaml:1: the key 'name' is missing"),
        ("- 1\n", lambda top: top.mapping(), "f.yaml:1: must be a mapping"),
        ("a: 1\n", lambda top: top.items(), "f.yaml:1: must be a list"),
        ("a: 1\n", lambda top: top.mapping()["a"].text(), "f.yaml:1: a: must be text (quote it?)"),
        ("a: true\n", lambda top: top.mapping()["a"].whole(0, 9), "f.yaml:1: a: must be a whole number"),
        ("a: 10\n", lambda top: top.mapping()["a"].whole(0, 9), "f.yaml:1: a: must be a whole number from 0 to 9"),
        ("a: 'true'\n", lambda top: top.mapping()["a"].flag(), "f.yaml:1: a: must be true or false"),
        ("a: hgh\n", lambda top: top.mapping()["a"].one_of(["high"]), "did you mean 'high'?"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_mistake_is_told_with_its_place(text, ask, said):
    with pytest.raises(ConfigurationError) as caught:
        ask(parse_yaml(text, "f.yaml"))
    assert said in caught.value.message


def test_a_file_is_read_or_named(tmp_path):
    file = tmp_path / "x.yaml"
    with pytest.raises(ConfigurationError, match=r"x\.yaml: cannot be read"):
        load_yaml(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_yaml(file)
    file.write_text("")
    assert load_yaml(file).plain() is None
    file.write_text("a: [1, {b: null}]\n")
    assert load_yaml(file).plain() == {"a": [1, {"b": None}]}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(plain)
def test_what_yaml_wrote_is_read_back_as_it_was(value):
    text = yaml.dump(value, allow_unicode=False, Dumper=NoAliases)
    assert parse_yaml(text, "f.yaml").plain() == value


class NoAliases(yaml.SafeDumper):
    """Writes equal values out each time."""

    def ignore_aliases(self, data):
        return True
