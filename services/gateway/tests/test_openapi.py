"""The OpenAPI document is true: Schemathesis asks what it allows, and more; no 500, no answer it does not name."""

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import checks

from gateway.testing import Reply, running_gateway, running_service

REGISTRY = """
tools:
  coding.generate:
    {method: POST, url: "${CODER_AGENT_BASE}/api/coding/generate", schema: {type: object, required: [request]}}
  disk.wipe: {method: POST, url: "${BROKER_BASE}/wipe", hazard_class: high}
"""
PATHS = {
    "/api/audit": 6,
    "/api/coding/explain": 3,
    "/api/coding/fix": 3,
    "/api/coding/generate": 15,
    "/api/coding/jobs": 12,
    "/api/coding/jobs/{job_id}": 8,
    "/api/coding/jobs/{job_id}/cancel": 5,
    "/api/coding/jobs/{job_id}/events": 8,
    "/api/coding/jobs/{job_id}/resume": 5,
    "/api/coding/refactor": 3,
    "/api/coding/stream": 10,
    "/api/coding/test": 3,
    "/api/confirmations": 2,
    "/api/confirmations/{pending_id}": 20,
    "/api/confirmations/{pending_id}/approve": 10,
    "/api/memory/remember": 3,
    "/api/memory/search": 3,
    "/api/query": 10,
    "/api/query/stream": 5,
    "/api/routing/models": 3,
    "/api/tools": 5,
    "/api/tools/{name}": 25,
    "/healthz": 2,
    "/readyz": 2,
}
"""Every path, and how many requests it gets."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Open, over one service that answers everything but jobs alike."""

    def answer(seen):
        if seen.path.endswith("/events"):
            return Reply(frames=('id: 1\ndata: {"type":"complete"}\n\n',))
        return Reply({"success": True}, 202 if seen.path.endswith("/resume") else 200)

    with running_service(answer) as service:
        bases = {f"{name}_base": service.base_url for name in ("coder_agent", "brain", "memory", "broker")}
        with running_gateway(tmp_path_factory.mktemp("g"), REGISTRY, gateway_rate_per_min=10**6, **bases) as gateway:
            yield gateway


def test_the_document_names_every_route(gateway):
    assert sorted(gateway.get("/openapi.json").json()["paths"]) == sorted(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_is_a_500_or_contradicts_the_document(gateway, path):
    document = schemathesis.openapi.from_url(f"{gateway.base_url}/openapi.json").include(path=path)
    # Whether arguments fit depends on the tool; the document cannot say it.
    excluded = [checks.CHECKS.get_one("positive_data_acceptance")]
    for operation in document.get_all_operations():

        @hypothesis.settings(
            max_examples=PATHS[path], deadline=None, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.ok().as_strategy())
        def ask(case):
            with requests.Session() as session:
                session.trust_env = False
                case.call_and_validate(session=session, excluded_checks=excluded)

        ask()
