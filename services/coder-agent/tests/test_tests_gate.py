"""The model's tests: which are read, which count."""

import ast

from coder_agent.examples import read_request
from coder_agent.tests_gate import Suite, read_cases, render_tests, stub_file, survivors


def checks(text, entry="f", request=""):
    return [case.check for case in read_cases(text, entry, read_request(request).examples, most=10)]


def test_a_torn_line_costs_only_itself():
    assert checks("assert f(1) == 2\nassert f(2) == \nassert f(3) == 4") == ["assert f(1) == 2", "assert f(3) == 4"]


def test_asserts_in_test_functions_and_lists_are_read():
    assert checks("def test_f():\n    '''doc'''\n    assert f(1) == 2\n    assert f(2) == 3\n") == [
        "assert f(1) == 2",
        "assert f(2) == 3",
    ]
    assert checks("1. `assert f(1) == 2`\n- assert f(2) == 3\nprose (") == ["assert f(1) == 2", "assert f(2) == 3"]


def test_raises_blocks_are_read():
    assert checks("with pytest.raises(ValueError):\n    f(-1)\n") == ["with pytest.raises(ValueError):\n    f(-1)"]


def test_tautologies_repetitions_and_other_functions_are_dropped():
    assert checks("assert f(1) == f(1)\nassert g(1) == 1\nassert 1 == 1\nassert f(1) == 2\nassert f(1) == 3\n") == [
        "assert f(1) == 2"
    ]


def test_what_contradicts_an_example_is_dropped():
    assert checks("assert f(1) == 3\nassert f(2) == 4", request="f(1) == 2") == ["assert f(2) == 4"]


def test_the_delivered_file_is_readable_and_compiles():
    suite = Suite().extended([*read_request("f(-1) raises ValueError. f('a') == 'b'").examples])
    suite = suite.extended(read_cases("assert f('c') == '''x\ny'''", "f", (), most=3))
    text = render_tests(suite, "solution", "f")
    assert text.startswith("import pytest\n\nfrom solution import f\n")
    assert "def test_f_minus_1_raises_valueerror():" in text
    assert "'x\\ny'" in text
    assert len([node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]) == 3


def test_names_are_unique():
    suite = Suite().extended(read_request("f(1) == 1, f('1') == 2, f([1]) == 3").examples)
    assert len({name for name, _ in suite.cases}) == 3


def test_a_case_that_a_stub_passes_does_not_count():
    suite = Suite().extended(read_cases("assert f(0) is None\nassert f(1) == 2\nassert f(3) == 4", "f", (), most=9))
    names = [name for name, _ in suite.cases]
    assert survivors(suite, [f"none__{names[0]}"]) == names[1:]


def test_cases_that_one_constant_satisfies_all_count_for_nothing():
    suite = Suite().extended(read_cases("assert f(1) == []\nassert f(2) == []", "f", (), most=9))
    assert survivors(suite, [f"empty_list__{name}" for name, _ in suite.cases]) == []


def test_the_stub_file_compiles_and_holds_every_pair():
    suite = Suite().extended(read_request("f(1) == 2").examples)
    tree = ast.parse(stub_file(suite, "f"))
    assert sum(isinstance(node, ast.FunctionDef) for node in tree.body) == 9
