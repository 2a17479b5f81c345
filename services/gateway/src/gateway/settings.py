"""Every variable the gateway reads. Generated into docs/configuration.md."""

from pydantic import Field

from kitty_core.settings import KittySettings


class Settings(KittySettings):
    """Field names are the environment variables in lower case."""

    gateway_port: int = Field(default=8080, ge=0, le=65535)
    """Port the gateway listens on; 0 picks a free one."""
    kitty_bind: str = "127.0.0.1"
    """Address the gateway listens on. Any other than loopback needs an API key to have been made."""
    kitty_allowed_hosts: str = ""
    """Comma-separated Host names served besides loopback, such as `gateway`."""
    gateway_open_loopback: bool = True
    """Whether a request without a key is the user `local` while only this machine can reach the gateway."""
    gateway_rate_per_min: int = Field(default=600, ge=1)
    """Requests a minute of one key; more get 429 with Retry-After."""
    gateway_failures_per_min: int = Field(default=20, ge=1)
    """Requests a minute with a wrong or no key of one address; more get 429."""
    gateway_concurrency: int = Field(default=16, ge=1)
    """Requests of one key that may be under way at once."""
    gateway_deadline_sec: float = Field(default=3600, gt=0)
    """Most seconds a tool may take; then the answer is 504."""
    gateway_confirm_within_sec: float = Field(default=300, gt=0)
    """Seconds in which a call that waits for a confirmation can be confirmed."""

    coder_agent_base: str = "http://127.0.0.1:8092"
    """Where the coder-agent is."""
    brain_base: str = "http://127.0.0.1:8000"
    """Where the brain is."""
    memory_base: str = "http://127.0.0.1:8765"
    """Where the memory is."""
    broker_base: str = "http://127.0.0.1:8777"
    """Where the broker is."""
    kitty_service_token: str | None = None
    """Shared by the services; sent to each as `Authorization: Bearer …`, and accepted from them."""

    tool_registry_path: str = "config/tool_registry.yaml"
    """The tools; read again on SIGHUP."""
    hazard_confirmation_phrase: str = "Confirm: proceed"
    """What has to be said to a tool that names no phrase of its own."""
    hazard_signing_key: str | None = None
    """Signs the approvals of tools that two people have to agree to; unset: those tools are refused."""
    offline_mode: bool = True
    """Refuse every tool that reaches out of this machine."""
    api_override_password: str = "omega"
    """The word that a tool with `requires_override` wants in the same request."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the gateway."""
        return self.kitty_bind in {"127.0.0.1", "::1", "localhost"} or self.kitty_bind.startswith("127.")

    @property
    def is_open(self) -> bool:
        """Whether a request without a key is served."""
        return self.is_loopback and self.gateway_open_loopback

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The names of `kitty_allowed_hosts`."""
        return frozenset(name.strip().lower() for name in self.kitty_allowed_hosts.split(",") if name.strip())
