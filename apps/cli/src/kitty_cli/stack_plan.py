"""What `up` starts: the programs of the stack in the order in which they need each other, and what each is told.

model server ──> coder-agent ──┐
        └──────> brain ────────┼──> gateway
                 broker ───────┘

Nothing is started here. Addresses come from the variables that name ports; every program is told all of them, and all
share one service token.
"""

import dataclasses
import errno
import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_cli import detached
from kitty_cli.errors import NotConfigured, UsageProblem
from kitty_cli.stack_door import DOOR, LOOPBACK, host_of


@dataclass(frozen=True)
class Kind:
    """A program of the stack, before anything is known of this machine."""

    name: str
    module: str
    port_variable: str
    base_variable: str
    default_port: int


KINDS = (
    Kind("broker", "broker.main", "BROKER_PORT", "BROKER_BASE", 8777),
    Kind("coder-agent", "coder_agent.main", "CODER_PORT", "CODER_AGENT_BASE", 8092),
    Kind("brain", "brain.main", "BRAIN_PORT", "BRAIN_BASE", 8000),
    Kind("gateway", "gateway.main", "GATEWAY_PORT", "GATEWAY_BASE", 8080),
)


SHIPPED = Path(__file__).resolve().parents[4]
"""The checkout, whose `config` is used where the caller's folder has none."""
FILES = {"TOOL_REGISTRY_PATH": "config/tool_registry.yaml", "BROKER_ALLOW_LIST": "config/commands.yaml"}


@dataclass(frozen=True)
class Program:
    """One program to be started: `python -m module` with `env`; it answers `/healthz` on `port` of `host`."""

    name: str
    module: str
    port: int
    env: Mapping[str, str] = field(repr=False)
    host: str = LOOPBACK

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True)
class EnginePlan:
    """The embedded model server that the programs share."""

    model_path: str
    alias: str
    port: int
    api_key: str = field(repr=False)


@dataclass(frozen=True)
class StackPlan:
    """Everything the supervisor has to know. Holds secrets: it travels by a pipe, never on a command line."""

    programs: tuple[Program, ...]
    engine: EnginePlan | None = None

    @property
    def size(self) -> int:
        """How many processes it starts."""
        return len(self.programs) + (self.engine is not None)

    @property
    def workspace(self) -> str:
        """The folders that the broker's commands may work in; empty: none."""
        return self._told("broker", "BROKER_WORKSPACE")

    @property
    def bind(self) -> str:
        """The address the gateway listens on."""
        return self._told("gateway", "KITTY_BIND")

    def _told(self, program: str, variable: str) -> str:
        return next((one.env.get(variable, "") for one in self.programs if one.name == program), "")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "StackPlan":
        document = json.loads(text)
        engine = EnginePlan(**document["engine"]) if document["engine"] else None
        return cls(tuple(Program(**program) for program in document["programs"]), engine)


def with_absolute_paths(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """`env` as it holds in any folder: the programs do not run in the caller's, which is `folder`.

    The files of `config` that no variable names are those of `folder`, or the ones that were shipped.
    """
    located = detached.with_absolute_paths(env, folder)
    for name, usual in FILES.items():
        named = env.get(name, "").strip() or (usual if (folder / usual).exists() else str(SHIPPED / usual))
        located[name] = detached.absolute(named, folder)
    return located


def with_workspaces(env: Mapping[str, str], folders: Sequence[Path], below: Path) -> dict[str, str]:
    """`env` where the broker's commands may work in `folders`, which are meant from `below`; without any as it is.

    Raises:
        UsageProblem: one is no folder, or cannot be told to the broker.
    """
    if not folders:
        return dict(env)
    named = [below / folder.expanduser() for folder in folders]
    for folder in named:
        if not folder.is_dir() or os.pathsep in str(folder):
            raise UsageProblem(f"--workspace {folder}: that is no folder, or one with {os.pathsep!r} in its name.")
    return {**env, "BROKER_WORKSPACE": os.pathsep.join(map(str, named))}


def plan_programs(env: Mapping[str, str], token: str, kinds: Sequence[Kind] = KINDS) -> tuple[Program, ...]:
    """The programs for this environment, on the ports it names or the usual ones.

    The gateway is the one door: it listens where KITTY_BIND says, all else on loopback.

    Raises:
        NotConfigured: a variable is no port, or two programs have the same.
    """
    ports = {kind.name: port_of(kind, env) for kind in kinds}
    for kind in kinds:
        same = [other for other in ports if ports[other] == ports[kind.name]]
        if len(same) > 1:
            raise NotConfigured(f"{' and '.join(same)} are both to listen on port {ports[kind.name]}.")
    bind = env.get("KITTY_BIND", "").strip() or LOOPBACK
    hosts = {kind.name: host_of(bind) if kind.name == DOOR else LOOPBACK for kind in kinds}
    addresses = {kind.base_variable: f"http://{hosts[kind.name]}:{ports[kind.name]}" for kind in kinds}
    shared = {**env, **addresses, "KITTY_SERVICE_TOKEN": token, "KITTY_BIND": LOOPBACK}
    shared.pop("KITTY_IDLE_STOP_SEC", None)
    names = [*filter(None, [env.get("KITTY_ALLOWED_HOSTS", "")]), hosts.get(DOOR, LOOPBACK)]
    of_door = {"KITTY_BIND": bind, "KITTY_ALLOWED_HOSTS": ",".join(names)}
    return tuple(
        Program(
            kind.name,
            kind.module,
            ports[kind.name],
            shared | {kind.port_variable: str(ports[kind.name])} | (of_door if kind.name == DOOR else {}),
            hosts[kind.name],
        )
        for kind in kinds
    )


def with_engine(programs: Sequence[Program], model_path: str, alias: str) -> StackPlan:
    """A stack whose programs use one embedded model server, on a port that is free now, behind a random key."""
    engine = EnginePlan(model_path, alias, free_port(), secrets.token_urlsafe(32))
    base = f"http://{LOOPBACK}:{engine.port}"
    told = {f"LLAMACPP_{role}_BASE": base for role in ("Q4", "F16", "CODER")} | {"LLAMACPP_API_KEY": engine.api_key}
    return StackPlan(
        tuple(dataclasses.replace(program, env={**program.env, **told}) for program in programs),
        engine,
    )


def port_of(kind: Kind, env: Mapping[str, str]) -> int:
    """The port the environment names for it, else the usual one.

    Raises:
        NotConfigured: it is not a port.
    """
    text = env.get(kind.port_variable, "").strip() or str(kind.default_port)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise NotConfigured(f"{kind.port_variable}: {text!r} is not a port.")
    return int(text)


def check_ports(programs: Sequence[Program]) -> None:
    """Refuses to start beside something that holds a port.

    Raises:
        NotConfigured: names each port, who has it as far as this user may know, and the variable that moves it; or
            the address that cannot be listened on.
    """
    taken = [program for program in programs if not _is_free(program.port, program.env.get("KITTY_BIND", LOOPBACK))]
    if taken:
        variables = {kind.name: kind.port_variable for kind in KINDS}
        lines = [
            f"  {program.port} ({program.name}) is in use{_by_whom(program.port)}; "
            f"{variables.get(program.name, 'its variable')} names another"
            for program in taken
        ]
        raise NotConfigured("Ports are taken:\n" + "\n".join(lines))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int, bind: str) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise NotConfigured(f"KITTY_BIND={bind}: this machine cannot listen there ({error.strerror}).") from error
    return True


def _by_whom(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
        holders = {c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid}
        named = [f"{psutil.Process(pid).name()}, pid {pid}" for pid in sorted(holders)]
    except psutil.Error:
        return ""  # another user's process: the system does not tell
    return f" by {'; '.join(named)}" if named else ""
