"""What can this backend do? Each ability is proven by one tiny request (at most 16 tokens) and remembered.

Requests stream, because llama.cpp goes on generating for a client that left a plain one.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import platformdirs

from kitty_models.reach import Reach, open_client, reachable
from kitty_models.store import write_atomically

PROBE_TIMEOUT_SEC = 60.0
FRESH_FOR_SEC = 24 * 3600.0
MAX_TOKENS = 16

Dialect = Literal["chat", "completion"]
Json = dict[str, Any]

SCHEMA: Json = {
    "type": "object",
    "properties": {"ok": {"const": True}},
    "required": ["ok"],
    "additionalProperties": False,
}
GRAMMAR = 'root ::= "kitty-yes"'
PREFILL_QUESTION = "List the days of the week."
PREFILL = "My list: Monday, Tuesday, Wednesday, Thursday, Friday"
"""Longer than `PREFILL_TOKENS`, so only an echo repeats it; and only a continuation, never a new answer, begins with a
comma. (Half words prove nothing: the 1.5B model goes on after `Par` with `ís`.)"""
PREFILL_TOKENS = 3


@dataclass(frozen=True)
class BackendReport:
    """What one server is and can do. Abilities are False until proven."""

    base_url: str
    reachable: bool = False
    needs_api_key: bool = False
    """It answers, but wants a key that was not given or not the right one; nothing else is known then."""
    error: str | None = None
    """Why it is not usable now."""
    models: tuple[str, ...] = ()
    n_ctx: int | None = None
    """Context of one slot in tokens; None when the server does not say."""
    chat_template: bool = False
    dialect: Dialect | None = None
    """`chat`: /v1/chat/completions; `completion`: only llama.cpp's own /completion."""
    tokenize: bool = False
    json_schema: bool = False
    grammar: bool = False
    prefill: bool = False
    """A last message of the assistant is continued."""
    prefill_echoed: bool = False
    """The continued text comes back at the start of the answer."""
    prompt_progress: bool = False
    checked_at: float = 0.0
    """Seconds since the epoch."""
    from_cache: bool = False

    def to_dict(self) -> Json:
        return {**asdict(self), "models": list(self.models)}


@dataclass
class _Answer:
    """One streamed answer, put together."""

    status: int
    text: str = ""
    saw_progress: bool = False
    error: str = ""


@dataclass
class _Backend:
    """Asks one server, in the dialect it has."""

    client: httpx.AsyncClient
    model: str
    dialect: Dialect | None = field(default=None)

    async def get(self, path: str) -> Json | None:
        response = await self.client.get(path)
        return _object(response.text) if response.is_success else None

    async def ask(self, messages: list[dict[str, str]], **extra: Any) -> _Answer:
        if self.dialect == "completion":
            prompt = "\n".join(message["content"] for message in messages)
            return await self._stream("/completion", {"prompt": prompt, "n_predict": MAX_TOKENS, **extra})
        body = {"model": self.model, "messages": messages, "max_tokens": MAX_TOKENS, **extra}
        return await self._stream("/v1/chat/completions", body)

    async def _stream(self, path: str, body: Json) -> _Answer:
        body = {**body, "temperature": 0, "stream": True}
        async with self.client.stream("POST", path, json=body) as response:
            answer = _Answer(response.status_code)
            if not response.is_success:
                answer.error = (await response.aread()).decode(errors="replace")[:300]
                return answer
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    _add(answer, _object(line.removeprefix("data: ")) or {})
            return answer


async def probe(
    base_url: str,
    api_key: str | None = None,
    *,
    model: str | None = None,
    refresh: bool = False,
    cache_file: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> BackendReport:
    """Finds out what the server at `base_url` can do. Never raises for what the server does.

    Args:
        model: which of its models to ask; default the first it lists.
        refresh: ask again even when a report of the last 24 hours is there.
        cache_file: default `probes.json` in the user's cache directory.
    """
    reach = await reachable(base_url, api_key, timeout_sec=2.0)
    if reach.state != "ok":
        return _unusable(base_url, reach)
    cache = cache_file or Path(platformdirs.user_cache_dir("kitty", appauthor=False)) / "probes.json"
    try:
        async with open_client(base_url, api_key, PROBE_TIMEOUT_SEC) as client:
            models = _model_names(await _Backend(client, "").get("/v1/models"))
            backend = _Backend(client, model or (models[0] if models else "default"))
            key = f"{base_url} {backend.model}"
            known = None if refresh else _remembered(cache, key, clock())
            if known is not None:
                return known
            report = await _examine(backend, BackendReport(base_url, True, models=models, checked_at=clock()))
    except (httpx.HTTPError, ValueError) as error:
        return BackendReport(base_url, reachable=True, error=f"The probe broke off: {error or type(error).__name__}")
    if report.error is None:
        _remember(cache, key, report, clock())
    return report


def _unusable(base_url: str, reach: Reach) -> BackendReport:
    wants_key = reach.state == "unauthorized"
    return BackendReport(base_url, reachable=reach.answers, needs_api_key=wants_key, error=reach.detail)


async def _examine(backend: _Backend, report: BackendReport) -> BackendReport:
    props = await backend.get("/props") or {}
    report = replace(report, n_ctx=_n_ctx(props), chat_template=bool(props.get("chat_template")))
    hello = [{"role": "user", "content": "Say hello."}]
    first = await _first_answer(backend, hello)
    if first.status >= 400:
        return replace(report, error=f"It answers, but generates nothing ({first.status}): {first.error}")
    prefill, echoed = await _prefill(backend)
    return replace(
        report,
        dialect=backend.dialect,
        prompt_progress=first.saw_progress,
        tokenize=await _can_tokenize(backend),
        json_schema=_keeps_schema(await backend.ask(hello, **_schema_fields(backend))),
        grammar=(await backend.ask(hello, grammar=GRAMMAR)).text.strip() == "kitty-yes",
        prefill=prefill,
        prefill_echoed=echoed,
    )


async def _first_answer(backend: _Backend, messages: list[dict[str, str]]) -> _Answer:
    """Settles the dialect. Only a missing route means the other dialect; a strict server may refuse the extra field."""
    answer = _Answer(404)
    for dialect in ("chat", "completion"):
        backend.dialect = "chat" if dialect == "chat" else "completion"
        answer = await backend.ask(messages, return_progress=True)
        if answer.status in (400, 422):
            answer = await backend.ask(messages)
        if answer.status not in (404, 405, 501):
            break
    return answer


async def _can_tokenize(backend: _Backend) -> bool:
    response = await backend.client.post("/tokenize", json={"content": "hello"})
    tokens = (_object(response.text) or {}).get("tokens") if response.is_success else None
    return isinstance(tokens, list) and len(tokens) > 0


async def _prefill(backend: _Backend) -> tuple[bool, bool]:
    """Whether a started answer is continued, and whether its start is sent back."""
    if backend.dialect == "completion":  # there the client writes the whole prompt, so it can end with anything
        return True, False
    question = {"role": "user", "content": PREFILL_QUESTION}
    started = [question, {"role": "assistant", "content": PREFILL}]
    text = (await backend.ask(started, max_tokens=PREFILL_TOKENS)).text
    echoed = text.startswith(PREFILL)
    continued = text.removeprefix(PREFILL).lstrip().startswith(",")
    return continued, continued and echoed


def _schema_fields(backend: _Backend) -> Json:
    if backend.dialect == "completion":
        return {"json_schema": SCHEMA}
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "probe", "strict": True, "schema": SCHEMA}}
    }


def _keeps_schema(answer: _Answer) -> bool:
    return _object(answer.text) == {"ok": True}


def _add(answer: _Answer, chunk: Json) -> None:
    answer.saw_progress = answer.saw_progress or "prompt_progress" in chunk
    for choice in chunk.get("choices") or []:
        answer.text += (choice.get("delta") or {}).get("content") or ""
    if isinstance(chunk.get("content"), str):
        answer.text += chunk["content"]


def _object(text: str) -> Json | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _model_names(listing: Json | None) -> tuple[str, ...]:
    entries = (listing or {}).get("data")
    entries = entries if isinstance(entries, list) else []
    return tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry)


def _n_ctx(props: Json) -> int | None:
    settings = props.get("default_generation_settings")
    size = settings.get("n_ctx") if isinstance(settings, dict) else None
    return size if isinstance(size, int) and size > 0 else None


def _remembered(cache: Path, key: str, now: float) -> BackendReport | None:
    entry = _read_cache(cache).get(key)
    if not isinstance(entry, Mapping) or not 0 <= now - float(entry.get("checked_at", 0)) < FRESH_FOR_SEC:
        return None
    try:
        return BackendReport(**{**entry, "models": tuple(entry["models"]), "from_cache": True})
    except (TypeError, KeyError):  # written by another version
        return None


def _remember(cache: Path, key: str, report: BackendReport, now: float) -> None:
    entries = {
        name: entry
        for name, entry in _read_cache(cache).items()
        if isinstance(entry, Mapping) and now - float(entry.get("checked_at", 0)) < FRESH_FOR_SEC
    }
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(cache, {**entries, key: report.to_dict()})


def _read_cache(cache: Path) -> Json:
    try:
        return _object(cache.read_text(encoding="utf-8")) or {}
    except OSError:
        return {}
