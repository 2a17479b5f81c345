"""The model client: dialects, roles and fall-back, token budgets, schema-constrained calls.

roles = ModelRoles({"coder": Endpoint("http://127.0.0.1:8087")})
job = roles.start_job()
answer = await job.complete("coder", Prompt("You write Python.", (Turn("user", "Write add(a, b)."),)))
print(answer.text, answer.usage)
"""

from kitty_llm.chat_model import LlamaChatModel
from kitty_llm.completion import Completion, Token, Usage
from kitty_llm.endpoint import AT_JOB_START, MID_JOB, Endpoint, Patience, Role
from kitty_llm.errors import (
    BackendAnsweredNonsense,
    BackendFailed,
    ContextOverflow,
    LLMError,
    ModelUnavailable,
    RequestRefused,
    ServerLost,
    Stalled,
    Unauthorized,
)
from kitty_llm.health import Health
from kitty_llm.messages import messages_of
from kitty_llm.prompt import Part, Prompt, Sampling, Turn
from kitty_llm.roles import JobModels, ModelRoles, Resolve

__all__ = [
    "AT_JOB_START",
    "MID_JOB",
    "BackendAnsweredNonsense",
    "BackendFailed",
    "Completion",
    "ContextOverflow",
    "Endpoint",
    "Health",
    "JobModels",
    "LLMError",
    "LlamaChatModel",
    "ModelRoles",
    "ModelUnavailable",
    "Part",
    "Patience",
    "Prompt",
    "RequestRefused",
    "Resolve",
    "Role",
    "Sampling",
    "ServerLost",
    "Stalled",
    "Token",
    "Turn",
    "Unauthorized",
    "Usage",
    "messages_of",
]
