"""`kitty-cli eval FILE`, whole: the answers are scripted, the grading is the real sandbox's."""

import signal
import threading

import httpx
import pytest

from kitty_llm.testing import ScriptedModel

PNG = b"\x89PNG\r\n\x1a\n"
REFUSED = {"status": 504, "code": "deadline", "detail": "The deadline passed."}
NO_MODEL = {"status": 503, "code": "model_unavailable", "detail": "No model server answered."}


def replies(**by_name):
    """Answers by the task's name; a number is a code that the agent calls verified."""

    def reply(body):
        return by_name[body["request"].split()[0]]

    return reply


def test_answers_are_graded_with_the_hidden_tests_recorded_and_reported(evals, agent, make_answer):
    agent.reply = replies(
        add=make_answer("def add(a, b):\n    return a + b\n"),
        sub=make_answer("def sub(a, b):\n    return b - a\n", confidence=0.7),
        mul=(504, REFUSED),
    )
    done = evals.run(*evals.of_tasks(agent.base_url))
    assert done.returncode == 0, done.stderr
    add, sub, mul = evals.records()
    assert (add.right, add.verdict, add.grade, add.error) == (True, "verified", "passed", None)
    assert (sub.right, sub.verdict, sub.grade) == (False, "verified", "failed")
    assert (mul.right, mul.error, mul.error_code) == (False, "The deadline passed.", "deadline")
    assert (add.arm, add.tier, add.model, add.answered_by) == ("tier", "standard", "kitty-coder", "scripted-coder")
    assert (add.usage.paid_tokens, add.usage.calls, add.usage.seconds) == (150, 3, {"code": 0.1, "test": 0.2})
    assert add.code.startswith("def add")
    (arm,) = evals.report()["arms"]
    assert (arm["solved"]["count"], arm["solved"]["of"], arm["errors"]) == (1, 3, 1)
    assert (arm["precision"]["count"], arm["precision"]["of"]) == (1, 2)
    picture = (evals.out / "report.png").read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) > 10_000
    assert "1/3 = 33.3 %" in done.stdout
    assert str(evals.out) in done.stdout
    assert "3/3 t/mul · standard · wrong" in done.stderr


def test_who_solves_sees_the_request_and_the_module_alone(evals, agent):
    evals.run(*evals.of_tasks(agent.base_url, "--tier", "fast", "--model", "kitty-coder-small", "--limit", "1"))
    wanted = {"request": "add two", "module": "solution.py", "tier": "fast", "model": "kitty-coder-small"}
    assert agent.bodies == [wanted]


def test_the_raw_arm_asks_once_greedily_and_takes_the_text_up_to_the_fence_as_it_stands(evals, agent):
    texts = ["def add(a, b):\n    return a + b\n```\nThat is it.", "def sub(a, b):\n    return a - b", "no code"]
    with ScriptedModel(texts, api_key="key").threaded() as model:
        words = evals.of_tasks(agent.base_url, "--model", model.base_url, "--compare", "raw", "--json")
        done = evals.run(*words, LLAMACPP_API_KEY="key")
    assert done.returncode == 0, done.stderr
    raw = [record for record in evals.records() if record.arm == "raw"]
    assert [record.code for record in raw] == ["def add(a, b):\n    return a + b", *texts[1:]]
    assert [record.right for record in raw] == [True, True, False]
    assert {record.model for record in evals.records()} == {"scripted"}
    first = model.generations[0]
    assert first.messages == [
        {"role": "system", "content": "You are a helpful assistant."},
        {
            "role": "user",
            "content": "Solve this in Python. Answer with one self-contained Python code block.\n\nadd two\n",
        },
        {"role": "assistant", "content": "```python\n"},
    ]
    asked = {name: first.body[name] for name in ("temperature", "max_tokens", "stop")}
    assert asked == {"temperature": 0.0, "max_tokens": 768, "stop": ["\n```"]}
    assert len(model.generations) == 3
    (difference,) = evals.report()["differences"]
    assert (round(difference["points"], 1), difference["only_tier"], difference["mcnemar_p"]) == (33.3, 1, 1.0)
    assert '"differences"' in done.stdout


@pytest.mark.parametrize(
    ("number", "in_background"),
    [(signal.SIGKILL, False), (signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)],
)
def test_a_run_that_was_ended_goes_on_where_its_records_end(evals, agent, answer_rightly, number, in_background):
    release = threading.Event()

    def hang_at_second(body):
        if body["request"].startswith("sub"):
            release.wait(60)
        return answer_rightly(body)

    agent.reply = hang_at_second
    process = evals.start(*evals.of_tasks(agent.base_url), in_background=in_background)
    assert process.stderr.readline().startswith("kitty-cli: 3 tasks of")
    assert process.stderr.readline().startswith("1/3 t/add")
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    release.set()
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert f"To go on: kitty-cli eval run {evals.tasks}" not in said
        assert f"To go on: kitty-cli eval {evals.tasks}" in said
        assert said.rstrip().endswith("--resume")
    with (evals.out / "records.jsonl").open("a") as file:
        file.write('{"task": "t/sub", "arm": "ti')  # as a machine that stops in the middle of a line leaves it
    agent.bodies.clear()
    done = evals.run(*evals.of_tasks(agent.base_url, "--resume"))
    assert done.returncode == 0, done.stderr
    assert agent.asked == ["sub", "mul"]
    assert [(record.task, record.right) for record in evals.records()] == [
        ("t/add", True),
        ("t/sub", True),
        ("t/mul", True),
    ]


def test_records_that_are_there_are_never_added_to_unasked(evals, agent):
    evals.run(*evals.of_tasks(agent.base_url, "--limit", "1"))
    before = (evals.out / "records.jsonl").read_bytes()
    done = evals.run(*evals.of_tasks(agent.base_url))
    assert done.returncode == 2
    assert "--resume" in done.stderr
    assert "--out" in done.stderr
    assert (evals.out / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tier", "fast"], "records of tier standard; this run is of tier fast"),
        (["--model", "kitty-coder-small"], "records of model kitty-coder; this run is of model kitty-coder-small"),
        ([], "records of tasks.jsonl with another task 't/add' than"),
    ],
)
def test_a_folder_of_another_tier_model_or_file_is_not_resumed(evals, agent, words, said):
    evals.run(*evals.of_tasks(agent.base_url, "--limit", "1"))
    before = (evals.out / "records.jsonl").read_bytes()
    agent.bodies.clear()
    if not words:
        evals.tasks.write_text(evals.tasks.read_text().replace("== 3", "== 4"))
    done = evals.run(*evals.of_tasks(agent.base_url, "--resume", *words))
    assert (done.returncode, done.stdout, agent.bodies) == (2, "", [])
    assert said in done.stderr
    assert (evals.out / "records.jsonl").read_bytes() == before


def test_other_tasks_of_the_file_are_added_by_resume_and_the_report_is_of_all(evals, agent):
    evals.run(*evals.of_tasks(agent.base_url, "--every", "2"))
    agent.bodies.clear()
    done = evals.run(*evals.of_tasks(agent.base_url, "--limit", "2", "--resume"))
    assert agent.asked == ["sub"]
    assert f"kitty-cli: 2 tasks of {evals.tasks}, model kitty-coder, tier standard" in done.stderr
    assert "1 of 2 answers are on record already." in done.stderr
    assert evals.report()["arms"][0]["tasks"] == 3


def test_a_folder_that_is_a_file_is_refused_in_one_line(evals, agent):
    evals.run(*evals.of_tasks(agent.base_url, "--limit", "1"))
    (evals.folder / "taken").touch()
    agent.bodies.clear()
    for words in ([str(evals.tasks), "--base", agent.base_url], ["report", str(evals.out)]):
        done = evals.run(*words, "--out", "taken")
        assert (done.returncode, done.stdout, agent.bodies) == (2, "", [])
        assert done.stderr == "kitty-cli: taken cannot be the folder of records and report: File exists.\n"


def test_without_a_folder_the_run_has_one_in_the_state_directory(evals, agent):
    done = evals.run(str(evals.tasks), "--base", agent.base_url, "--every", "2", "--offset", "1")
    folder = evals.folder / "state" / "kitty" / "evals" / "tasks-kitty-coder-standard"
    assert str(folder) in done.stdout
    assert {path.name for path in folder.iterdir()} == {"records.jsonl", "report.json", "report.png"}
    assert agent.asked == ["sub"]


def test_a_task_whose_answer_breaks_off_is_an_error_and_is_done_again_by_resume(evals, agent, answer_rightly):
    def breaks(body):
        if body["request"].startswith("sub"):
            raise ConnectionAbortedError("the test ends this connection")
        return answer_rightly(body)

    agent.reply = breaks
    done = evals.run(*evals.of_tasks(agent.base_url))
    assert done.returncode == 0, done.stderr
    assert [(record.right, record.error_code) for record in evals.records()] == [
        (True, None),
        (False, "connection_lost"),
        (True, None),
    ]
    agent.reply = answer_rightly
    agent.bodies.clear()
    evals.run(*evals.of_tasks(agent.base_url, "--resume"))
    assert agent.asked == ["sub"]
    assert [record.right for record in evals.records()] == [True, True, True]


def test_three_tasks_in_a_row_without_a_model_end_the_run_and_are_done_again(evals, agent, answer_rightly):
    evals.tasks.write_text("".join(evals.tasks.read_text().replace("t/", f"{n}/") for n in range(2)))
    agent.reply = lambda body: (503, NO_MODEL)
    done = evals.run(*evals.of_tasks(agent.base_url))
    assert done.returncode == 4
    assert "No model server answered." in done.stderr
    assert "--resume" in done.stderr
    assert len(agent.bodies) == 3
    agent.reply = answer_rightly
    assert evals.run(*evals.of_tasks(agent.base_url, "--resume")).returncode == 0
    assert [record.right for record in evals.records()] == [True] * 6


def test_a_service_that_is_gone_ends_the_run_and_says_how_to_go_on(evals, leaving_agent):
    done = evals.run(*evals.of_tasks(leaving_agent))
    assert done.returncode == 3
    assert "Nothing answers at" in done.stderr
    assert "asked 3 times" in done.stderr
    assert done.stderr.rstrip().endswith("--resume")
    assert [record.task for record in evals.records()] == ["t/add"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(leaving_agent)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["nowhere.jsonl"], 2, "nowhere.jsonl cannot be read"),
        (["tasks.jsonl", "--tier", "best"], 2, "'best' is not one of 'fast',"),
        (["tasks.jsonl", "--compare", "all"], 2, "'all' is not one of 'raw'"),
        (["tasks.jsonl", "--limit", "0"], 2, "--limit"),
        (["tasks.jsonl", "--offset", "9"], 2, "leaves none of the 3 tasks"),
        (["tasks.jsonl", "--model", "no-such-model"], 2, "no model called"),
        (["tasks.jsonl", "--model", "http://127.0.0.1:9"], 4, "No model server answers"),
        (["tasks.jsonl", "--base", "http://127.0.0.1:9"], 3, "Nothing answers at http://127.0.0.1:9"),
        (["tasks.jsonl", "--model", "kitty-coder-small"], 4, "kitty-coder-small"),
        (["report", "out"], 2, "records.jsonl cannot be read"),
    ],
)
def test_what_keeps_a_run_from_beginning_has_its_exit_status_and_its_reason(evals, words, status, said):
    done = evals.run(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--compare", "raw"], "needs --model URL"), (["--model", "./x.gguf"], "has its own files")],
)
def test_a_service_that_was_named_brings_its_own_model(evals, agent, words, said):
    done = evals.run(*evals.of_tasks(agent.base_url, *words))
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("status", "code", "left"), [(401, "unauthorized", 3), (404, "x", 3), (422, "unknown_model", 2)]
)
def test_an_answer_that_all_tasks_would_get_ends_the_run(evals, agent, status, code, left):
    agent.reply = lambda body: (status, {"code": code, "detail": "Not like this."})
    done = evals.run(*evals.of_tasks(agent.base_url))
    assert done.returncode == left
    assert not (evals.out / "records.jsonl").exists()
    assert len(agent.bodies) == 1
