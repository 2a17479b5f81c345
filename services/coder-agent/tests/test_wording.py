"""What is said of code that is not verified names what keeps it from it."""

from dataclasses import replace

import pytest
from matrices import candidate, evidence, gives, row

from coder_agent.decision import TIERS
from coder_agent.state import Task
from coder_agent.wording import explain
from kitty_sandbox import SandboxResult

TASK = Task("Write f(x). f(2) == 4", TIERS["standard"])
PASSED = SandboxResult(passed=True, outcome="passed", reason="")
SAME = gives("1", "2", "3")
ALONE = evidence(candidate(0, row("t a", "b c", SAME)), trusted=["t"])
ALIKE = [candidate(i, row("t", "a b c d", gives("4", "5", "6")), code="def f(x): return x + 4\n") for i in (1, 2, 3)]
OUTVOTED = evidence(candidate(0, row("t a b c d", "", SAME)), *ALIKE, trusted=["t"], generated=list("abcd"))


def told_of(**facts):
    return evidence(candidate(0, row("t", "", SAME), **facts), trusted=["t"])


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (ALONE, "nothing else speaks for it: no other sample"),
        (told_of(faults_found=0.25), "example, which would not notice 75% of small faults in it, and nothing else"),
        (told_of(faults_found=1.0), "example, and nothing else"),
        (told_of(stub_meets=True), "always does the same could meet, and nothing else"),
        (replace(ALONE, generated=["a", "b", "c"]), "fails most of the 3 tests"),
        (replace(ALONE, generated=["a", "b"]), "too few say anything"),
        (replace(ALONE, calls={"f": ["t"], "g": []}), "shows that g is there"),
        (replace(ALONE, properties=["b"]), "what the request says of every result"),
        (replace(ALONE, model_lost=True), "model was lost"),
        (OUTVOTED, "behave differently on other inputs"),
        (evidence(candidate(0, row("t", "", gives("1", "1", "1"))), trusted=["t"]), "same value whatever"),
        (evidence(candidate(0, row("t")), trusted=["t"], inputs=["f(1)", "f(2)", "f(3)"]), "holds their answers"),
        (evidence(candidate(0, row("a", "b", SAME)), generated=["a", "b"]), "Only 0 generated test(s)"),
        (evidence(candidate(0, row())), "Nothing could be put to the test"),
    ],
)
def test_what_is_missing_is_named(seen, said):
    assert said in explain(TASK, "not_verified", PASSED, seen, [])


def test_nothing_is_said_of_what_is_verified():
    assert explain(TASK, "verified", PASSED, ALONE, []) is None
