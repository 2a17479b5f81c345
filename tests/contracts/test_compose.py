"""The containers: what compose says of them is what the programs understand. No container engine is needed."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "infra" / "compose" / "docker-compose.yml"
DOCKERFILE = ROOT / "infra" / "docker" / "Dockerfile"
PORTS = {"gateway": "gateway_port", "brain": "brain_port", "broker": "broker_port", "coder_agent": "coder_port"}
OUTSIDE = {
    "DATABASE_URL",
    "AUDIT_KEY",
    "LLAMACPP_API_KEY",
    *(f"LLAMACPP_{role}_BASE" for role in ("Q4", "F16", "CODER")),
}
"""Read elsewhere than in a class of settings."""


@pytest.fixture(scope="module")
def services():
    found = yaml.safe_load(COMPOSE.read_text())["services"]
    return {name: service for name, service in found.items() if service["image"] == "kitty"}


def settings_of(service):
    """The class of settings of the program that it runs."""
    return import_module(service["command"][-1].replace(".main", ".settings")).Settings


def test_each_program_of_the_stack_is_there_and_more_workers_only_where_they_are_asked_for(services):
    assert set(services) == {"gateway", "brain", "broker", "coder-agent", "worker"}
    assert {name for name, service in services.items() if service.get("profiles")} == {"worker"}
    worker, agent = services["worker"], services["coder-agent"]
    assert (worker["profiles"], worker["deploy"]["replicas"]) == (["scale"], "${WORKERS:-2}")
    assert [worker[key] for key in ("command", "environment", "security_opt")] == [
        agent[key] for key in ("command", "environment", "security_opt")
    ]
    for service in services.values():
        assert find_spec(service["command"][-1]) is not None


def test_each_variable_is_one_that_the_program_reads_and_each_port_is_its_own(services):
    for service in services.values():
        settings = settings_of(service)
        known = {name.upper() for name in settings.model_fields} | OUTSIDE
        shared = {"CODER_AGENT_BASE", "BRAIN_BASE", "BROKER_BASE"}
        assert set(service["environment"]) <= known | shared, service["command"]
        port = settings.model_fields[PORTS[service["command"][-1].partition(".")[0]]].default
        assert f"127.0.0.1:{port}/healthz" in service["healthcheck"]["test"][-1]
        assert service["environment"]["KITTY_ALLOWED_HOSTS"]


def test_what_has_no_safe_default_has_to_be_said():
    wanted = {"POSTGRES_PASSWORD", "AUDIT_KEY", "KITTY_SERVICE_TOKEN", "LLAMACPP_F16_BASE", "LLAMACPP_Q4_BASE"}
    assert set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text())) == wanted
    published = re.findall(r'ports: \["\$\{\w+:-([\d.]+):', COMPOSE.read_text())
    assert published == ["127.0.0.1"] * 2, "nothing is reached from elsewhere unless somebody says so"


def test_the_image_holds_every_distribution_and_runs_as_nobody_special():
    text = DOCKERFILE.read_text()
    folders = {path.parent.parent.name for path in ROOT.glob("*/*/pyproject.toml")} | {"evals"}
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.M))
    assert copied == folders
    assert all((ROOT / name).exists() for name in re.findall(r"^COPY ([\w.-]+) ", text, re.M) if name != "--from=build")
    assert text.index("USER kitty") < text.index("CMD")
