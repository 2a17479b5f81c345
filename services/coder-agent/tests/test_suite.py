"""Cases get names and are written as a file that a person can read."""

import ast

import pytest

from coder_agent.reading.examples import read_request
from coder_agent.suite import Suite, render_tests
from coder_agent.written_cases import read_cases


@pytest.mark.parametrize(
    ("request_text", "telling"),
    [
        ("f(1) == 2, f(2) == 3 and f(3) == 4", 3),
        ("f(1) == True, f(2) == True and f(3) == True", 1),
        ("f(1) == True, f(2) == True and f(3) == False", 3),
        ("f(1) == 2, g(1) == 3 and h(1) == 4", 1),
        ("f(-1) raises ValueError and f(-2) raises ValueError", 1),
        ("Write f.", 0),
    ],
)
def test_examples_say_something_where_a_function_has_several_that_differ(request_text, telling):
    assert Suite().extended(read_request(request_text).examples).telling == telling


def test_the_delivered_file_is_readable_and_compiles():
    suite = Suite().extended([*read_request("f(-1) raises ValueError. f('a') == 'b'").examples])
    suite = suite.extended(read_cases("assert f('c') == '''x\ny'''", ["f"], (), most=3))
    text = render_tests(suite, "solution", "f")
    assert text.startswith("import pytest\n\nfrom solution import f\n")
    assert "# Stated in the request.\ndef test_f_minus_1_raises_valueerror():" in text
    assert "# Written from the request.\ndef test_f_c():" in text
    assert "'x\\ny'" in text
    assert len([node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]) == 3


def test_names_are_unique():
    suite = Suite().extended(read_request("f(1) == 1, f('1') == 2, f([1]) == 3").examples)
    assert len({name for name, _ in suite.cases}) == 3


def test_everything_the_cases_use_is_imported():
    suite = Suite().extended(read_request("f(1) == 2. g(3) == 4").examples)
    assert "from solution import f, g\n" in render_tests(suite, "solution", "f", ("f", "g", "h"))
