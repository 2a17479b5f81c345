"""The name a job is about: stated by the request, imported by the caller's tests, or given by the first candidate."""

import ast
from collections.abc import Sequence
from dataclasses import replace

from coder_agent.candidates import Candidate
from coder_agent.reading.examples import Reading
from coder_agent.source_text import parse, tree_of
from coder_agent.state import Task


def settled(reading: Reading, candidates: Sequence[Candidate]) -> Reading:
    """The reading with the name and signature the first candidate gave, where the request left them open."""
    if not candidates or reading.kind == "script" or (reading.entry and (reading.signature or reading.is_class)):
        return reading
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    first = next((one for one in candidates if parse(one.code)), None)  # what came with the task may not compile
    defined = [node for node in tree_of(first.code).body if isinstance(node, kinds)] if first else []
    named = [n for n in defined if n.name == reading.entry or (not reading.entry and not n.name.startswith("_"))]
    if not named:
        return reading
    main = named[-1]
    if isinstance(main, ast.ClassDef):
        return replace(reading, entry=main.name, is_class=True, kind="class")
    return replace(reading, entry=main.name, signature=_signature(main))


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    try:
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{node.name}({ast.unparse(node.args)}){returns}"
    except (ValueError, RecursionError):  # a default of thousands of digits
        return f"{node.name}(...)"


def with_tested_name(reading: Reading, task: Task) -> Reading:
    """The reading with the names the caller's tests import from the module."""
    names = task.imports.get(task.module_name, ())
    if not names or reading.entry in names:
        return reading
    return replace(reading, entry=names[0], signature=", ".join(names), is_class=names[0][:1].isupper())
