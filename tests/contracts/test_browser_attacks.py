"""What a page of another site can make a browser send gets 403 on every route of every service, and runs nothing.

The routes are those of the services' own apps: a new one is attacked as soon as it is there. No route is excepted, not
even /healthz; a service that is reached from elsewhere by its name has that name in KITTY_ALLOWED_HOSTS.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import URL

import brain.main
import broker.main
import coder_agent.main
from brain.settings import Settings as BrainSettings
from brain.testing import ScriptedGateway, coding_tool, done
from broker.settings import Settings as BrokerSettings
from coder_agent.backends import Backends
from coder_agent.settings import Settings as CoderSettings
from gateway.testing import Reply, Seen, make_gateway, running_service
from kitty_core.audit import SpooledAuditLog
from kitty_core.serving import listening
from kitty_core.testing import MemoryAuditLog
from kitty_llm.testing import ScriptedModel
from kitty_sandbox import Cell
from kitty_sandbox.testing import ScriptedSandbox, every, make_result

TOKEN = "the-service-token-of-the-tests"
SERVICES = ("gateway", "brain", "broker", "coder-agent")
ATTACKER = "http://attacker.example"
ATTACKS: Mapping[str, Callable[[int], dict[str, str]]] = {
    "a forged host": lambda port: {"host": f"attacker.example:{port}"},
    "a foreign origin": lambda port: {"origin": ATTACKER},
    "an origin that is hidden": lambda port: {"origin": "null"},
    "a replay after DNS rebinding": lambda port: {
        "host": f"attacker.example:{port}",
        "origin": f"{ATTACKER}:{port}",
        "referer": f"{ATTACKER}:{port}/",
    },
    "text/plain": lambda port: {"content-type": "text/plain"},
    "a form": lambda port: {"content-type": "application/x-www-form-urlencoded"},
}
ONLY_WITH_A_BODY = {"text/plain", "a form"}
"""They are no attack on a GET: there is no body to forge, and a page of another site cannot read the answer."""
IN_A_PATH = {"{name}": "disk.look", "{pending_id}": "0" * 32, "{job_id}": "0" * 32}
TOOLS = ("coding.generate", "coding.test", "coding.fix", "coding.refactor", "coding.explain", "memory.remember")
REGISTRY = "tools:\n" + "".join(
    f"  {name}: {{method: POST, url: '${{BROKER_BASE}}/{name}', hazard_class: none}}\n"
    for name in (*TOOLS, "memory.search", "disk.look")
)
COMMANDS = """
commands:
  disk.look: {description: Stands in for a command., program: "true", argv: [], hazard_class: none, timeout_sec: 5}
"""
CODE = "```python\ndef add(a, b):\n    return a + b\n```"
REQUEST = "Write add(a, b). add(1, 2) == 3"


@dataclass(frozen=True)
class Service:
    """A running one."""

    app: FastAPI
    base_url: str
    body: Mapping[str, Any]
    """Fits every POST that it has."""
    executed: Callable[[], object]
    """All that came of requests so far: empty where nothing did."""
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    def routes(self) -> list[tuple[str, str]]:
        """(method, path) of all, with something in place of what a path leaves open."""
        return [
            (method, re.sub(r"{\w+}", lambda name: IN_A_PATH[name.group()], str(route.path)))
            for route in iter_route_contexts(self.app.routes)
            for method in sorted(route.methods or ())
        ]

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        sent = {"content-type": "application/json", **headers}
        content = json.dumps(self.body).encode() if method == "POST" else None
        return self.client.request(method, self.base_url + path, content=content, headers=sent)


@contextmanager
def the_gateway(folder: Path) -> Iterator[Service]:

    def answer(seen: Seen) -> Reply:
        return Reply({"success": True}, frames=(": ping\n\n",) if seen.path.endswith("/events") else ())

    with running_service(answer) as behind:
        bases = {f"{name}_base": behind.base_url for name in ("coder_agent", "brain", "memory", "broker")}
        made = make_gateway(folder, REGISTRY, kitty_service_token=TOKEN, **bases)
        body = {"request": REQUEST, "prompt": "hi", "arguments": {}, "message": "Confirm: proceed"}
        with listening(made.app) as base_url:
            yield Service(made.app, base_url, body, lambda: [*behind.seen, *made.rows()])


@contextmanager
def the_brain(folder: Path) -> Iterator[Service]:
    made = done("coding.generate", {"code": "x = 1"})
    with (
        ScriptedModel("Hello.").threaded() as model,
        ScriptedGateway(tools=[coding_tool()], calls={"coding_generate": made}) as door,
    ):
        settings = BrainSettings(_env_file=None, kitty_service_token=TOKEN, gateway_base=door.base_url)
        app = brain.main.create_app(settings, {"LLAMACPP_Q4_BASE": model.base_url})
        with listening(app) as base_url:
            body = {"prompt": REQUEST, "conversationId": "c1", "message": "hi", "answer": "Hello."}
            yield Service(app, base_url, body, lambda: [*model.generations, *door.invocations])


@contextmanager
def the_broker(folder: Path) -> Iterator[Service]:
    (folder / "commands.yaml").write_text(COMMANDS)
    settings = BrokerSettings(
        _env_file=None, kitty_service_token=TOKEN, broker_allow_list=str(folder / "commands.yaml")
    )
    app = broker.main.create_app(settings)
    with listening(app) as base_url:
        url = f"{base_url}/metrics"

        def counted() -> Sequence[str]:
            return re.findall(r"broker_commands_total{.*", httpx.get(url, trust_env=False).text)

        yield Service(app, base_url, {"command": "disk.look", "user_id": "ann"}, counted)


@contextmanager
def the_coder_agent(folder: Path) -> Iterator[Service]:
    sandbox = ScriptedSandbox(*[make_result("failed")] * 100, rows=every(Cell("passed")))
    with ScriptedModel(CODE).threaded() as model:
        settings = CoderSettings(
            _env_file=None, kitty_service_token=TOKEN, coder_evidence_dir="off", coder_conversations_dir="off"
        )
        backends = Backends({"LLAMACPP_F16_BASE": model.base_url})
        rows = MemoryAuditLog()
        app = coder_agent.main.create_app(
            settings,
            backends=backends,
            sandbox=sandbox,
            open_trail=lambda: SpooledAuditLog(rows, folder / "spool"),
            jobs_url=URL.create("sqlite", database=str(folder / "jobs.sqlite3")),
        )
        body = {"request": REQUEST, "code": CODE, "tier": "fast"}
        with listening(app) as base_url:
            as_service = {"authorization": f"Bearer {TOKEN}", "x-kitty-job-id": IN_A_PATH["{job_id}"]}
            with httpx.Client(base_url=base_url, headers=as_service, timeout=60, trust_env=False) as client:
                client.post("/api/coding/jobs", json=body).raise_for_status()
                client.get(f"/api/coding/jobs/{IN_A_PATH['{job_id}']}/events").raise_for_status()  # until it has ended

                def executed() -> Sequence[object]:
                    return [*model.generations, *rows.rows, *client.get("/api/coding/jobs").json()["jobs"]]

                yield Service(app, base_url, body, executed)


STARTS = dict(zip(SERVICES, (the_gateway, the_brain, the_broker, the_coder_agent), strict=True))


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real app of each, over real HTTP, with scripted ones behind it."""
    with STARTS[request.param](tmp_path_factory.mktemp(request.param)) as started:
        yield started
        started.client.close()


@pytest.fixture(params=[False, True], ids=["without a token", "with the service token"])
def headers(request: pytest.FixtureRequest) -> dict[str, str]:
    """What a browser cannot know, and what is refused even so."""
    return {"authorization": f"Bearer {TOKEN}"} if request.param else {}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gets_403_on_every_route_and_executes_nothing(service, headers, attack):
    attacked = [
        (method, path) for method, path in service.routes() if method == "POST" or attack not in ONLY_WITH_A_BODY
    ]
    before = service.executed()
    for method, path in attacked:
        answer = service.ask(method, path, {**headers, **ATTACKS[attack](service.port)})
        assert (method, path, answer.status_code) == (method, path, 403), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert service.executed() == before
    assert {"GET", "POST"} & {method for method, _ in attacked}


def test_the_same_requests_from_the_service_itself_are_served(service):
    """Else the attacks could be refused for another reason."""
    before = service.executed()
    for method, path in service.routes():
        origin = {"origin": service.base_url, "authorization": f"Bearer {TOKEN}", "x-kitty-user": "ann"}
        origin |= {"x-kitty-role": "admin"} if "/jobs" in path else {}
        answer = service.ask(method, path, origin)
        if "/confirmations" in path:  # a service is no person; and nothing waits
            assert answer.status_code in (403, 404)
            assert answer.json()["code"] in ("human_needed", "unknown_confirmation")
        elif answer.status_code == 409:
            assert answer.json()["code"] == "job_not_resumable"
        else:
            assert answer.is_success, (method, path, answer.text)
    assert len(service.executed()) > len(before)
