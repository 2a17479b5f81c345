"""The judge, without any process: what a true report looks like, and each way in which it may not deviate."""

import json

import pytest

from kitty_sandbox.expectations import Expectations
from kitty_sandbox.report import Evidence, judge

NONCE, CONTROL, NAME = "n1", "test_zz_1.py", "test_s.py::test_a"
EXPECTED = Expectations(frozenset({NAME}), frozenset({NAME}))


def phases(node_id, call="passed", observed="ok", **extra):
    def one(when, outcome, seen, **more):
        return {
            "kind": "phase",
            "id": node_id,
            "when": when,
            "outcome": outcome,
            "observed": seen,
            "xfail": False,
            **more,
        }

    return [
        {"kind": "started", "id": node_id},
        one("setup", "passed", "ok"),
        one("call", call, observed, **extra),
        one("teardown", "passed", "ok"),
    ]


def story(tests=None, control=None, rc=0):
    ids = [NAME, f"{CONTROL}::test_zz_1"]
    return [
        {"kind": "ready"},
        {"kind": "collected", "ids": ids},
        *(phases(NAME) if tests is None else tests),
        *(phases(ids[1], "failed", "AssertionError") if control is None else control),
        {"kind": "end", "rc": rc},
    ]


def decide(records, ended="exited", exit_code=0, tail=b"", expected=EXPECTED):
    lines = [json.dumps({"nonce": NONCE, "seq": number, **record}) for number, record in enumerate(records)]
    report = "".join(line + "\n" for line in lines).encode() + tail
    return judge(Evidence(ended, exit_code, report), expected, CONTROL, NONCE, ["solution", "test_s"])


def test_a_complete_and_true_report_passes():
    assert decide(story()).outcome == "passed"


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda records: records[:-1], "failed"),
        (lambda records: [{**records[0], "nonce": "other"}, *records[1:]], "tampered"),
        (lambda records: [*records, {"kind": "end", "rc": 0}], "tampered"),
        (lambda records: [*records[:2], records[1], *records[2:]], "tampered"),
        (lambda records: [*records[:-1], {"kind": "party"}, records[-1]], "tampered"),
        (lambda records: [*records[:-1], records[4], records[-1]], "tampered"),
        (lambda records: [*records[:4], *records[5:]], "tampered"),
        (lambda records: [*records[:-1], {**records[-1], "seq": 99}], "tampered"),
        (lambda records: [records[0], {"kind": "collected", "ids": [NAME]}, *records[2:6], records[-1]], "tampered"),
    ],
    ids=[
        "no end",
        "wrong nonce",
        "two ends",
        "collected twice",
        "unknown",
        "doubled",
        "missing phase",
        "row",
        "no control",
    ],
)
def test_a_report_with_a_flaw_is_never_a_pass(change, outcome):
    assert decide(change(story())).outcome == outcome


def test_a_line_that_is_not_a_record_and_a_cut_off_record_are_tampering():
    assert decide(story(), tail=b"garbage\n").outcome == "tampered"
    assert decide(story(), tail=b'{"nonce"').outcome == "tampered"


def test_an_end_that_differs_from_the_real_exit_is_tampering():
    assert decide(story(), exit_code=1).outcome == "tampered"
    assert decide(story(rc=1), exit_code=1).outcome == "tampered"


def test_a_control_that_passes_is_tampering():
    assert decide(story(control=phases(f"{CONTROL}::test_zz_1"))).outcome == "tampered"


def test_a_pass_that_nobody_observed_is_tampering():
    assert decide(story(tests=phases(NAME, "passed", None))).outcome == "tampered"
    assert decide(story(tests=phases(NAME, "passed", "AssertionError"))).outcome == "tampered"


@pytest.mark.parametrize(("outcome", "xfail"), [("skipped", False), ("skipped", True), ("passed", True)])
def test_skip_xfail_and_xpass_are_not_a_pass(outcome, xfail):
    verdict = decide(story(tests=phases(NAME, outcome, "ok", xfail=xfail)))
    assert verdict.outcome == "failed"
    assert "not a pass" in verdict.reason


def test_a_test_that_is_missing_or_unexpected_fails():
    more = Expectations(EXPECTED.required | {"test_s.py::test_b"}, EXPECTED.allowed | {"test_s.py::test_b"})
    assert "did not run" in decide(story(), expected=more).reason
    assert "not in the test files" in decide(story(), expected=Expectations()).reason


def test_no_ready_record_is_our_failure_not_the_guests():
    assert decide([], ended="not_started").outcome == "infrastructure"
    assert decide([], exit_code=1).outcome == "infrastructure"


def test_a_timeout_keeps_the_cases_that_had_reported_and_names_the_one_that_hung():
    other = "test_s.py::test_b"
    records = [
        {"kind": "ready"},
        {"kind": "collected", "ids": [NAME, other]},
        *phases(NAME),
        {"kind": "started", "id": other},
    ]
    verdict = decide(records, ended="timeout", exit_code=None)
    assert [(case.id, case.outcome, case.exception) for case in verdict.cases] == [
        (NAME, "passed", None),
        (other, "failed", "TimeoutError"),
    ]


def test_missing_modules_leave_out_own_files_and_the_standard_library():
    missing = [
        {"kind": "collect_error", "id": "t", "missing": name} for name in ("numpy.linalg", "solution", "json.nope")
    ]
    assert decide([{"kind": "ready"}, *missing, {"kind": "end", "rc": 2}], exit_code=2).missing_modules == ("numpy",)


@pytest.mark.parametrize(("apart", "outcome"), [(True, "failed"), (False, "tampered")])
def test_only_a_run_apart_may_say_that_it_must_be_run_together(apart, outcome):
    """In one process the word would be the program's own."""
    records = [{"kind": "ready"}, {"kind": "unfit", "reason": "a class"}]
    report = b"".join(
        json.dumps({**record, "nonce": NONCE, "seq": number}).encode() + b"\n" for number, record in enumerate(records)
    )
    verdict = judge(Evidence("exited", 0, report), EXPECTED, CONTROL, NONCE, (), apart=apart)
    assert (verdict.unfit, verdict.outcome) == ("a class" if apart else None, outcome)
