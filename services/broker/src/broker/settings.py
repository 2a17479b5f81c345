"""Every variable the broker reads. Generated into docs/configuration.md."""

from pydantic import Field

from kitty_core.settings import KittySettings


class Settings(KittySettings):
    """Field names are the environment variables in lower case."""

    broker_port: int = Field(default=8777, ge=0, le=65535)
    """Port the service listens on; 0 picks a free one."""
    kitty_bind: str = "127.0.0.1"
    """Address the service listens on. Any other than loopback needs KITTY_SERVICE_TOKEN."""
    kitty_allowed_hosts: str = ""
    """Comma-separated Host names served besides loopback, such as `broker`."""
    kitty_service_token: str | None = None
    """Always wanted as `Authorization: Bearer …`; unset: what the file `service-token` in the state directory says."""
    broker_allow_list: str = "config/commands.yaml"
    """The commands there are; read at the start."""
    broker_path: str = ""
    """Folders where programs are looked for before the system's and the interpreter's own, separated by `:`."""
    broker_workspace: str = ""
    """Folders that commands may be given to work in, separated by `:`; empty: such commands are unavailable."""
    broker_user: str = ""
    """User that commands run as where the broker is root; empty: `nobody`."""
    broker_most_at_once: int = Field(default=4, ge=1, le=64)
    """Commands that run at once; one more is answered 429."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.kitty_bind in {"127.0.0.1", "::1", "localhost"} or self.kitty_bind.startswith("127.")
