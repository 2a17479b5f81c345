"""What an answer other than 200 means: another way to ask, or an error."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from kitty_llm.dialects import Call, Variant
from kitty_llm.endpoint import Endpoint
from kitty_llm.errors import BackendAnsweredNonsense, BackendFailed, ContextOverflow, LLMError, RequestRefused

_ABOUT_PREFILL = re.compile(r"prefill|assistant|last message|final message|continue", re.IGNORECASE)
_NOT_ABOUT_FIELDS = re.compile(r"grammar|schema|sampler|context|too (long|large|many tokens)", re.IGNORECASE)


@dataclass(frozen=True)
class Refusal:
    status: int
    body: str

    @property
    def error(self) -> dict[str, Any]:
        """The error object, `{}` if the body is none."""
        try:
            payload = json.loads(self.body)
        except ValueError:
            return {}
        error = payload.get("error", payload) if isinstance(payload, dict) else {}
        return error if isinstance(error, dict) else {"message": str(error)}

    @property
    def detail(self) -> str:
        return str(self.error.get("message") or self.body or "no reason given")[:500]


def other_way(variant: Variant, refusal: Refusal, call: Call) -> Variant | None:
    """How to ask the same server again after this refusal; None: there is no other way.

    A schema or grammar the server could not read is never dropped: an answer without it would be worse than none.
    """
    if refusal.status in (404, 405, 501):
        return replace(variant, dialect="completion" if variant.dialect == "chat" else "chat")
    if refusal.status not in (400, 422, 500) or refusal.error.get("type") == "exceed_context_size_error":
        return None
    can_drop_prefill = bool(call.prefill) and variant.continues
    if can_drop_prefill and _ABOUT_PREFILL.search(refusal.body):
        return replace(variant, continues=False)
    if refusal.status == 500:
        return None
    if _can_be_stricter(variant, refusal, call):
        return replace(variant, strict=True)
    return replace(variant, continues=False) if can_drop_prefill else None


def _can_be_stricter(variant: Variant, refusal: Refusal, call: Call) -> bool:
    if variant.dialect != "chat" or variant.strict or call.sampling.grammar is not None:
        return False
    return not _NOT_ABOUT_FIELDS.search(refusal.detail)


def error_of(refusal: Refusal, endpoint: Endpoint) -> LLMError:
    """The error for a refusal that has no other way round."""
    error, where = refusal.error, endpoint.base_url
    if error.get("type") == "exceed_context_size_error":
        n_prompt_tokens, n_ctx = int(error.get("n_prompt_tokens", 0)), int(error.get("n_ctx", 0))
        return ContextOverflow(
            tokens_over=max(n_prompt_tokens - n_ctx, 0) + 1, n_prompt_tokens=n_prompt_tokens, n_ctx=n_ctx
        )
    if refusal.status in (404, 405, 501):
        return BackendAnsweredNonsense(f"{where} offers neither /v1/chat/completions nor /completion: {refusal.detail}")
    if refusal.status >= 500:
        return BackendFailed(f"The model server {where} failed with {refusal.status}: {refusal.detail}")
    if refusal.status >= 400:
        return RequestRefused(f"The model server {where} refused the request ({refusal.status}): {refusal.detail}")
    return BackendAnsweredNonsense(f"{where} answered {refusal.status} where a model's answer belongs")


def error_in_stream(payload: Any, endpoint: Endpoint) -> LLMError:
    """The error for an error frame, which is never text."""
    error = payload.get("error", payload) if isinstance(payload, dict) else payload
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and code >= 400 and code not in (404, 405, 501) else 500
    return error_of(Refusal(status, json.dumps({"error": error})), endpoint)
