"""Where a literal or a call in running text ends.

The end is found by a scan of brackets and quotes, and what lies between is parsed once, so that reading a text takes
time in proportion to its length.
"""

import ast
import re

from coder_agent.reading.cases import LONGEST, is_literal, parsed_expression

STRING = r"""(?:'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
TOKEN = re.compile(STRING + r"|[()\[\]{}]", re.DOTALL)
TEXT = re.compile(r"(?:[bB]?[rR]?|[rR][bB]|[uU])" + STRING, re.DOTALL)
NUMBER = re.compile(
    r"[+-]?(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*(?:\.\d[\d_]*)?|\.\d+)(?:[eE][+-]?\d+)?)(?!\w)"
)
WORD = re.compile(r"[A-Za-z]+\b")
WORDS = {word: word for word in ("True", "False", "None")} | {
    "true": "True",
    "false": "False",
    "null": "None",
    "none": "None",
}
MOST_TOKENS = 40_000
"""Brackets and strings looked at in one text, over all scans: what is left open costs a scan to the end each time."""


class Scanner:
    """Finds closing brackets in one text, and stops answering when it has looked at `MOST_TOKENS`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens_left = MOST_TOKENS

    def end(self, start: int) -> int | None:
        """The position after the bracket that closes the one at `start`; None when it is never closed."""
        depth = 0
        for token in TOKEN.finditer(self.text, start, start + LONGEST):
            self.tokens_left -= 1
            if self.tokens_left < 0:
                return None
            if token.group() in "([{":
                depth += 1
            elif token.group() in ")]}":
                depth -= 1
                if depth == 0:
                    return token.end()
        return None

    def literal(self, start: int) -> tuple[str, int] | None:
        """The Python literal that begins at `start` (`true`, `false`, `null` count) and the position after it."""
        word = WORD.match(self.text, start)
        if word and word.group() in WORDS:
            return WORDS[word.group()], word.end()
        end = self._literal_end(start)
        if end is None:
            return None
        source = self.text[start:end]
        node = parsed_expression(source)
        return (source, end) if node is not None and is_literal(node) and not isinstance(node, ast.BinOp) else None

    def _literal_end(self, start: int) -> int | None:
        if self.text[start : start + 1] in {"[", "(", "{"}:
            return self.end(start)
        atom = TEXT.match(self.text, start) or NUMBER.match(self.text, start)
        return atom.end() if atom else None


def literal_prefix(text: str) -> str | None:
    """The literal that `text` begins with, or None."""
    text = text.lstrip()
    found = Scanner(text).literal(0)
    return found[0] if found else None
