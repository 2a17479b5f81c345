"""Evidence for tests, written as tables."""

from coder_agent.candidates import Candidate, Check, ExampleStrength, Row
from coder_agent.evidence import Evidence


def row(passed="", failed="", gave=None, **facts):
    """row("t a", "b", gave={"f(1)": "1"}): passed t and a, failed b, and what it gave for the inputs."""
    checks = {name: Check(True) for name in passed.split()}
    checks |= {name: Check(False, "AssertionError", f"{name} was wrong") for name in failed.split()}
    return Row(checks, **{"loads": True, "outputs": gave or {}, **facts})


def candidate(index, the_row=None, origin="sample", code=None, **strength):
    """`strength`: what the request's examples say of it, `faults_found` and `stub_meets`; without any not known."""
    known = ExampleStrength(**strength) if strength else None
    return Candidate(index, code or f"def f(): return {index}\n", ("f",), origin, row=the_row, strength=known)


def evidence(*candidates, **facts):
    """Inputs are all that any candidate was given; each trusted case says something."""
    given = [name for one in candidates if one.row for name in one.row.outputs]
    facts = {
        "attempts": len(candidates),
        "telling": len(facts.get("trusted", ())),
        "inputs": list(dict.fromkeys(given)),
        **facts,
    }
    return Evidence(candidates=candidates, **facts)


def gives(*values):
    """What a candidate gave for f(0), f(1), …; None: nothing."""
    return {f"f({number})": value for number, value in enumerate(values)}


CRASH = Row({"a": Check(False, "TypeError", "boom"), "t": Check(False, "TypeError", "boom")}, loads=True)
