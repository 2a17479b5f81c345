"""Does the request fit into the context window? If not: trim what may be trimmed, shorten the answer, or say no."""

import math
from dataclasses import replace

from kitty_llm.backend import Backend
from kitty_llm.dialects import Call
from kitty_llm.errors import ContextOverflow

CHARACTERS_PER_TOKEN = 3
"""Where the server cannot be asked."""
_TEMPLATE_TOKENS = 96
_TEMPLATE_TOKENS_PER_MESSAGE = 16
_SMALLEST_REST = 160
_CUTS_PER_PART = 4


async def fit(backend: Backend, call: Call) -> Call:
    """The call as it fits: prompt and answer together within the window.

    Raises:
        ContextOverflow: not even with everything trimmed and the answer at its floor.
    """
    n_ctx = await backend.n_ctx()
    wanted = call.sampling.max_tokens
    if _upper_bound(call) + wanted <= n_ctx:
        return call
    tokens = await count_tokens(backend, call)
    if tokens + wanted > n_ctx:
        call, tokens = await _trim(backend, call, room=n_ctx - wanted, tokens=tokens)
    left = n_ctx - tokens
    floor = min(wanted, call.sampling.least_tokens)
    if left < floor:
        raise ContextOverflow(tokens_over=floor - left, n_prompt_tokens=tokens, n_ctx=n_ctx)
    return replace(call, sampling=replace(call.sampling, max_tokens=min(wanted, left)))


async def count_tokens(backend: Backend, call: Call) -> int:
    """Exact where the server has `/tokenize`."""
    counted = await backend.count(await backend.render(call))
    return estimate("".join(message.text for message in call.messages) + call.prefill) if counted is None else counted


def estimate(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def cut_middle(text: str, keep: int) -> str:
    """About `keep` characters of `text`, whole lines where it has lines, and a line that says what is missing."""
    if keep < _SMALLEST_REST:
        return _marker(len(text))
    head, tail = text[: keep // 2], text[-(keep // 2) :]
    head = head[: head.rfind("\n") + 1] or head
    tail = tail[tail.find("\n") + 1 :] or tail
    before = "" if head.endswith("\n") else "\n"
    return head + before + _marker(len(text) - len(head) - len(tail)) + tail


def _marker(characters: int) -> str:
    return f"[… {characters} characters left out to fit the context window …]\n"


def _upper_bound(call: Call) -> int:
    """No tokenizer makes more than one token of a byte, so most calls are known to fit without asking."""
    text = sum(len(message.text.encode()) for message in call.messages) + len(call.prefill.encode())
    return text + _TEMPLATE_TOKENS + _TEMPLATE_TOKENS_PER_MESSAGE * len(call.messages)


async def _trim(backend: Backend, call: Call, *, room: int, tokens: int) -> tuple[Call, int]:
    """Cuts the oldest trimmable part first, each in its middle, then whole."""
    for place in _trimmable_places(call):
        text = call.messages[place[0]].pieces[place[1]].text
        part_tokens = await backend.count(text)
        per_token = len(text) / max(1, estimate(text) if part_tokens is None else part_tokens)
        keep = len(text)
        for cut in range(_CUTS_PER_PART):
            if tokens <= room or keep < _SMALLEST_REST:
                break
            keep -= math.ceil((tokens - room) * per_token) + len(_marker(len(text)))
            shorter = cut_middle(text, keep if cut < _CUTS_PER_PART - 1 else 0)
            if len(shorter) < len(text):
                call = _with_text(call, place, shorter)
                tokens = await count_tokens(backend, call)
    return call, tokens


def _trimmable_places(call: Call) -> list[tuple[int, int]]:
    return [
        (at_message, at_piece)
        for at_message, message in enumerate(call.messages)
        for at_piece, piece in enumerate(message.pieces)
        if piece.trimmable
    ]


def _with_text(call: Call, place: tuple[int, int], text: str) -> Call:
    at_message, at_piece = place
    message = call.messages[at_message]
    pieces = list(message.pieces)
    pieces[at_piece] = replace(pieces[at_piece], text=text)
    messages = list(call.messages)
    messages[at_message] = replace(message, pieces=tuple(pieces))
    return replace(call, messages=tuple(messages))
