import ast

from kitty_sandbox import SandboxRun
from kitty_sandbox.expectations import base_name, expect, parse


def names(text):
    found = expect(SandboxRun({"t.py": text}, ("t.py",)))
    return {name.removeprefix("t.py::") for name in found.required}, {
        name.removeprefix("t.py::") for name in found.allowed - found.required
    }


def test_functions_async_functions_and_methods_are_expected():
    text = (
        "def test_a(): ...\nasync def test_b(): ...\ndef helper(): ...\n"
        "class TestC:\n  def test_d(self): ...\n  def e(self): ..."
    )
    assert names(text) == ({"test_a", "test_b", "TestC::test_d"}, set())


def test_unittest_cases_are_expected_whatever_their_name():
    text = (
        "import unittest\nclass Adding(unittest.TestCase):\n  def test_a(self): ...\n"
        "class More(Adding):\n  def test_b(self): ..."
    )
    assert names(text)[0] == {"Adding::test_a", "More::test_a", "More::test_b"}


def test_classes_that_pytest_does_not_collect_are_not_expected():
    text = (
        "class Helper:\n  def test_a(self): ...\n"
        "class TestOff:\n  __test__ = False\n  def test_b(self): ...\n"
        "class TestInit:\n  def __init__(self): ...\n  def test_c(self): ...\n"
    )
    assert names(text) == (set(), set())


def test_nested_and_inherited_methods_are_expected():
    text = (
        "class TestA:\n  def test_x(self): ...\n  class TestIn:\n    def test_y(self): ...\nclass TestB(TestA):\n  pass"
    )
    assert names(text)[0] == {"TestA::test_x", "TestA::TestIn::test_y", "TestB::test_x", "TestB::TestIn::test_y"}


def test_conditional_tests_may_be_collected_but_need_not_be():
    assert names("if x:\n  def test_a(): ...\ntry:\n  pass\nexcept E:\n  def test_b(): ...") == (
        set(),
        {"test_a", "test_b"},
    )


def test_a_fixture_is_not_a_test():
    assert (
        names("import pytest\n@pytest.fixture\ndef test_data(): ...\n@pytest.fixture()\ndef test_more(): ...")[0]
        == set()
    )


def test_a_class_that_is_its_own_base_does_not_hang():
    assert names("class TestA(TestA):\n  def test_x(self): ...")[0] == {"TestA::test_x"}


def test_a_file_that_does_not_parse_is_named_with_its_error():
    found = expect(SandboxRun({"t.py": "def ("}, ("t.py",)))
    assert (found.broken[0].id, found.broken[0].exception) == ("t.py", "SyntaxError")


def test_parameters_are_not_part_of_the_base_name():
    assert base_name("t.py::test_x[a::b[1]]") == "t.py::test_x"


def test_parsing_that_another_thread_broke_off_is_tried_again(monkeypatch):
    real, left = ast.parse, [SystemError("AST constructor recursion depth mismatch")] * 2

    def breaks_off(source):
        if left:
            raise left.pop()
        return real(source)

    monkeypatch.setattr(ast, "parse", breaks_off)
    assert parse("x = 1").body
