"""Every variable the brain reads. Generated into docs/configuration.md."""

from pydantic import Field

from kitty_core.settings import KittySettings


class Settings(KittySettings):
    """Field names are the environment variables in lower case."""

    brain_port: int = Field(default=8000, ge=0, le=65535)
    """Port the brain listens on; 0 picks a free one."""
    kitty_bind: str = "127.0.0.1"
    """Address the brain listens on. Any other than loopback needs KITTY_SERVICE_TOKEN."""
    kitty_allowed_hosts: str = ""
    """Comma-separated Host names served besides loopback, such as `brain`."""
    kitty_service_token: str | None = None
    """Wanted as `Authorization: Bearer …`, and sent to the gateway; unset: only health, metrics and docs answer."""
    gateway_base: str = "http://127.0.0.1:8080"
    """Where the gateway is: the one door to every tool."""
    brain_max_tokens: int = Field(default=768, ge=16, le=32768)
    """Most tokens of one answer."""
    brain_max_iterations: int = Field(default=5, ge=1, le=20)
    """Most calls of tools for one message."""
    brain_history_exchanges: int = Field(default=20, ge=0, le=200)
    """Newest exchanges of a conversation that are kept; fewer are sent where the model's window is small."""
    brain_conversations: int = Field(default=500, ge=1)
    """Conversations that are remembered, in memory; the one used least lately goes first."""
    brain_cache_entries: int = Field(default=256, ge=0)
    """Answers kept for the same words said again; 0: none."""
    brain_cache_sec: float = Field(default=900, gt=0)
    """Seconds an answer is kept."""
    llamacpp_n_ctx: int = Field(default=4096, ge=512)
    """Context size where the server cannot be asked; then a token counts as 3 characters."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.kitty_bind in {"127.0.0.1", "::1", "localhost"} or self.kitty_bind.startswith("127.")
