"""`fix` and `undo` against a scripted service: what is sent, what is shown, what is written."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

WRONG = "from units import SCALE\n\n\ndef total(n):\n    return SCALE * n + 1\n"
RIGHT = WRONG.replace(" + 1", "")
TESTS = "from sums import total\n\n\ndef test_total():\n    assert total(2) == 6\n"
DIFF = "--- a/sums.py\n+++ b/sums.py\n@@ -4,2 +4,2 @@\n-    return SCALE * n + 1\n+    return SCALE * n\n"
VERIFIED = {"verdict": "verified", "code": RIGHT, "diff": DIFF, "files": {"sums.py": RIGHT}, "evidence": {}}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body))
        status, answer = self.server.answer
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def service(cli):
    """A service that is named, and a folder with a module, what that imports, and its tests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.asked, server.answer = [], (200, VERIFIED)
    cli.env["KITTY_API_BASE"] = f"http://127.0.0.1:{server.server_address[1]}"
    for name, text in (("sums.py", WRONG), ("units.py", "SCALE = 3\n"), ("checks.py", TESTS), ("other.py", "X = 1\n")):
        (cli.folder / name).write_text(text)
    yield server
    server.shutdown()
    server.server_close()


def test_the_change_is_shown_and_nothing_is_written(cli, service):
    done = cli.run("fix", "sums.py", "--tests", "checks.py", "--tier", "fast", "--timeout", "60")
    assert (done.returncode, done.stdout) == (0, DIFF)
    assert "Verified" in done.stderr
    assert (cli.folder / "sums.py").read_text() == WRONG
    [(path, body)] = service.asked
    assert path == "/api/coding/fix"
    assert body == {
        "code": WRONG,
        "module": "sums.py",
        "tests": TESTS,
        "tier": "fast",
        "deadline_seconds": 60.0,
        "files": {"units.py": "SCALE = 3\n"},
    }


def test_written_it_can_be_undone(cli, service):
    (cli.folder / "sums.py").chmod(0o640)
    done = cli.run("fix", "sums.py", "--tests", "checks.py", "--write")
    assert "Wrote sums.py. " in done.stderr
    assert (cli.folder / "sums.py").read_text() == RIGHT
    assert (cli.folder / "sums.py").stat().st_mode & 0o777 == 0o640
    undone = cli.run("undo")
    assert (undone.returncode, (cli.folder / "sums.py").read_text()) == (0, WRONG)
    assert cli.run("undo").returncode == 2


def test_what_was_changed_since_is_not_undone(cli, service):
    cli.run("fix", "sums.py", "--tests", "checks.py", "--write")
    (cli.folder / "sums.py").write_text("mine\n")
    refused = cli.run("undo")
    assert (refused.returncode, "was changed since" in refused.stderr) == (2, True)
    assert (cli.folder / "sums.py").read_text() == "mine\n"


def test_line_ends_a_mark_and_a_link_stay(cli, service):
    real = cli.folder / "real.py"
    real.write_bytes(b"\xef\xbb\xbf" + WRONG.replace("\n", "\r\n").encode())
    (cli.folder / "sums.py").unlink()
    os.symlink(real, cli.folder / "sums.py")
    cli.run("fix", "sums.py", "--tests", "checks.py", "--write")
    assert (cli.folder / "sums.py").is_symlink()
    assert real.read_bytes() == b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode()
    assert service.asked[0][1]["code"] == WRONG


def test_what_is_not_verified_is_not_written(cli, service):
    service.answer = (200, VERIFIED | {"verdict": "tests_failed", "error": "test_total failed"})
    done = cli.run("fix", "sums.py", "--tests", "checks.py", "--write")
    assert (done.returncode, (cli.folder / "sums.py").read_text()) == (1, WRONG)
    assert "was not written" in done.stderr
    assert "test_total failed" in done.stderr


def test_where_nothing_is_changed_stdout_is_empty(cli, service):
    service.answer = (200, VERIFIED | {"code": WRONG, "diff": "", "files": {}})
    done = cli.run("fix", "sums.py", "--tests", "checks.py", "--write")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Nothing was changed" in done.stderr


def test_json_is_the_answer_and_an_error_may_come_from_stdin(cli, service):
    done = cli.run("fix", "sums.py", "--error", "-", "--request", "the sum", "--json", stdin=b"TypeError: no\n")
    assert json.loads(done.stdout) == VERIFIED
    assert (service.asked[0][1]["error"], service.asked[0][1]["request"]) == ("TypeError: no\n", "the sum")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((503, {"code": "model_unavailable", "detail": "None.", "status": 503}), 4),
        ((503, {"verdict": "sandbox_unavailable", "code": WRONG, "diff": "", "error": "No sandbox."}), 3),
        ((422, {"code": "bad_request", "detail": "module: no.", "status": 422}), 2),
        ((200, {"nothing": "known"}), 6),
    ],
)
def test_what_goes_wrong_has_its_exit_status(cli, service, answer, status):
    service.answer = answer
    assert cli.run("fix", "sums.py", "--tests", "checks.py").returncode == status


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sums.py"], "What is wrong with sums.py?"),
        (["missing.py", "--tests", "checks.py"], "cannot be read"),
        (["sums.py", "--tests", "units.py"], "holds no test"),
        (["sums.py", "--error", "missing.txt"], "cannot be read"),
        (["sums.py", "--tests", "checks.py", "--tier", "huge"], "choose fast, standard or deep"),
    ],
)
def test_what_is_of_no_use_is_refused_before_anything_is_sent(cli, service, words, said):
    refused = cli.run("fix", *words)
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert not service.asked
