"""What can keep a job from an answer. Guest programs that fail, hang or are killed are results, not errors.

KittyError (kitty_core)
├─ ModelIsUnavailable     503 model_unavailable
├─ ModelAnsweredNonsense  502 bad_gateway
├─ SandboxIsUnavailable   503 sandbox_unavailable   (the body still has code and tests)
├─ DeadlineBeforeCode     504 deadline
├─ NetworkIsRefused       403 network_refused
├─ NotThisUser            403 other_user
├─ UnknownModel           422 unknown_model
└─ PromptTooLong          413 prompt_too_long
"""

from kitty_core.errors import BadRequest, Forbidden, KittyError, PayloadTooLarge


class ModelIsUnavailable(KittyError):
    """No model server answered."""

    status = 503
    code = "model_unavailable"


class ModelAnsweredNonsense(KittyError):
    """The model server answered something that is not a completion."""

    status = 502
    code = "bad_gateway"


class SandboxIsUnavailable(KittyError):
    """The sandbox cannot isolate on this machine, so nothing was run."""

    status = 503
    code = "sandbox_unavailable"


class DeadlineBeforeCode(KittyError):
    """The deadline passed before the model had written any code."""

    status = 504
    code = "deadline"


class NetworkIsRefused(Forbidden):
    """Generated code never gets the network: the sandbox has none, and allow_network is only honoured as false."""

    code = "network_refused"


class NotThisUser(Forbidden):
    """The body names another user than the one who asks."""

    code = "other_user"


class UnknownModel(BadRequest):
    """The model is not one of the known aliases."""

    code = "unknown_model"


class PromptTooLong(PayloadTooLarge):
    """The request does not fit the model's context window."""

    code = "prompt_too_long"
