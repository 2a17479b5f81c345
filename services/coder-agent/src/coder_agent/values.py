"""Values as text, in one spelling: what prints differently from run to run but is equal becomes the same."""

import ast
import math
import re

from coder_agent.reading.cases import parsed_expression, written

DIGITS = 12
"""Of a float: sums in another order differ in the last ones."""
SUBCLASSES_OF_DICT = re.compile(r"\b(?:Counter|OrderedDict|defaultdict)\((?:<[^<>]{1,80}>, )?(?=[{)])")


def one_spelling(shown: str) -> str:
    """`shown` (a repr) as equal values are written alike: sets and dictionaries in one order, floats to 12 digits."""
    if not any(mark in shown for mark in "{.(e"):
        return shown
    node = parsed_expression(SUBCLASSES_OF_DICT.sub("dict(", shown))
    return shown if node is None else written(_Sorted().visit(node)) or shown


class _Sorted(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != "dict" or node.keywords or len(node.args) > 1:
            return node
        return node.args[0] if node.args else ast.Dict([], [])

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, float) and math.isfinite(node.value):
            return ast.Constant(float(f"{node.value:.{DIGITS}g}"))
        return node

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        node.elts.sort(key=ast.dump)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        pairs = sorted(zip(node.keys, node.values, strict=True), key=lambda pair: ast.dump(pair[0]) if pair[0] else "")
        node.keys, node.values = [key for key, _ in pairs], [value for _, value in pairs]
        return node
