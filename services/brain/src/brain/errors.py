"""What can keep a message from an answer. A tool that fails or is refused is a result, not an error.

KittyError (kitty_core)
├─ ModelIsUnavailable     503 model_unavailable
├─ ModelAnsweredNonsense  502 bad_gateway
├─ GatewayIsUnavailable   502 gateway_unavailable
├─ OtherUser              403 other_user
├─ UnknownModel           422 unknown_model
└─ PromptTooLong          413 prompt_too_long
"""

from kitty_core.errors import BadRequest, Forbidden, KittyError, PayloadTooLarge
from kitty_llm import ContextOverflow, LLMError, ModelUnavailable, Stalled, Unauthorized


class ModelIsUnavailable(KittyError):
    """No model server answered."""

    status = 503
    code = "model_unavailable"


class ModelAnsweredNonsense(KittyError):
    """The model server answered something that is not a completion."""

    status = 502
    code = "bad_gateway"


class GatewayIsUnavailable(KittyError):
    """The gateway does not answer, and every tool is behind it."""

    status = 502
    code = "gateway_unavailable"


class OtherUser(Forbidden):
    """The body names another user than the request's."""

    code = "other_user"


class UnknownModel(BadRequest):
    """No model server has a model of this name."""

    code = "unknown_model"


class PromptTooLong(PayloadTooLarge):
    """The message does not fit the model's context window."""

    code = "prompt_too_long"


def of_model(failure: LLMError) -> KittyError:
    """What a failure of the model client means to the caller; `model_error` is its own code."""
    told = {"model_error": failure.code}
    match failure:
        case ContextOverflow():
            sizes = {name: getattr(failure, name) for name in ("tokens_over", "n_prompt_tokens", "n_ctx")}
            return PromptTooLong(str(failure), **sizes, **told)
        case ModelUnavailable():
            return ModelIsUnavailable(str(failure), urls_tried=list(failure.urls_tried), **told)
        case Unauthorized() | Stalled():
            return ModelIsUnavailable(str(failure), **told)
        case _:
            return ModelAnsweredNonsense(str(failure), **told)
