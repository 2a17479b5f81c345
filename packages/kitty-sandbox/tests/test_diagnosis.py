import pytest

from kitty_sandbox import SandboxUnavailable
from kitty_sandbox.diagnosis import explain, explain_landlock, install_fix, summarize, why_not
from kitty_sandbox.port import CaseResult, SandboxResult

REFUSED = "bwrap: setting up uid map: Permission denied\n"


def not_started(stderr):
    return SandboxResult(False, "infrastructure", "The sandbox could not be started.", stderr=stderr)


@pytest.mark.parametrize(
    ("os_release", "fix"),
    [
        ("ID=debian\n", "apt install bubblewrap"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt install bubblewrap"),
        ("ID=fedora", "dnf install bubblewrap"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "zypper install bubblewrap"),
        ("", "apt install bubblewrap"),
    ],
)
def test_the_fix_names_the_distributions_own_command(os_release, fix):
    assert install_fix(os_release) == fix


def test_refused_namespaces_are_told_with_their_switch():
    reason, fix = explain(REFUSED)
    assert "refuses the namespaces" in reason
    assert "sysctl -w" in fix or "--security-opt" in fix


def test_an_old_bubblewrap_is_told_as_such():
    assert "too old" in explain("bwrap: Unknown option --perms")[0]


def test_a_container_is_told_the_missing_piece_and_the_other_way(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    refusal = why_not(not_started(REFUSED), "full", "full")
    assert "refuses the namespaces" in refusal.reason
    assert "seccompProfile" in refusal.fix or "sysctl -w" in refusal.fix
    assert "SANDBOX_TIER=landlock" in refusal.fix


def test_the_other_way_is_not_told_to_those_who_are_on_it(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert "SANDBOX_TIER" not in why_not(not_started(REFUSED), "full", "landlock").fix


@pytest.mark.parametrize(
    ("said", "reason", "fix"),
    [
        ("OSError: [Errno 38] landlock is missing", "no Landlock", "Linux 6.12"),
        ("    os.setresuid(uid, uid, uid)\nPermissionError: [Errno 1]", "may not become another user", "SETUID"),
        ("something else", "something else", "Report"),
        ("", "it said nothing", "Report"),
    ],
)
def test_a_tier_landlock_that_does_not_start_is_told_with_what_helps(said, reason, fix):
    told = explain_landlock(said)
    assert reason in told[0]
    assert fix in told[1]


def test_a_kernel_whose_landlock_lets_signals_through_is_told_which_one_does_not():
    case = CaseResult(
        "test_escapes.py::test_other_processes_are_out_of_reach", "failed", "Failed: DID NOT RAISE OSError"
    )
    refusal = why_not(SandboxResult(False, "failed", "1 of 12 tests failed.", (case,)), "landlock", "landlock")
    assert "did not hold" in refusal.reason
    assert "Linux 6.12" in refusal.fix


def test_all_ways_that_were_tried_are_told():
    one, other = SandboxUnavailable("One.", "mend one"), SandboxUnavailable("Other.", "mend other")
    assert summarize([one, other]) == ("One. Other.", "mend one   or: mend other")
    assert summarize([one]) == ("One.", "mend one")
    assert "seccomp" in summarize([])[0]
