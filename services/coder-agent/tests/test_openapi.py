"""The OpenAPI document is true: Schemathesis asks what it allows, and more; no 500, no answer it does not name."""

import json

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import checks

from coder_agent.shapes import CodingResponse
from coder_agent.testing import running_agent
from kitty_llm.testing import ScriptedModel
from kitty_sandbox import CaseResult, Cell, SandboxStatus
from kitty_sandbox.testing import ScriptedSandbox, every, make_result

REQUEST = "Write add(a, b). add(1, 2) == 3"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
PATHS = {
    "/api/coding/generate": 80,
    "/api/coding/fix": 60,
    "/api/coding/stream": 20,
    "/api/coding/jobs": 40,
    "/api/coding/jobs/{job_id}": 10,
    "/api/coding/jobs/{job_id}/events": 10,
    "/api/coding/jobs/{job_id}/cancel": 10,
    "/api/coding/jobs/{job_id}/resume": 10,
    "/healthz": 2,
    "/readyz": 2,
}
"""Every path, and how many requests it gets."""


@pytest.fixture(scope="module")
def agent():
    """Over a model that always writes the same function, and a sandbox where everything passes."""
    passed = make_result("passed", CaseResult("test_solution.py::test_add", "passed"))
    sandbox = ScriptedSandbox(*[passed] * 10_000, rows=every(Cell("passed")))
    with (
        ScriptedModel(RIGHT).threaded() as model,
        running_agent(model.base_url, sandbox=sandbox) as agent,
    ):
        yield agent


def test_the_document_names_every_route(agent):
    assert sorted(agent.get("/openapi.json").json()["paths"]) == sorted(PATHS)


# Jobs that were posted run on in a thread of this process, and the graph's library draws random numbers.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies")
@pytest.mark.parametrize("path", PATHS)
def test_no_answer_is_a_500_or_contradicts_the_document(agent, path):
    document = document_of(agent).include(path=path)
    for operation in document.get_all_operations():

        @hypothesis.settings(
            max_examples=PATHS[path], deadline=None, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.ok().as_strategy())
        def ask(case):
            answer = call_and_validate(case)
            if answer.status_code == 200 and path.endswith("/stream"):
                assert_ends_as_told(answer.text)

        ask()


@pytest.mark.parametrize(
    ("failure", "body", "status"),
    [
        ({"script": "unused", "html": True}, {}, 502),
        ({"api_key": "another"}, {}, 503),
        ({"sandbox": SandboxStatus(False, reason="no bubblewrap")}, {}, 503),
        ({"delay_sec": 5}, {"deadline_seconds": 0.1}, 504),
        ({"n_ctx": 512}, {"request": f"{REQUEST} {'word ' * 2000}"}, 413),
    ],
    ids=["nonsense", "another key", "no sandbox", "deadline", "too long"],
)
def test_what_a_failure_answers_is_in_the_document_too(failure, body, status):
    sandbox = ScriptedSandbox(status=failure.pop("sandbox", None))
    with (
        ScriptedModel(**{"script": RIGHT, **failure}).threaded() as model,
        running_agent(model.base_url, sandbox=sandbox) as agent,
    ):
        case = document_of(agent)["/api/coding/generate"]["POST"].Case(body={"request": REQUEST, **body})
        assert call_and_validate(case).status_code == status


def document_of(agent):
    document = schemathesis.openapi.from_url(f"{agent.base_url}/openapi.json")
    document.config.max_stream_events = 10_000  # every stream is read to its end: leaving it cancels the job
    return document


def call_and_validate(case):
    # Which names and files can lie in one folder depends on each other; the document cannot say it. Where it names
    # a 502, 503 or 504 that is an answer; a 500 it does not name.
    excluded = [checks.CHECKS.get_one(name) for name in ("positive_data_acceptance", "not_a_server_error")]
    with requests.Session() as session:
        session.trust_env = False
        return case.call_and_validate(session=session, excluded_checks=excluded)


def assert_ends_as_told(stream):
    """The document cannot say what is in a stream: one last event, with the whole answer or why there is none."""
    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events if event["type"] in ("complete", "error")] == [events[-1]["type"]]
    if events[-1]["type"] == "complete":
        CodingResponse.model_validate(events[-1]["result"], strict=True)
    else:
        assert events[-1]["code"] == "deadline"  # of those that were asked for, some are over at once
