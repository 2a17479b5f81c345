"""Stubs, which tests that say something must fail on: code that does nothing, or always the same.

The files made here run in the sandbox on stubs alone. A case that breaks off for a reason of its own, such as an
import, has not failed.
"""

from collections.abc import Iterable, Mapping, Sequence

from coder_agent.suite import Suite

STUBS = {
    "raises": "def {name}(*args, **kwargs): raise NotImplementedError",
    "none": "def {name}(*args, **kwargs): return None",
    "hollow": "class {name}:\n    def __getattr__(self, name): return lambda *args, **kwargs: None",
}
"""Every case must fail on each of these."""
SUITE_STUBS = {
    "identity": "def {name}(*args, **kwargs): return args[0] if args else None",
    "empty_list": "def {name}(*args, **kwargs): return []",
    "empty_text": "def {name}(*args, **kwargs): return ''",
    "zero": "def {name}(*args, **kwargs): return 0",
    "true": "def {name}(*args, **kwargs): return True",
    "false": "def {name}(*args, **kwargs): return False",
    "value_error": "def {name}(*args, **kwargs): raise ValueError",
    "type_error": "def {name}(*args, **kwargs): raise TypeError",
}
"""All cases together must fail on each of these."""


def stub_file(suite: Suite, names: Sequence[str]) -> str:
    """A pytest file that runs the cases on stubs of `names`.

    `test_case__CASE` passes when the case fails on each of STUBS; `test_suite__STUB` when one of those cases fails
    on that stub of SUITE_STUBS. A case that breaks off for a reason of its own, such as an import, has not failed.
    """
    stubs, suite_stubs = _stubs_of(STUBS, names), _stubs_of(SUITE_STUBS, names)
    parts = [
        _checks_and_stubs(suite, STUBS=stubs, SUITE_STUBS=suite_stubs),
        KEPT,
    ]
    parts += [f"def test_case__{case_name}():\n    assert {case_name!r} in kept()" for case_name, _ in suite.cases]
    parts += [
        f"def test_suite__{stub}():\n    assert any(fails(CHECKS[case], SUITE_STUBS[{stub!r}]) for case in kept())"
        for stub in suite_stubs
    ]
    return "\n\n\n".join(parts) + "\n"


def stubs_of_all_file(suite: Suite, names: Sequence[str]) -> str:
    """A pytest file whose `test_STUB` passes when a case fails on that stub of `names`, one of STUBS or SUITE_STUBS."""
    parts = [_checks_and_stubs(suite, STUBS=_stubs_of(STUBS | SUITE_STUBS, names))]
    parts += [
        f"def test_{stub}():\n    assert any(fails(check, STUBS[{stub!r}]) for check in CHECKS.values())"
        for stub in (STUBS | SUITE_STUBS)
    ]
    return "\n\n\n".join(parts) + "\n"


def met_by_a_stub(outcomes: Mapping[str, str]) -> bool | None:
    """Whether one stub meets all cases, by the outcomes of `stubs_of_all_file` (names without `test_`).

    None where a stub was not reached.
    """
    seen = [outcomes.get(stub, "") for stub in (STUBS | SUITE_STUBS)]
    return "failed" in seen or (None if set(seen) != {"passed"} else False)


def _stubs_of(texts: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {stub: "\n".join(text.format(name=name) for name in names) for stub, text in texts.items()}


def _checks_and_stubs(suite: Suite, **stubs: Mapping[str, str]) -> str:
    checks = {case_name: case.check for case_name, case in suite.cases}
    given = "\n".join(f"{name} = {value!r}" for name, value in {"CHECKS": checks, **stubs}.items())
    return f"import functools\n\nimport pytest\n\n{given}\n\n\n{FAILS}"


FAILS = """
def fails(check, stub):
    names = {"pytest": pytest}
    exec(stub, names)
    try:
        exec(check, names)
    except (ImportError, NameError):
        return False
    except BaseException:
        return True
    return False
""".strip()
"""Runs in the sandbox, on stubs alone."""
KEPT = """
@functools.cache
def kept():
    return [case for case, check in CHECKS.items() if all(fails(check, stub) for stub in STUBS.values())]
""".strip()


def survivors(suite: Suite, passed: Iterable[str]) -> list[str]:
    """The names of the cases that count, by the tests of `stub_file` that passed (ids without `test_`).

    None when a suite stub meets all of them. What was not reached has shown nothing.
    """
    seen = set(passed)
    if not all(f"suite__{stub}" in seen for stub in SUITE_STUBS):
        return []
    return [name for name, _ in suite.cases if f"case__{name}" in seen]
