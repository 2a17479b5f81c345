"""Whether a JSON Schema can be used for the arguments of a tool: valid (draft 2020-12), an object, whole in itself."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

Path = tuple[str | int, ...]
DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose value is data, where `$ref` refers to nothing."""


def schema_problems(schema: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """What is wrong with `schema`, each with the path inside it. It must be JSON already."""
    if schema.get("type") != "object":
        yield ("type",) if "type" in schema else (), "the type must be object: arguments have names"
    errors = list(_metaschema().iter_errors(schema))
    for error in errors:
        told = best_match([error]) or error
        yield tuple(told.absolute_path), told.message
    if not errors:
        yield from _references_that_lead_nowhere(schema)


def _metaschema() -> Draft202012Validator:
    # What `Draft202012Validator.check_schema` does, but for every error and not only the first.
    schema = Draft202012Validator.META_SCHEMA
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _references_that_lead_nowhere(schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    resource = DRAFT202012.create_resource(dict(schema))
    resolver = Registry[Any]().resolver_with_root(resource)
    for path, reference in _references(schema, ()):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            yield path, f"{reference!r} leads nowhere in this schema; nothing is fetched"


def _references(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, list):
        for index, below in enumerate(value):
            yield from _references(below, (*path, index))
    elif isinstance(value, dict):
        for key, below in value.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(below, str):
                yield (*path, key), below
            elif key not in DATA:
                yield from _references(below, (*path, key))
