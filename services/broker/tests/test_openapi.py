"""The OpenAPI document is true: Schemathesis asks what it allows, and more; no 500, no answer it does not name."""

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import checks

from broker.testing import RunningBroker, running_broker

COMMANDS = """
commands:
  disk.usage:
    description: Stands in for the command of the document's example.
    program: printf
    argv: ["%s", "{text}"]
    hazard_class: none
    timeout_sec: 5
    args:
      text: {type: string, pattern: '.*', description: One line.}
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> RunningBroker:
    """Over a list whose commands do nothing."""
    path = tmp_path_factory.mktemp("list") / "commands.yaml"
    path.write_text(COMMANDS)
    with running_broker(broker_allow_list=str(path)) as broker:
        yield broker


def paths_of(broker):
    return sorted(broker.get("/openapi.json").json()["paths"])


def test_the_document_names_every_route(broker):
    assert paths_of(broker) == ["/commands", "/commands/{name}/schema", "/exec", "/healthz"]


@pytest.mark.parametrize("path", ["/commands", "/commands/{name}/schema", "/exec", "/healthz"])
def test_no_answer_is_a_500_or_contradicts_the_document(broker, path):
    document = schemathesis.openapi.from_url(f"{broker.base_url}/openapi.json").include(path=path)
    # Whether `args` fit depends on the command; the document cannot say it.
    excluded = [checks.CHECKS.get_one("positive_data_acceptance")]
    examples = 40 if path == "/exec" else 10
    for operation in document.get_all_operations():

        @hypothesis.settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.ok().as_strategy())
        def ask(case):
            with requests.Session() as session:
                session.trust_env = False
                case.call_and_validate(session=session, headers=dict(broker.headers), excluded_checks=excluded)

        ask()
