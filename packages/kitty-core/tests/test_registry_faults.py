"""Every way a registry file can be wrong, with the exact place that is told."""

import pytest

from kitty_core.errors import ConfigurationError
from kitty_core.registry import RegistryProblem, load_registry
from kitty_core.registry.reading import read_registry

CALLABLE = "  url: http://h/x\n  method: POST\n"


def load(text):
    return read_registry("tools.yaml", text if isinstance(text, bytes) else text.encode(), {})


def indented(text):
    return "".join(f"  {line}\n" for line in text.splitlines())


BROKEN = {
    "a typo in a key": (
        f"a:\n{CALLABLE}  hazard_clas: low",
        ["4: a.hazard_clas: unknown key; did you mean hazard_class?"],
    ),
    "an unknown key": (f"a:\n{CALLABLE}  zzz: low", ["4: a.zzz: unknown key; known: budget_tier,"]),
    "a typo below safety": (
        f"a:\n{CALLABLE}  safety:\n    confirmation_requird: true",
        ["5: a.safety.confirmation_requird: unknown key; did you mean confirmation_required?"],
    ),
    "safety that is no mapping": (
        f"a:\n{CALLABLE}  safety: low",
        ["4: a.safety: must be a mapping of keys, not 'low'"],
    ),
    "the other spelling's key below safety": (
        f"a:\n{CALLABLE}  safety: {{requires_confirmation: true}}",
        ["4: a.safety.requires_confirmation: unknown key; did you mean confirmation_required?"],
    ),
    "said in both spellings": (
        f"a:\n{CALLABLE}  hazard_class: low\n  safety:\n    hazard_class: high",
        ["6: a.safety.hazard_class: is there twice: also as hazard_class"],
    ),
    "tools misspelt": (f"tool:\n  a:\n{indented(CALLABLE)}", ["1: tool: unknown key; did you mean tools?"]),
    "a name twice in one mapping": (
        f"a:\n{CALLABLE}b:\n{CALLABLE}a:\n{CALLABLE}",
        ["7: the file.a: is there twice; first on line 1"],
    ),
    "a name twice, at the root and under tools": (
        f"a:\n{CALLABLE}tools:\n  a:\n{indented(CALLABLE)}",
        ["5: a: is there twice; first on line 1"],
    ),
    "a name twice on one line": (
        "{a: {server: brain}, tools: {a: {server: broker}}}",
        ["1: a: is there twice; first on line 1"],
    ),
    "two names that models see as one": (
        f"a.b_c:\n{CALLABLE}a_b.c:\n{CALLABLE}",
        ["4: a_b.c: models see it as a_b_c, like a.b_c on line 1"],
    ),
    "a name in both spellings": (
        f"a.b:\n{CALLABLE}a_b:\n{CALLABLE}",
        ["4: a_b: models see it as a_b, like a.b on line 1"],
    ),
    "a key twice": (f"a:\n{CALLABLE}  method: GET", ["4: a.method: is there twice; first on line 3"]),
    "a key twice in a schema": (
        f"a:\n{CALLABLE}  schema:\n    type: object\n    type: object",
        ["6: a.schema.type: is there twice; first on line 5"],
    ),
    "no url": ("\na:\n  method: GET", ["2: a.url: is missing"]),
    "no method": ("a:\n  url: http://h/x", ["1: a.method: is missing"]),
    "an empty entry": ("a:\nb: {enabled: false}", ["1: a: must be a mapping of keys, not nothing"]),
    "a method that is none": (
        "a:\n  url: http://h/x\n  method: FETCH",
        ["3: a.method: 'FETCH' is not one of GET, POST"],
    ),
    "a url of a wrong type": ("a:\n  method: GET\n  url: 7", ["3: a.url: must be text, not '7'"]),
    "a url that is a list": ("a:\n  method: GET\n  url: [x]", ["3: a.url: must be text, not a list"]),
    "a flag in quotes": (f'a:\n{CALLABLE}  enabled: "false"', ["4: a.enabled: must be true or false, not 'false'"]),
    "a flag that is a number": (
        f"a:\n{CALLABLE}  requires_override: 1",
        ["4: a.requires_override: must be true or false"],
    ),
    "an empty value": (f"a:\n{CALLABLE}  hazard_class:", ["4: a.hazard_class: must be text, not nothing"]),
    "an empty phrase": (f"a:\n{CALLABLE}  confirmation_phrase: ''", ["4: a.confirmation_phrase: must be text"]),
    "a note that is a list": (f"a:\n{CALLABLE}  note: [x]", ["4: a.note: must be text, not a list"]),
    "a key of two lines": (f'a:\n{CALLABLE}  "b\\nc": x', ["4: a.b c: unknown key"]),
    "a wrong hazard class": (
        f"a:\n{CALLABLE}  hazard_class: hi",
        ["4: a.hazard_class: there is no hazard class 'hi'; did you mean high?"],
    ),
    "a hazard class in capitals": (
        f"a:\n{CALLABLE}  safety:\n    hazard_class: HIGH",
        ["5: a.safety.hazard_class: there is no hazard class 'HIGH'; did you mean high?"],
    ),
    "a phrase that cancels": (
        f"a:\n{CALLABLE}  confirmation_phrase: Stop",
        ["4: a.confirmation_phrase: must be one line"],
    ),
    "a phrase of two lines": (
        f'a:\n{CALLABLE}  confirmation_phrase: "a\\nb"',
        ["4: a.confirmation_phrase: must be one line"],
    ),
    "a schema that is text": (f"a:\n{CALLABLE}  schema: object", ["4: a.schema: must be a JSON schema (a mapping)"]),
    "a schema that is null": (f"a:\n{CALLABLE}  schema: null", ["4: a.schema: must be a JSON schema (a mapping)"]),
    "a schema of another type": (
        f"a:\n{CALLABLE}  schema:\n    type: array",
        ["5: a.schema.type: the type must be object"],
    ),
    "a schema without a type": (
        f"a:\n{CALLABLE}  schema:\n    properties: {{}}",
        ["5: a.schema: the type must be object"],
    ),
    "a schema with a wrong type inside": (
        f"a:\n{CALLABLE}  schema:\n    type: object\n    properties:\n"
        "      n:\n        type: intger\n      m: {minimum: x}",
        [
            "8: a.schema.properties.n.type: 'intger' is not",
            "9: a.schema.properties.m.minimum: 'x' is not of type 'number'",
        ],
    ),
    "a schema with a pattern that is none": (
        f"a:\n{CALLABLE}  schema:\n    type: object\n    properties:\n      n: {{pattern: '('}}",
        ["7: a.schema.properties.n.pattern: '(' is not a 'regex'"],
    ),
    "a schema with a reference to nothing": (
        f"a:\n{CALLABLE}  schema:\n    type: object\n    properties:\n      n: {{$ref: '#/$defs/n'}}",
        ["7: a.schema.properties.n.$ref: '#/$defs/n' leads nowhere"],
    ),
    "a schema with a reference to the network": (
        f"a:\n{CALLABLE}  schema:\n    type: object\n    allOf:\n      - {{$ref: 'http://127.0.0.1:9/s.json'}}",
        ["7: a.schema.allOf[0].$ref: 'http://127.0.0.1:9/s.json' leads nowhere in this schema; nothing is fetched"],
    ),
    "a schema with what JSON has not": (
        f"a:\n{CALLABLE}  schema:\n    type: object\n    default: {{d: 2020-01-01, n: [.nan]}}\n    1: x",
        [
            "6: a.schema.default.d: JSON has no date; put quotes",
            "6: a.schema.default.n[0]: JSON has no such number",
            "7: a.schema.1: a key must be text",
        ],
    ),
    "a schema inside itself": (
        f"a:\n{CALLABLE}  schema: &s\n    type: object\n    not: *s",
        ["4: a.schema.not.not.not: holds itself"],
    ),
    "a schema nested without measure": (
        f"a:\n{CALLABLE}  schema: {{type: object, default: {'[' * 51}{']' * 51}}}",
        ["4: a.schema.default[0][0]: holds itself, or is nested too deeply"],
    ),
    "aliases without end": (
        f"a:\n{CALLABLE}  schema:\n    type: object\n    default:\n      - &0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"      - &{n} [{', '.join([f'*{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        ["5: a.schema: holds more than 20000 values"],
    ),
    "hazard_from without that argument": (
        f"a:\n{CALLABLE}  hazard_from: command",
        ["4: a.hazard_from: names no argument"],
    ),
    "a name with a space": (f"a b:\n{CALLABLE}", ["1: a b: a tool's name is like coding.generate"]),
    "a name that is too long": (f"{'a' * 65}:\n{CALLABLE}", [f"1: {'a' * 65}: a tool's name"]),
    "a name that is a number": (f"7:\n{CALLABLE}", ["1: the file.7: a key must be text"]),
    "a name that YAML takes for a flag": (f"on:\n{CALLABLE}", ["1: the file.on: a key must be text"]),
    "a file that is a list": ("- a\n", ["1: the file: must be a mapping of keys, not a list"]),
    "tools as a list": ("tools:\n  - name: a\n", ["2: tools: must be a mapping of keys, not a list"]),
    "no YAML": ("a:\n  b: [1\nc: 2", ["3: YAML: expected ',' or ']'"]),
    "two documents": (f"a:\n{CALLABLE}---\nb: 1", ["4: YAML: but found another document"]),
    "a tag that makes objects": (
        f"a:\n{CALLABLE}  schema: {{x: !!python/object/apply:os.getcwd []}}",
        ["4: a.schema: could not determine a constructor for the tag"],
    ),
    "no UTF-8": (b"a: \xff", ["1: YAML: 'utf-8' codec can't decode"]),
    "a control character": ("a: \x00", ["1: YAML: unacceptable character"]),
    "nested past all measure": ("[" * 400, ["1: YAML: "]),
}


@pytest.mark.parametrize(("text", "wanted"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_with_file_line_and_key(text, wanted):
    with pytest.raises(RegistryProblem) as refused:
        load(text)
    found = refused.value.problems
    assert len(found) == len(wanted), found
    for problem, start in zip(found, wanted, strict=True):
        assert problem.startswith(f"tools.yaml:{start}"), problem


def test_all_that_is_wrong_with_a_file_is_told_at_once_in_the_order_of_its_lines():
    with pytest.raises(ConfigurationError) as refused:
        load("b:\n  method: FETCH\n  typo: 1\na:\n  url: nowhere\n  method: GET\n  hazard_class: huge\n")
    assert str(refused.value).split("\n") == [
        "tools.yaml:1: b.url: is missing (or say which server)",
        "tools.yaml:2: b.method: 'FETCH' is not one of GET, POST, PUT, PATCH, DELETE",
        f"tools.yaml:3: b.typo: {refused.value.problems[2].split(': ', 2)[2]}",
        "tools.yaml:5: a.url: is no absolute address (http://… or https://…)",
        "tools.yaml:7: a.hazard_class: there is no hazard class 'huge'; did you mean high?",
    ]


def test_a_file_that_is_missing_a_folder_or_too_large_is_named(tmp_path):
    (tmp_path / "large.yaml").write_text("#" * (1024 * 1024 + 1))
    for path, reason in [("missing.yaml", "No such file"), ("", "directory"), ("large.yaml", "more than")]:
        with pytest.raises(RegistryProblem, match=f":1: file: .*{reason}"):
            load_registry(tmp_path / path, {})
