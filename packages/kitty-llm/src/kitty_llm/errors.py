"""What can go wrong between us and a model server.

LLMError
├── ModelUnavailable           nobody answered: refused, unreachable, still loading after the budget
│   └── ServerLost             the connection broke in the middle of an answer
├── Unauthorized               the server wants another API key
├── ContextOverflow            the prompt does not fit into the context window
├── Stalled                    the server is connected and silent
├── RequestRefused             the server understood the request and will not do it
├── BackendFailed              the server reported its own failure, before or inside the stream
└── BackendAnsweredNonsense    the answer is not a model's answer
"""

from collections.abc import Sequence
from typing import ClassVar


class LLMError(Exception):
    """The model call failed."""

    status: ClassVar[int] = 502
    """The HTTP status a service answers with."""
    code: ClassVar[str] = "model_error"
    """Stable, for programs."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class ModelUnavailable(LLMError):
    """No model server answered."""

    status = 503
    code = "model_unavailable"

    def __init__(self, urls_tried: Sequence[str] = (), hint: str = "", message: str | None = None) -> None:
        self.urls_tried = tuple(urls_tried)
        self.hint = hint
        where = f" Tried: {', '.join(self.urls_tried)}." if self.urls_tried else ""
        super().__init__((message or "No model server answered.") + where + (f" {hint}" if hint else ""))


class ServerLost(ModelUnavailable):
    """The connection to the model server broke in the middle of an answer."""

    code = "model_lost"


class Unauthorized(LLMError):
    """The model server wants another API key."""

    status = 503
    code = "model_unauthorized"


class ContextOverflow(LLMError):
    """The prompt does not fit into the model's context window."""

    status = 413
    code = "context_overflow"

    def __init__(self, *, tokens_over: int, n_prompt_tokens: int, n_ctx: int) -> None:
        self.tokens_over = tokens_over
        self.n_prompt_tokens = n_prompt_tokens
        self.n_ctx = n_ctx
        super().__init__(
            f"The prompt has {n_prompt_tokens} tokens and the model's window holds {n_ctx}, "
            f"the answer included: {tokens_over} too many."
        )


class Stalled(LLMError):
    """The model server accepted the request and then sent nothing."""

    status = 504
    code = "model_stalled"


class RequestRefused(LLMError):
    """The model server refused the request."""

    code = "model_refused_request"


class BackendFailed(LLMError):
    """The model server reported a failure of its own."""

    code = "model_failed"


class BackendAnsweredNonsense(LLMError):
    """The address answered, but not as a model server answers."""

    code = "model_nonsense"
