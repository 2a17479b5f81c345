"""A request that goes on with an earlier one ("now handle negatives"): whether it does, and what it says then.

What was asked before stays asked: its examples stay trusted, and where the newer request wants something else of the
same call, the newer one counts. A request that names something new, or asks for "a function that …", begins anew.
"""

import ast
import re
from dataclasses import replace

from coder_agent.reading.cases import Case, parsed, written
from coder_agent.reading.examples import Reading, read_request
from coder_agent.source_text import imports_in
from coder_agent.state import Earlier, Task
from coder_agent.task import DEFAULT_MODULE

MOST_CHARS = 20_000
GOES_ON = re.compile(
    r"\W*(?:(?:and|now|also|but|then|next|instead|additionally|please|ok|okay|can you|could you)\W+)*"
    r"(?:(?:now|also|then|instead|too)\b|(?:add|change|make|handle|support|extend|rename|fix|allow|let|use|keep|"
    r"return|raise|ignore|accept|remove|speed|it|that|this)\b)",
    re.IGNORECASE,
)
"""How a request begins that changes what is there."""
BEGINS_ANEW = re.compile(
    r"\b(?:write|create|implement|build|make|give me|need|want|another|new)\b[^.\n]{0,40}?"
    r"\b(?:an?|another|one|two|three|some|new)\b[^.\n]{0,30}?"
    r"\b(?:functions?|class(?:es)?|scripts?|programs?|generators?|modules?|coroutines?)\b",
    re.IGNORECASE,
)


def continued(task: Task, earlier: Earlier) -> Task:
    """`task` with what its conversation holds already, or as it was where it begins anew."""
    if not goes_on(task.request, earlier):
        return task
    tests = task.caller_tests if task.caller_tests is not None else earlier.caller_tests
    return replace(
        task,
        earlier=earlier,
        module=earlier.module if task.module == DEFAULT_MODULE else task.module,
        caller_tests=tests,
        imports=imports_in(tests or ""),
    )


def goes_on(request: str, earlier: Earlier) -> bool:
    """Whether `request` is about the code that is there."""
    named = set(read_request(request).to_define)
    if named:
        return bool(named & _defined_in(earlier.code)) or GOES_ON.match(request) is not None
    return GOES_ON.match(request) is not None or BEGINS_ANEW.search(request) is None


def read_task_request(task: Task) -> Reading:
    """What the request says, together with what was asked before it."""
    newer = read_request(task.request, task.module)
    if task.earlier is None:
        return newer
    older = read_request(task.earlier.request, task.module)
    answered = {_plainly(case) for case in newer.examples}
    kept = tuple(case for case in older.examples if _plainly(case) is None or _plainly(case) not in answered)
    if older.kind == "script":
        return replace(older, examples=(*newer.examples, *kept) if newer.kind == "script" else kept)
    names = tuple(dict.fromkeys([*older.names, *newer.names]))
    # The signature may be what is to change.
    entry = older.entry or newer.entry
    return replace(older, entry=entry, signature=newer.signature, examples=(*newer.examples, *kept), names=names)


def remembered(task: Task, code: str) -> Earlier:
    """What the next request of the conversation goes on with."""
    return Earlier(
        request=task.whole_request[-MOST_CHARS:], code=code, module=task.module, caller_tests=task.caller_tests
    )


def _defined_in(code: str) -> set[str]:
    tree = ast.parse(code)
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def _plainly(case: Case) -> str | None:
    tree = parsed(case.call) if case.call is not None else None
    return written(tree) if tree is not None else None
