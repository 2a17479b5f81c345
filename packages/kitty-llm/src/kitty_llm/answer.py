"""One answer as it comes: its text, what is told of it on the way, and what it was in the end."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from langchain_core.messages import AIMessageChunk

from kitty_llm.completion import Completion, Token, Usage
from kitty_llm.echo import Replay
from kitty_llm.endpoint import Endpoint

OnDelta = Callable[[str], None]
OnProgress = Callable[[int, int], None]


class Listener:
    """Collects one answer's text and tells the caller about it."""

    def __init__(self, on_delta: OnDelta | None, on_progress: OnProgress | None) -> None:
        self._on_delta = on_delta
        self._on_progress = on_progress
        self._replay = Replay()
        self.text = ""
        self.tokens: list[Token] = []

    def restart(self) -> None:
        self.text = ""
        self.tokens.clear()
        self._replay.restart()

    def hear(self, chunk: AIMessageChunk) -> None:
        progress = chunk.response_metadata.get("prompt_progress")
        if progress and self._on_progress:
            self._on_progress(progress.get("processed", 0), progress.get("total", 0))
        self.tokens += chunk.response_metadata.get("tokens", ())
        piece = cast(str, chunk.content)
        self.text += piece
        fresh = self._replay.feed(piece) if piece else ""
        if fresh and self._on_delta:
            self._on_delta(fresh)


def completion_of(answer: Listener, last: AIMessageChunk, endpoint: Endpoint) -> Completion:
    """The whole answer; `last` is the chunk that has the counts."""
    about, counts = last.response_metadata, last.usage_metadata
    usage = Usage(calls=1, seconds=about["seconds"])
    if counts is not None:
        cached = counts["input_token_details"]["cache_read"]
        usage = replace(
            usage,
            prefill_tokens=counts["input_tokens"] - cached,
            cached_tokens=cached,
            completion_tokens=counts["output_tokens"],
        )
    return Completion(
        text=answer.text,
        finish_reason=about["finish_reason"],
        usage=usage,
        model=about["model"],
        endpoint=endpoint,
        timings=about["timings"],
        prefilled=about["prefilled"],
        tokens=tuple(answer.tokens),
    )
