import pytest

from kitty_sandbox import package_hint


def test_the_hint_makes_an_environment_installs_and_names_it():
    assert package_hint("numpy.linalg").splitlines() == [
        "python3 -m venv ~/.local/share/kitty/sandbox",
        "~/.local/share/kitty/sandbox/bin/python -m pip install pytest numpy",
        "export SANDBOX_PY_PATH=~/.local/share/kitty/sandbox/bin/python",
    ]


@pytest.mark.parametrize(
    ("module", "package"), [("cv2", "opencv-python-headless"), ("yaml", "pyyaml"), ("bs4", "beautifulsoup4")]
)
def test_names_that_differ_are_translated(module, package):
    assert package_hint(module).splitlines()[1].endswith(f" {package}")


@pytest.mark.parametrize("module", ["x; rm -rf ~", "-r", "", "$(id)", "a b"])
def test_a_name_that_is_no_module_gets_no_command(module):
    with pytest.raises(ValueError, match="not a module name"):
        package_hint(module)
