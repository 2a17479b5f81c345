"""Adds up what an answer's pieces say about it."""

import time
from collections.abc import Mapping
from typing import Any

from kitty_llm.budget import estimate
from kitty_llm.completion import Usage
from kitty_llm.dialects import Call, Delta


class Tally:
    """Servers say it in three ways: llama.cpp's timings, OpenAI's usage, not at all (then pieces are counted)."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._began = time.monotonic()
        self._pieces = 0
        self._usage: dict[str, Any] = {}
        self.timings: dict[str, Any] = {}
        self.finish_reason = "stop"
        self.model = call.model
        self.prefilled = True

    def add(self, delta: Delta) -> None:
        self._pieces += bool(delta.text)
        self._usage.update(delta.usage)
        self.timings.update(delta.timings)
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.model = delta.model or self.model
        if delta.prefilled is not None:
            self.prefilled = delta.prefilled

    @property
    def usage(self) -> Usage:
        prompt = self._usage.get("prompt_tokens")
        cached = self._cached(prompt)
        computed = self.timings.get("prompt_n")
        if computed is None:
            computed = max(0, (self._estimated_prompt() if prompt is None else prompt) - cached)
        written = self.timings.get("predicted_n", self._usage.get("completion_tokens", self._pieces))
        return Usage(int(computed), int(cached), int(written), 1, time.monotonic() - self._began)

    def _cached(self, prompt: int | None) -> int:
        if "cache_n" in self.timings:
            return int(self.timings["cache_n"])
        details: Mapping[str, Any] = self._usage.get("prompt_tokens_details") or {}
        if details.get("cached_tokens") is not None:
            return int(details["cached_tokens"])
        if prompt is not None and "prompt_n" in self.timings:
            return max(0, prompt - int(self.timings["prompt_n"]))
        return 0

    def _estimated_prompt(self) -> int:
        return estimate("".join(message.text for message in self._call.messages) + self._call.prefill)
