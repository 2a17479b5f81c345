import pytest
from topological import order


def test_each_comes_behind_what_it_needs():
    assert order({"c": {"a", "b"}, "b": {"a"}, "a": set()}) == ["a", "b", "c"]


def test_what_is_given_stays_as_it_is():
    needs = {"b": {"a"}, "a": set()}
    order(needs)
    assert needs == {"b": {"a"}, "a": set()}


def test_a_circle():
    with pytest.raises(ValueError):
        order({"a": {"b"}, "b": {"a"}})
