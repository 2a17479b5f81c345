import pytest

from kitty_sandbox import InvalidSandboxRun, SandboxLimits, SandboxRun

TEST = "def test_x():\n    assert True\n"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x.py",
        "a/../x.py",
        "a//x.py",
        "",
        ".",
        "a/",
        "a\0b.py",
        "a::b.py",
        "a\\b.py",
        "a\nb.py",
        "é" * 121,
    ],
)
def test_a_path_that_is_not_plain_and_relative_is_refused(path):
    with pytest.raises(InvalidSandboxRun):
        SandboxRun({path: "", "test_x.py": TEST}, ("test_x.py",))


def test_a_path_below_another_file_is_refused():
    with pytest.raises(InvalidSandboxRun, match="below another file"):
        SandboxRun({"a": "", "a/b.py": TEST}, ("a/b.py",))


@pytest.mark.parametrize("tests", [("other.py",), ("test_x.py", "test_x.py"), ("data.txt",)])
def test_the_tests_must_be_python_files_of_the_run_each_named_once(tests):
    with pytest.raises(InvalidSandboxRun):
        SandboxRun({"test_x.py": TEST, "data.txt": ""}, tests)


def test_text_that_cannot_be_encoded_is_refused():
    with pytest.raises(InvalidSandboxRun, match="Unicode"):
        SandboxRun({"test_x.py": "\ud800"}, ("test_x.py",))


def test_too_much_text_is_refused():
    with pytest.raises(InvalidSandboxRun, match="at most"):
        SandboxRun({"test_x.py": "x" * 5_000_000}, ("test_x.py",))


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_limit_that_is_no_limit_is_refused(value):
    with pytest.raises(ValueError, match="timeout_sec"):
        SandboxLimits(timeout_sec=value)
