"""Where a model is, what it is for, and how long we wait for it."""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["q4", "f16", "coder"]

FALL_BACK: dict[Role, tuple[Role, ...]] = {
    "coder": ("coder", "f16", "q4"),
    "f16": ("f16", "coder", "q4"),
    "q4": ("q4", "f16", "coder"),
}
"""Who is asked, in this order, when a role's own server does not answer."""


@dataclass(frozen=True)
class Endpoint:
    """One model server. `base_url` is given with or without a closing `/v1`."""

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    alias: str = "kitty-coder"
    """Sent as `model`."""
    key_variable: str = "LLAMACPP_API_KEY"
    """The environment variable that holds the key: named when the server refuses it."""
    model_sha256: str | None = None

    @property
    def root(self) -> str:
        """The address without a closing slash and `/v1`: two spellings of one server are equal here."""
        return self.base_url.rstrip("/").removesuffix("/v1")


@dataclass(frozen=True)
class Patience:
    """Seconds. Each budget starts anew when its reason appears."""

    connect_sec: float = 1.0
    """For one attempt to reach an address that does not even refuse."""
    lost_sec: float = 0.5
    """How long a refused or broken connection is tried again."""
    loading_sec: float = 120.0
    """How long a server that answers 503 (loading, busy) is waited for."""
    stall_sec: float = 120.0
    """The longest silence of a server that is not at work.

    There is no limit on the whole answer: prefill on a small machine takes minutes.
    """


AT_JOB_START = Patience()
MID_JOB = Patience(connect_sec=5.0, lost_sec=60.0)
