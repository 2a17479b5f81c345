"""A model call in the brain's words, and what it answers back in ours. Pure.

What is sent is the brain's `completion` (docs/decisions/0018-the-brain-as-a-route-to-the-model.md).
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import httpx

from kitty_llm import (
    BackendAnsweredNonsense,
    BackendFailed,
    Completion,
    ContextOverflow,
    Endpoint,
    LLMError,
    ModelUnavailable,
    Part,
    Prompt,
    RequestRefused,
    Role,
    Sampling,
    ServerLost,
    Stalled,
    Token,
    Turn,
    Unauthorized,
    Usage,
)

INFORMATION = "A model call of the coder-agent."
"""The `prompt` of each query, which nobody reads."""
KINDS: Mapping[str, type[LLMError]] = {
    kind.code: kind for kind in (Unauthorized, Stalled, RequestRefused, BackendFailed, BackendAnsweredNonsense)
}
UNAVAILABLE = {ModelUnavailable.code, ServerLost.code}


def body_of(role: Role, prompt: Prompt, sampling: Sampling, model: str | None, job: str) -> dict[str, Any]:
    """The query. `model` is an alias; `job` names the calls that belong together."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": prompt.system}] if prompt.system else []
    messages += [{"role": turn.role, "content": _content(turn)} for turn in prompt.turns]
    body = {
        "prompt": INFORMATION,
        "intent": "completion",
        "conversationId": job,
        "forceTier": role,
        "toolMode": "off",
        "completion": {"messages": messages, "prefill": prompt.prefill, **asdict(sampling)},
    }
    return body if model is None else {**body, "modelAlias": model}


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    if not any(piece.trimmable for piece in turn.pieces):
        return "".join(piece.text for piece in turn.pieces)
    return [_part(piece) for piece in turn.pieces]


def _part(piece: Part) -> dict[str, Any]:
    return {"type": "text", "text": piece.text, "trimmable": piece.trimmable}


def completion_of(result: Any, base_url: str) -> Completion:
    """The completion in the response of a query.

    Raises:
        BackendAnsweredNonsense: it holds none.
    """
    try:
        facts = result["routing"]["metadata"]["completion"]
        return Completion(
            text=str(result["result"]["output"]),
            finish_reason=str(facts["finish_reason"]),
            usage=Usage(**facts["usage"]),
            model=str(facts["model"]),
            endpoint=Endpoint(base_url, alias=str(facts["model"])),
            timings=dict(facts["timings"]),
            prefilled=bool(facts["prefilled"]),
            tokens=tuple(Token(token["text"], token["alternatives"]) for token in facts.get("tokens", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendAnsweredNonsense(
            f"{base_url} answered without a completion. Is it a brain, and of the same version?"
        ) from error


def failure_of(event: Mapping[str, Any], base_url: str) -> LLMError:
    """The failure that an `error` event tells: of the same kind as it was in the brain."""
    message = str(event.get("error") or "no reason given")
    code = event.get("model_error")
    if code == ContextOverflow.code:
        sizes = {name: int(event.get(name) or 0) for name in ("tokens_over", "n_prompt_tokens", "n_ctx")}
        return ContextOverflow(**sizes)
    if code in UNAVAILABLE:
        failure = ModelUnavailable(message=message)
        failure.urls_tried = tuple(map(str, event.get("urls_tried") or ()))
        return failure
    kind = KINDS.get(str(code))
    return kind(message) if kind else BackendFailed(f"The brain at {base_url} failed ({event.get('code')}): {message}")


def refusal_of(response: httpx.Response, base_url: str) -> LLMError:
    """What it means that the brain answered no events but another status."""
    status, detail = response.status_code, _detail(response)
    if status == httpx.codes.UNAUTHORIZED:
        return Unauthorized(
            f"The brain at {base_url} wants another service token: KITTY_SERVICE_TOKEN has to be the same for both, "
            "or be unset for both where they run as the same user."
        )
    if status == httpx.codes.FORBIDDEN:
        return Unauthorized(f"The brain at {base_url} does not serve this coder-agent: {detail}")
    if status in (404, 405):
        return BackendAnsweredNonsense(f"BRAIN_BASE={base_url} is no brain: it answered {status}.")
    if status >= 500:
        return BackendFailed(f"The brain at {base_url} failed with {status}: {detail}")
    return RequestRefused(f"The brain at {base_url} refused the call ({status}): {detail}")


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return "no reason given"
