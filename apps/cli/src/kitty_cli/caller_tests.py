"""`--tests FILE`: read and looked at before anything starts. A broken file would cost a whole job to find out.

The service looks again, with the rules of its sandbox; here only what can never be a test file is refused.
"""

import ast
import warnings
from pathlib import Path

from kitty_cli.errors import UsageProblem


def read_tests(path: Path) -> str:
    """The text of the caller's test file.

    Raises:
        UsageProblem: it cannot be read, is no valid Python, or holds no test.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"--tests {path} is not UTF-8 text: {error}.") from error
    except OSError as error:
        raise UsageProblem(f"--tests {path} cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise UsageProblem(f"--tests {path} is empty.")
    if not any(map(_is_test, ast.walk(_parse(path, text)))):
        raise UsageProblem(
            f"--tests {path} holds no test: write functions named test_…, classes named Test… or unittest cases."
        )
    return text


def _parse(path: Path, text: str) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore"):  # an odd escape in a string is the author's business
            return ast.parse(text)
    except SyntaxError as error:
        raise UsageProblem(f"--tests {path} is not valid Python: line {error.lineno}: {error.msg}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageProblem(f"--tests {path} is not valid Python: {error}.") from error


def _is_test(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test")
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test") or any(ast.unparse(base).endswith("TestCase") for base in node.bases)
    return False
