"""From what a model wrote to a module that compiles.

Small models wrap code in prose, think aloud, write two blocks, go on after the code, or are cut off. `extract_module`
looks at every stretch of the text that could be the module, keeps of each what belongs in one (imports, constants,
functions, classes), and takes the best. Formatting and comments of what is kept stay as written.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
FENCE = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*[\w+-]*[ \t]*$", re.MULTILINE)
MOST_LINES_CUT = 400


@dataclass(frozen=True)
class Module:
    """Python source that compiles, and the public names it defines at top level, in order."""

    code: str
    names: tuple[str, ...]


def extract_module(text: str, entry: str | None = None) -> Module | None:
    """The best module in `text`, or None when there is no code in it.

    Args:
        text: the model's answer, with the prefilled fence left out or in.
        entry: the name the module must define. When it is missing and exactly one public function is there, that
            function gets the name as an alias.
    """
    modules = [module for stretch in _stretches(strip_thinking(text)) if (module := _clean(stretch, entry))]
    if not modules:
        return None
    best = max(modules, key=lambda module: (entry in module.names, len(module.names)))
    return _with_alias(best, entry)


def strip_thinking(text: str) -> str:
    """`text` without `<think>` passages; a closing tag without its opening one drops all before it."""
    text = THINKING.sub("", text)
    return re.split(r"</think(?:ing)?>", text, flags=re.IGNORECASE)[-1]


def parse(source: str) -> ast.Module | None:
    """The syntax tree of `source`, or None when it does not compile."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            compile(tree, "<candidate>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree


def _stretches(text: str) -> Iterator[str]:
    """What may be the module: the pieces between fences, in order, and each from its first statement on."""
    pieces = [piece for piece in FENCE.split(text.replace("\r\n", "\n")) if piece.strip()]
    for piece in pieces:
        yield piece
        start = re.search(r"^(?:from|import|def|class|async def|@)\b", piece, re.MULTILINE)
        if start and start.start() > 0:
            yield piece[start.start() :]


def _clean(source: str, entry: str | None) -> Module | None:
    source = _dedent(source)
    parsed = _longest_parsable_prefix(source)
    if parsed is None:
        return None
    source, tree = parsed
    kept = [node for node in tree.body if _belongs(node)]
    defined = _defined(kept)
    if not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in kept):
        kept = tree.body  # a script: all of it is the program
        if not any(_is_program(node) for node in kept):
            return None
    kept = _without_unused_testing(kept)
    code = _source_of(source, kept)
    return Module(code, tuple(defined)) if parse(code) is not None else None


def _dedent(source: str) -> str:
    lines = source.strip("\n").split("\n")
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    margin = min(indents, default=0)
    return "\n".join(line[margin:] if line.strip() else "" for line in lines) + "\n"


def _longest_parsable_prefix(source: str) -> tuple[str, ast.Module] | None:
    lines = source.split("\n")
    for end in range(len(lines), max(0, len(lines) - MOST_LINES_CUT), -1):
        if end < len(lines) and not lines[end - 1].strip():
            continue
        for prefix in _closed("\n".join(lines[:end])):
            tree = parse(prefix)
            if tree is not None and tree.body:
                return prefix, tree
    return None


def _closed(prefix: str) -> Iterator[str]:
    """`prefix`, and where it ends in a header such as `if x:`, the same with an empty body."""
    yield prefix + "\n"
    last = prefix.rsplit("\n", 1)[-1]
    if last.rstrip().endswith(":"):
        yield f"{prefix}\n{last[: len(last) - len(last.lstrip())]}    pass\n"


def _belongs(node: ast.stmt) -> bool:
    """Whether a top-level statement is part of a module rather than a demonstration of it."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return not name.startswith("test_")
        case ast.ClassDef(name=name):
            return not (name.startswith("Test") and any(_is_test(part) for part in node.body))
        case ast.Import() | ast.ImportFrom() | ast.Try() | ast.AnnAssign():
            return True
        case ast.Assign(value=value):
            return not _prints_or_reads(value)
        case ast.If(test=test):
            return "__name__" not in ast.dump(test) or "'main'" in ast.dump(ast.Module(node.body, []))
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _prints_or_reads(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in {"input", "print"}


def _is_program(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await | ast.Yield)
    return not isinstance(node, ast.Pass | ast.Assert | ast.Import | ast.ImportFrom)


def _defined(nodes: list[ast.stmt]) -> list[str]:
    names: list[str] = []
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.Assign(targets=targets):
                names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def _without_unused_testing(nodes: list[ast.stmt]) -> list[ast.stmt]:
    """Drop `import pytest`/`unittest` and imports of the module itself when only the dropped tests used them."""
    used = {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}

    def is_unused_testing(node: ast.stmt) -> bool:
        if isinstance(node, ast.Import):
            return all(
                a.name.split(".")[0] in {"pytest", "unittest"} and a.name.split(".")[0] not in used for a in node.names
            )
        if isinstance(node, ast.ImportFrom):
            return node.module in {"solution", "your_module", "main"} or (
                (node.module or "").split(".")[0] in {"pytest", "unittest"} and not used & {a.name for a in node.names}
            )
        return False

    return [node for node in nodes if not is_unused_testing(node)]


def _source_of(source: str, nodes: list[ast.stmt]) -> str:
    """The text of `nodes` with the comments right above each, separated as written (at most two blank lines)."""
    lines = source.split("\n")
    out: list[str] = []
    last_end = 0
    for node in nodes:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        start = first
        while start > last_end and lines[start - 1].strip().startswith("#"):
            start -= 1
        if out:
            blank = 0
            while start - blank - 1 >= last_end and not lines[start - blank - 1].strip():
                blank += 1
            out += [""] * min(max(blank, 0), 2)
        end = node.end_lineno or node.lineno
        out += [line.rstrip() for line in lines[start:end]]
        last_end = end
    return "\n".join(out).strip("\n") + "\n"


def _with_alias(module: Module, entry: str | None) -> Module:
    if entry is None or not entry.isidentifier() or entry in module.names:
        return module
    tree = ast.parse(module.code)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    if len(functions) != 1:
        return module
    return Module(f"{module.code}\n\n{entry} = {functions[0]}\n", (*module.names, entry))
