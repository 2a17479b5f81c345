"""A real brain and a scripted gateway for tests: both over real HTTP on loopback, in threads of this process.

with ScriptedGateway() as gateway, ScriptedModel("hello").threaded() as model:
    with running_brain(model.base_url, gateway.base_url) as brain:
        brain.query("what time is it")
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from brain.main import create_app
from brain.settings import Settings
from kitty_core.serving import listening

TOKEN = "the-token-of-the-tests"

Answer = tuple[int, Any]
CallScript = Callable[[str, dict[str, Any]], Answer]
"""Tool (model name) and arguments to status and body."""


def tool(name: str, description: str = "A tool.", **properties: Any) -> dict[str, Any]:
    """What `GET /api/tools?for=model` says of a tool; all `properties` are required texts."""
    members = {key: {"type": "string", **value} for key, value in properties.items()}
    schema = {"type": "object", "properties": members, "required": list(members)}
    return {"name": name, "description": description, "schema": schema}


def coding_tool() -> dict[str, Any]:
    """coding.generate as the registry has it, with some of its optional arguments."""
    told = tool("coding_generate", "Write and test code.", request={"maxLength": 20_000})
    told["schema"]["properties"] |= {
        "conversation_id": {"type": ["string", "null"]},
        "tests": {"type": ["string", "null"]},
        "model": {"type": ["string", "null"]},
    }
    return told


def broker_tool(**commands: Mapping[str, Any]) -> dict[str, Any]:
    """broker.run as the gateway tells it: `commands` by name (`disk__usage` for `disk.usage`), each with its schema."""
    told = tool("broker_run", "Run a listed command.", command={})
    by_name = {name.replace("__", "."): schema for name, schema in commands.items()}
    told["schema"]["properties"] |= {"command": {"type": "string", "enum": list(by_name)}, "args": {"type": "object"}}
    told["schema"]["anyOf"] = [
        {
            "properties": {"command": {"const": name}, "args": schema},
            "required": ["command", "args"] if schema.get("required") else ["command"],
        }
        for name, schema in by_name.items()
    ]
    return told


def done(name: str, result: Any, status: str = "ok") -> Answer:
    """200, as the gateway answers."""
    return 200, {"tool": name, "decision": "allowed", "status": status, "result": result}


def waiting(name: str, pending_id: str = "0" * 32, expires_at: str = "2999-01-01T00:00:00+00:00") -> Answer:
    """202, as the gateway answers a model."""
    return 202, {
        "requiresConfirmation": True,
        "confirmationPhrase": None,
        "pendingTool": name,
        "hazardClass": "high",
        "pendingId": pending_id,
        "expiresAt": expires_at,
        "hint": f"confirm with `kitty-cli confirm {pending_id}`",
    }


def refused(status: int, code: str, detail: str = "It is refused.") -> Answer:
    """A problem document."""
    return status, {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}


@dataclass
class Recorded:
    """One request to the gateway."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class ScriptedGateway:
    """The gateway's side of the brain's door. Options may be changed while it runs.

    `calls`: answers by tool, in order (the last one stays), or a function.
    """

    tools: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [coding_tool()])
    calls: CallScript | Mapping[str, Answer | list[Answer]] = field(default_factory=dict)
    digest: str = "d1"
    requests: list[Recorded] = field(default_factory=list, init=False)
    base_url: str = field(default="", init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __enter__(self) -> "ScriptedGateway":
        routes = [
            Route("/healthz", self._health),
            Route("/api/tools", self._list),
            Route("/api/tools/{name}", self._call, methods=["POST"]),
            Route("/api/confirmations/{id}", self._reply, methods=["POST"]),
        ]
        self.base_url = self._stack.enter_context(listening(Starlette(routes=routes)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def invocations(self) -> list[Recorded]:
        """The calls of tools."""
        return [request for request in self.requests if request.path.startswith("/api/tools/")]

    @property
    def confirmations(self) -> list[Recorded]:
        """Replies to calls that wait: a service never gives any."""
        return [request for request in self.requests if request.path.startswith("/api/confirmations/")]

    async def _health(self, request: Request) -> Response:
        await self._record(request)
        return JSONResponse({"status": "ok"})

    async def _list(self, request: Request) -> Response:
        await self._record(request)
        return JSONResponse({"tools": list(self.tools), "digest": self.digest})

    async def _call(self, request: Request) -> Response:
        recorded = await self._record(request)
        name = request.path_params["name"]
        if callable(self.calls):
            status, body = self.calls(name, recorded.body["arguments"])
        elif name in self.calls:
            status, body = _following(self.calls[name])
        else:
            status, body = refused(404, "unknown_tool", "There is no such tool; nothing was run.")
        return JSONResponse(body, status_code=status)

    async def _reply(self, request: Request) -> Response:
        await self._record(request)
        status, body = refused(403, "human_needed")
        return JSONResponse(body, status_code=status)

    async def _record(self, request: Request) -> Recorded:
        raw = await request.body()
        recorded = Recorded(request.url.path, dict(request.headers), json.loads(raw) if raw else None)
        self.requests.append(recorded)
        return recorded


def _following(script: Answer | list[Answer]) -> Answer:
    if isinstance(script, list):
        return script.pop(0) if len(script) > 1 else script[0]
    return script


@dataclass(frozen=True)
class RunningBrain:
    """Where it listens."""

    base_url: str
    headers: Mapping[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {TOKEN}"})

    def query(self, prompt: str, user: str = "ann", **fields: Any) -> httpx.Response:
        """POST /api/query as the gateway does for `user`."""
        return self.post("/api/query", {"prompt": prompt, **fields}, **{"x-kitty-user": user})

    def stream(self, prompt: str, **fields: Any) -> list[dict[str, Any]]:
        """The events of /api/query/stream."""
        url, body = f"{self.base_url}/api/query/stream", {"prompt": prompt, **fields}
        with httpx.stream("POST", url, json=body, headers=dict(self.headers), timeout=60, trust_env=False) as response:
            return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """POST any JSON body."""
        sent = {**self.headers, "content-type": "application/json", **headers}
        content = json.dumps(body).encode()
        return httpx.post(f"{self.base_url}{path}", content=content, headers=sent, timeout=60, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        """GET a path."""
        return httpx.get(f"{self.base_url}{path}", headers=dict(self.headers), timeout=30, trust_env=False)


@contextmanager
def running_brain(
    model_url: str, gateway_url: str, *, env: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[RunningBrain]:
    """Serve until the block ends.

    Args:
        model_url: the model server of every role, unless `env` names another.
        settings: fields of `Settings`.
    """
    servers = {"LLAMACPP_F16_BASE": model_url, "LLAMACPP_Q4_BASE": model_url, **(env or {})}
    own = Settings(_env_file=None, **{"kitty_service_token": TOKEN, "gateway_base": gateway_url, **settings})
    with listening(create_app(own, servers)) as base_url:
        yield RunningBrain(base_url)
