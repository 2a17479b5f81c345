"""Values as text, in one spelling: what prints differently from run to run but is equal becomes the same."""

import ast

from coder_agent.reading.cases import parsed_expression, written


def one_spelling(shown: str) -> str:
    """`shown` (a repr) with the elements of sets and the keys of dictionaries in one order; others as they are."""
    if "{" not in shown:
        return shown
    node = parsed_expression(shown)
    return shown if node is None else written(_Sorted().visit(node)) or shown


class _Sorted(ast.NodeTransformer):
    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        node.elts.sort(key=ast.dump)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        pairs = sorted(zip(node.keys, node.values, strict=True), key=lambda pair: ast.dump(pair[0]) if pair[0] else "")
        node.keys, node.values = [key for key, _ in pairs], [value for _, value in pairs]
        return node
