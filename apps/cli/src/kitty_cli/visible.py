"""Text of a model or a guest program on a person's terminal: control characters are shown, never obeyed."""

_SHOWN = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "␡"}
_SHOWN |= dict.fromkeys(range(0x80, 0xA0), "�")
# Characters that reorder the line they are in: code could look like other code.
_SHOWN |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�")


def visible(text: str) -> str:
    """`text` without anything a terminal would act on. `\\r\\n` becomes `\\n`."""
    return text.replace("\r\n", "\n").translate(_SHOWN)
