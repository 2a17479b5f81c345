from collections import deque


def steps(graph, start, goal):
    """How many edges the shortest way from `start` to `goal` has in `graph` (node: its neighbours); None: no way."""
    distance = {start: 0}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if node == goal:
            return distance[node]
        for neighbour in graph.get(node, ()):
            if neighbour not in distance:
                distance[neighbour] = distance[node] + 1
                waiting.append(neighbour)
    return None
