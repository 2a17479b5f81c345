from shortest_path import steps

GRAPH = {"a": ["b", "c"], "b": ["d"], "c": ["e"], "d": ["f"], "e": ["d", "f"]}


def test_the_shortest_way_counts():
    assert steps(GRAPH, "a", "f") == 3
    assert steps(GRAPH, "a", "d") == 2


def test_no_way_and_no_step():
    assert steps(GRAPH, "f", "a") is None
    assert steps(GRAPH, "a", "a") == 0
