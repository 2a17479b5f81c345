"""`jobs` and `code --detach` against a scripted service on loopback, and against one that they start."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import psutil
import pytest

from kitty_cli.job_lines import list_lines, moment, show_lines, state_of
from kitty_cli.testing import CODE, TESTS, failed_job, finished_job

ID, OTHER = "abcd" + "0" * 28, "abce" + "1" * 28
PATH = "/api/coding/jobs"
JOB = {
    "job_id": ID,
    "status": "running",
    "verdict": None,
    "created_at": "2026-01-02T03:04:05.678+00:00",
    "finished_at": None,
    "request": "add\x1b[2J two\nnumbers",
    "tier": "standard",
    "user_id": "local",
    "last_event": 0,
    "cancel_requested": False,
    "queue_position": None,
    "error": None,
    "result": None,
}
ENDED = JOB | {"status": "succeeded", "verdict": "verified"}
GONE = {"code": "no_such_job", "detail": "There is no such job, or it is another user's.", "status": 404}
WITHIN_SEC = 20


class Scripted(ThreadingHTTPServer):
    """Answers as a coder-agent does; what was asked is in `asked`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], object]] = []
        self.jobs: list[dict] = [JOB]
        self.events: list[dict] = finished_job()
        self.cuts: list[int] = []
        """After so many events each connection is cut; then no more."""
        self.refusals: list[tuple[int, dict]] = []
        """Of the next requests for events."""
        self.holds = False
        """The stream stays open behind the last event."""
        self.answers: dict[str, tuple[int, dict]] = {}
        """`METHOD path`: status and document."""
        self.over = threading.Event()
        self.streaming = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def last_ids(self) -> list[str | None]:
        return [headers.get("last-event-id") for _, path, headers, _ in self.asked if path.endswith("/events")]


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        path = self._note(None)
        found = {f"{PATH}/{job['job_id']}": job for job in self.server.jobs}
        if f"GET {path}" in self.server.answers:
            self._answer(*self.server.answers[f"GET {path}"])
        elif path == PATH:
            self._answer(200, {"jobs": self.server.jobs})
        elif path == f"{PATH}/{ID}/events" and self.server.refusals:
            self._answer(*self.server.refusals.pop(0))
        elif path == f"{PATH}/{ID}/events":
            self._stream(int(self.headers.get("last-event-id", 0)))
        else:
            self._answer(*((200, found[path]) if path in found else (404, GONE)))

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        path = self._note(json.loads(self.rfile.read(length)) if length else None)
        self._answer(*self.server.answers.get(f"POST {path}", (404, GONE)))

    def _note(self, body: object) -> str:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        return urlsplit(self.path).path

    def _stream(self, last_id: int) -> None:
        rest = list(enumerate(self.server.events, 1))[last_id:]
        if not rest:
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(rest)
        for number, event in rest[:cut]:
            self.wfile.write(f": ping\n\nid: {number}\ndata: {json.dumps(event)}\n\n".encode())
        if cut < len(rest):
            self.wfile.write(f"id: {len(self.server.events)}\ndata: {{".encode())  # half of an event
        self.wfile.flush()
        self.server.streaming.set()
        if self.server.holds:
            self.server.over.wait(WITHIN_SEC)

    def _answer(self, status: int, document: dict) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def service(cli) -> Iterator[Scripted]:
    """The service that KITTY_API_BASE names."""
    server = Scripted()
    cli.env["KITTY_API_BASE"] = server.base_url
    cli.env["KITTY_COMMAND"] = "./kitty"
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def asked(service: Scripted) -> list[str]:
    return [f"{method} {path}" for method, path, _, _ in service.asked]


def test_a_detached_job_prints_its_id_alone_and_says_how_to_watch_it(cli, service, tmp_path):
    service.answers[f"POST {PATH}"] = (202, JOB)
    (tmp_path / "mine.py").write_text(TESTS)
    options = ["--detach", "--tests", "mine.py", "--tier", "deep", "--model", "kitty-q4", "--timeout", "30"]
    done = cli.run("code", "add two numbers", *options)
    assert (done.returncode, done.stdout) == (0, f"{ID}\n")
    assert f"`./kitty jobs watch {ID}`" in done.stderr
    [(_, _, headers, body)] = service.asked
    assert len(headers["idempotency-key"]) == 32
    wanted = {"tests": TESTS, "tier": "deep", "model": "kitty-q4", "deadline_seconds": 30.0}
    assert body == {"request": "add two numbers", **wanted}
    quiet = cli.run("code", "add", "--detach", "--quiet")
    assert (quiet.stdout, quiet.stderr) == (f"{ID}\n", "")
    assert json.loads(cli.run("code", "add", "--detach", "--json").stdout) == JOB
    keys = {headers["idempotency-key"] for _, _, headers, _ in service.asked}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ((429, {"code": "queue_full", "detail": "As many jobs wait as may."}), 5, "As many jobs wait"),
        ((503, {"code": "job_store_unavailable", "detail": "No database."}), 3, "No database."),
        ((422, {"code": "bad_request", "detail": "request: too long"}), 2, "too long"),
        ((202, {"requiresConfirmation": True, "pendingTool": "coding.generate", "pendingId": ID}), 1, f"confirm {ID}"),
        ((202, {"requiresConfirmation": True}), 6, "of what"),
        ((202, {"status": "queued"}), 6, "without its id"),
        ((202, {"job_id": "a\x1b[2Jb"}), 0, "a␛[2Jb"),
    ],
)
def test_what_is_not_handed_in_says_why(cli, service, answer, status, said):
    service.answers[f"POST {PATH}"] = answer
    done = cli.run("code", "add", "--detach")
    assert (done.returncode, done.stdout == "") == (status, status != 0)
    assert said in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_detached_job_has_nothing_to_write_yet(cli, service):
    done = cli.run("code", "add", "--detach", "--out", "new")
    assert done.returncode == 2
    assert "jobs watch ID --out DIR" in done.stderr
    assert service.asked == []
    assert not (cli.folder / "new").exists()


def test_watch_ends_as_code_does_and_writes_files(cli, service):
    done = cli.run("jobs", "watch", ID, "--out", "out")
    assert (done.returncode, done.stdout) == (0, CODE)
    assert "writing the code" in done.stderr
    assert "Verified" in done.stderr
    assert (cli.folder / "out" / "solution.py").read_text() == CODE
    assert (cli.folder / "out" / "test_solution.py").read_text() == TESTS
    assert json.loads(cli.run("jobs", "watch", ID, "--json", "--quiet").stdout) == service.events[-1]["result"]
    streamed = cli.run("jobs", "watch", ID, "--output-format", "stream-json").stdout
    assert [json.loads(line) for line in streamed.splitlines()] == service.events


def test_a_watch_that_is_cut_off_goes_on_behind_the_last_event_and_misses_and_repeats_none(cli, service):
    service.cuts = [1, 3, 2]
    service.refusals = [(502, {"code": "bad_gateway", "detail": "coder-agent does not answer."})]
    done = cli.run("jobs", "watch", ID, "--output-format", "stream-json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == service.events
    assert service.last_ids() == [None, None, "1", "4", "6"]
    assert "The connection was lost; trying again." in done.stderr


@pytest.mark.parametrize(
    ("events", "status", "said"),
    [
        (finished_job("tests_failed"), 1, "Tests failed"),
        (finished_job("budget_exhausted"), 5, "Out of time"),
        (failed_job("model_unavailable", "no model at all"), 4, "no model at all"),
        (failed_job("sandbox_unavailable", "no bubblewrap", result=finished_job()[-1]["result"]), 3, "no bubblewrap"),
        (failed_job("cancelled", "The job was cancelled."), 130, "The job was cancelled."),
        (failed_job("deadline", "too late\x1b[2J"), 5, "too late␛[2J"),
    ],
)
def test_how_a_job_ended_is_the_exit_status(cli, service, events, status, said):
    service.events = events
    done = cli.run("jobs", "watch", ID)
    assert done.returncode == status
    assert said in done.stderr
    assert "\x1b" not in done.stderr


def test_an_end_that_was_resumed_is_not_the_end(cli, service):
    first = failed_job("cancelled", "The job was cancelled.")
    service.events = [*first, {"type": "resumed"}, *finished_job()]
    service.cuts = [len(first)]
    done = cli.run("jobs", "watch", ID)
    assert (done.returncode, done.stdout) == (0, CODE)
    assert service.last_ids() == [None, str(len(first))]


def test_resume_with_watch_shows_what_comes_and_not_what_was(cli, service):
    first = failed_job("cancelled", "The job was cancelled.")
    service.events = [*first, *finished_job()]
    service.jobs = [JOB | {"status": "cancelled", "last_event": len(first)}]
    service.answers[f"POST {PATH}/{ID}/resume"] = (202, JOB)
    done = cli.run("jobs", "resume", ID, "--watch")
    assert (done.returncode, done.stdout) == (0, CODE)
    assert service.last_ids() == [str(len(first))]
    told = cli.run("jobs", "resume", ID)
    assert (told.returncode, told.stdout) == (0, f"{ID}: running\n")
    assert f"jobs watch {ID}" in told.stderr


def test_a_job_whose_events_are_all_known_is_told_by_itself(cli, service):
    service.events = []
    service.jobs = [ENDED | {"result": finished_job()[-1]["result"]}]
    assert cli.run("jobs", "watch", ID).stdout == CODE
    service.jobs = [ENDED | {"status": "failed", "error": {"code": "model_unavailable", "detail": "no model"}}]
    assert cli.run("jobs", "watch", ID).returncode == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_job_running_and_says_how_to_go_on(cli, service, number):
    service.events, service.holds = finished_job()[:-1], True
    process = cli.start("jobs", "watch", ID)
    assert service.streaming.wait(WITHIN_SEC)
    process.send_signal(number)
    out, said = process.communicate(timeout=WITHIN_SEC)
    assert (process.returncode, out) == (130, b"")
    assert f"`./kitty jobs watch {ID}`".encode() in said
    assert f"`./kitty jobs cancel {ID}`".encode() in said
    assert not [line for line in asked(service) if line.startswith("POST")]


@pytest.mark.parametrize("command", ["show", "watch", "cancel", "resume"])
def test_an_unknown_or_unclear_id_is_status_2_and_nothing_is_done(cli, service, command):
    service.jobs = [JOB, JOB | {"job_id": OTHER}]
    for id, said in (("f" * 32, "no such job"), ("ffff", "jobs list"), ("abc", "4 characters"), ("", "4 characters")):
        done = cli.run("jobs", command, id)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert said in done.stderr
    service.jobs = [JOB, JOB | {"job_id": "abcd1" + "\x1b" * 27}]
    done = cli.run("jobs", command, "abcd")
    assert done.returncode == 2
    assert "More than one" in done.stderr
    assert "\x1b" not in done.stderr
    assert not [line for line in asked(service) if line.startswith("POST")]


def test_a_clear_beginning_of_an_id_is_enough(cli, service):
    service.jobs = [JOB, JOB | {"job_id": OTHER}]
    assert f"job           {ID}" in cli.run("jobs", "show", "ABCD").stdout
    assert json.loads(cli.run("jobs", "show", OTHER[:4], "--json").stdout)["job_id"] == OTHER


def test_an_odd_id_is_asked_for_as_it_is_and_reaches_no_other_path(cli, service):
    odd = "../../healthz?x=#" + "a" * 20
    assert cli.run("jobs", "show", odd).returncode == 2
    assert asked(service) == [f"GET {PATH}/..%2F..%2Fhealthz%3Fx%3D%23{'a' * 20}"]


def test_cancel_waits_until_the_job_has_ended_and_leaves_one_that_has(cli, service):
    service.answers[f"POST {PATH}/{ID}/cancel"] = (200, JOB | {"cancel_requested": True})
    process = cli.start("jobs", "cancel", ID)
    while f"POST {PATH}/{ID}/cancel" not in asked(service):
        assert process.poll() is None
    service.jobs = [JOB | {"status": "cancelled", "verdict": "cancelled"}]
    out, _ = process.communicate(timeout=WITHIN_SEC)
    assert (process.returncode, out.decode()) == (0, f"{ID}: cancelled\n")
    service.jobs, service.asked = [ENDED], []
    assert cli.run("jobs", "cancel", ID).stdout == f"{ID}: verified (it had ended before)\n"
    assert asked(service) == [f"GET {PATH}/{ID}"]


def test_a_job_that_cannot_go_on_says_so(cli, service):
    problem = {"code": "job_not_resumable", "detail": "The job is succeeded."}
    service.answers[f"POST {PATH}/{ID}/resume"] = (409, problem)
    done = cli.run("jobs", "resume", ID)
    assert done.returncode == 2
    assert "The job is succeeded." in done.stderr


def test_lists_are_a_line_a_job_and_hold_no_control_characters(cli, service):
    service.jobs = [JOB | {"job_id": OTHER, "user_id": "ann"}, ENDED | {"status": "s\x9b"}, ENDED]
    done = cli.run("jobs", "list", "--limit", "7")
    first, _, third = done.stdout.splitlines()
    assert first.split()[:2] == [OTHER[:8], "running"]
    assert "ann" in first
    assert "add␛[2J two numbers" in third
    assert "verified" in third
    assert not {"\x1b", "\x9b"} & set(done.stdout)
    assert asked(service) == [f"GET {PATH}?limit=7"]
    assert json.loads(cli.run("jobs", "list", "--json").stdout) == {"jobs": service.jobs}
    service.jobs = []
    empty = cli.run("jobs", "list")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "There are no jobs" in empty.stderr


def test_words_of_a_job():
    assert state_of({"status": "queued", "queue_position": 3}) == "queued, 3 in line"
    assert state_of(JOB | {"cancel_requested": True}) == "being cancelled"
    assert state_of({"status": "failed", "verdict": None}) == "failed"
    assert state_of({}) == "unknown"
    assert moment("no time\x1b") == "no time␛"
    assert moment(None) == ""
    alike = [JOB | {"job_id": f"{'0' * 20}{end}{'0' * 11}"} for end in "ab"]
    assert [line.split()[0][-1] for line in list_lines(alike)] == ["a", "b"]
    error = {"code": "model_unavailable", "detail": "no\nmodel"}
    shown = show_lines(ENDED | {"status": "failed", "error": error, "attempt": 2, "step": "plan"})
    assert "error         model_unavailable: no model" in shown
    assert "attempts      2" in shown
    assert not [line for line in shown if line.startswith(("step", "queue"))]
    assert "queue         night" in show_lines(JOB | {"status": "queued", "queue": "night"})


def test_nothing_is_started_to_say_that_nothing_was_ever_handed_in(cli):
    cli.install_stand_in()
    listed, shown = cli.run("jobs", "list"), cli.run("jobs", "show", ID)
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "There are no jobs" in listed.stderr
    assert (shown.returncode, "--detach" in shown.stderr) == (2, True)
    assert not cli.started()


def test_a_named_address_that_does_not_answer_is_status_3(cli):
    done = cli.run("jobs", "list", KITTY_API_BASE="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "KITTY_API_BASE" in done.stderr


@pytest.fixture
def model_server(scripted, cli):
    """A model server that is there: what it answers does not matter, so a 404 will do."""
    cli.env["LLAMACPP_CODER_BASE"] = scripted().base_url
    cli.install_stand_in()


def test_without_a_stack_jobs_go_to_the_service_that_code_starts_whatever_its_settings(cli, model_server):
    done = cli.run("code", "add", "--detach", CODER_MAX_TOKENS="77")
    assert done.returncode == 0, done.stderr
    [(pid, *_)] = cli.started()
    (cli.folder / "state" / "kitty" / "jobs.sqlite3").touch()
    assert done.stdout.strip() in cli.run("jobs", "list", "--json").stdout
    assert done.stdout.strip() in cli.run("jobs", "list", "--json", CODER_MAX_TOKENS="99").stdout
    assert [start[0] for start in cli.started()] == [pid], "one is there already"
    psutil.Process(int(pid)).kill()
    assert cli.run("jobs", "list").returncode == 0
    assert len(cli.started()) == 2, "it is started, so that what it left is taken up"


def test_jobs_of_another_database_are_not_shown_as_those_of_this_one(cli, model_server):
    assert cli.run("code", "add", "--detach").returncode == 0
    assert cli.run("jobs", "list", DATABASE_URL="sqlite:///other.sqlite3").returncode == 0
    assert len(cli.started()) == 2


def test_a_service_that_was_killed_is_started_again_while_a_job_is_watched(cli, model_server):
    cli.env["STAND_IN_HOLDS"] = "1"
    job_id = cli.run("code", "add", "--detach").stdout.strip()
    (cli.folder / "state" / "kitty" / "jobs.sqlite3").touch()
    process = cli.start("jobs", "watch", job_id)
    assert b"writing the code" in process.stderr.readline()
    psutil.Process(int(cli.started()[0][0])).kill()
    out, said = process.communicate(timeout=WITHIN_SEC)
    assert process.returncode == 0, said
    assert out.decode() == CODE
    assert len(cli.started()) == 2


def test_a_service_with_a_job_that_waits_or_that_cannot_tell_is_busy(cli, model_server):
    cli.run("code", "add", STAND_IN_JOBS="null")
    cli.run("code", "add", CODER_MAX_TOKENS="99")
    (old, *_), _ = cli.started()
    assert psutil.pid_exists(int(old))
