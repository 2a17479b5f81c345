import pytest

from kitty_sandbox.diagnosis import explain, install_fix


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
    reason, fix = explain("bwrap: setting up uid map: Permission denied\n")
    assert "refuses the namespaces" in reason
    assert "sysctl -w" in fix or "--security-opt" in fix


def test_an_old_bubblewrap_is_told_as_such():
    assert "too old" in explain("bwrap: Unknown option --perms")[0]
