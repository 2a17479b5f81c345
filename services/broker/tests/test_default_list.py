"""The allow-list that ships: each command run for real, and its own tricks refused."""

import os
import shutil
import subprocess

import pytest

ME = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]


@pytest.fixture
def project(workspace):
    """A small git repository with tests and one mistake."""
    (workspace / "adding.py").write_text("import os\n\n\ndef add(a, b):\n    return a + b\n")
    (workspace / "test_adding.py").write_text(
        "from adding import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    )
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=workspace, check=True)
    subprocess.run(["git", "add", "."], cwd=workspace, check=True)
    subprocess.run(["git", *ME, "commit", "-qm", "The first commit"], cwd=workspace, check=True)
    (workspace / "notes").mkdir()
    (workspace / "notes" / "-rf.txt").write_text("x")
    return workspace


def test_git_status_tells_branch_and_files(start, project):
    (project / "adding.py").write_text("changed\n")
    broker = start()
    text = broker.run("git.status").json()["stdout"]
    assert "# branch.head main" in text
    assert " adding.py\n" in text
    assert "? notes/\n" in text
    assert "? notes/-rf.txt\n" in broker.run("git.status", untracked="all", paths=["notes"]).json()["stdout"]
    assert "?" not in broker.run("git.status", untracked="no").json()["stdout"]


def test_git_status_writes_nothing_into_the_repository(start, project, unconfined_list):
    for folder in (project, project / ".git"):
        folder.chmod(0o777)
    (project / ".git" / "index").chmod(0o666)
    os.utime(project / "adding.py", (1, 1))
    before = (project / ".git" / "index").read_bytes()
    assert start(unconfined_list).run("git.status").json()["success"]
    assert (project / ".git" / "index").read_bytes() == before


def test_git_log_tells_commits(start, project):
    broker = start()
    assert "The first commit" in broker.run("git.log", limit=5).json()["stdout"]
    assert "def add(a, b)" in broker.run("git.log", limit=5, patch=True, paths=["adding.py"]).json()["stdout"]
    assert "A\tadding.py" in broker.run("git.log", limit=5, names=True).json()["stdout"]
    assert broker.run("git.log", limit=1, oneline=True, revision="main").json()["stdout"].endswith("commit\n")
    assert broker.run("git.log", limit=5, paths=["notes"]).json()["stdout"] == ""


def test_git_diff_tells_changes_staged_and_not(start, project):
    (project / "adding.py").write_text("changed\n")
    broker = start()
    assert "+changed" in broker.run("git.diff").json()["stdout"]
    assert "1 file changed" in broker.run("git.diff", stat=True).json()["stdout"]
    assert broker.run("git.diff", staged=True).json()["stdout"] == ""
    subprocess.run(["git", "add", "adding.py"], cwd=project, check=True)
    assert "+changed" in broker.run("git.diff", staged=True, context=0).json()["stdout"]
    assert "+changed" in broker.run("git.diff", revision="HEAD", paths=["adding.py"]).json()["stdout"]


@pytest.mark.parametrize(
    "args",
    [
        {"revision": "--output=/tmp/x"},
        {"revision": "-O/tmp/x"},
        {"revision": "--"},
        {"revision": "HEAD --output=x"},
        {"revision": "HEAD:adding.py"},
        {"revision": ":/first"},
        {"paths": ["../x"]},
        {"paths": ["/etc/passwd"]},
        {"paths": ["a\nb"]},
    ],
    ids=str,
)
def test_git_takes_no_option_and_no_outside_path_for_an_argument(start, project, args):
    assert start().run("git.diff", **args).json()["code"] == "bad_arguments"


@pytest.mark.parametrize("path", ["--output=x", "-rf", ":(exclude)adding.py", "*", ":!x"])
def test_a_path_is_a_path_whatever_it_looks_like(start, project, path):
    (project / "adding.py").write_text("changed\n")
    answer = start().run("git.diff", paths=[path]).json()
    assert (answer["success"], answer["stdout"]) == (True, "")
    assert not (project / "x").exists()


@pytest.mark.skipif(not shutil.which("ruff", path=os.path.dirname(os.sys.executable)), reason="ruff is not installed")
def test_ruff_finds_a_mistake_and_changes_nothing(start, project):
    (project / "ruff.toml").write_text('fix = true\ncache-dir = "cache"\n')
    before = (project / "adding.py").read_text()
    answer = start().run("ruff.check", paths=["adding.py"]).json()
    assert (answer["exit_code"], "F401" in answer["stdout"]) == (1, True), answer
    assert (project / "adding.py").read_text() == before
    assert not (project / "cache").exists()
    broker = start()
    assert broker.run("ruff.check", select="E9").json()["success"]
    assert broker.run("ruff.check", select="E --fix").json()["code"] == "bad_arguments"


def test_ls_tells_the_files_also_below_names_that_look_like_options(start, project):
    broker = start()
    assert "adding.py" in broker.run("files.list").json()["stdout"]
    assert "-rf.txt" in broker.run("files.list", path="notes").json()["stdout"]
    assert "notes/-rf.txt" in broker.run("files.list", path="notes/-rf.txt").json()["stdout"]
    assert "-rf.txt" in broker.run("files.list", recursive=True).json()["stdout"]
    (project / "out").symlink_to("/etc")
    assert broker.run("files.list", path="out").json()["code"] == "bad_arguments"


@pytest.mark.skipif(not shutil.which("df"), reason="this machine has no df")
def test_df_tells_the_disks(start):
    answer = start().run("disk.usage").json()
    assert answer["stdout"].startswith("Filesystem")
    assert "Mounted on" in answer["stdout"]


@pytest.mark.skipif(not shutil.which("ps"), reason="this machine has no ps")
def test_ps_tells_processes_and_not_their_arguments(start):
    with subprocess.Popen(["sleep", "31537.25"]) as sleeping:
        answer = start().run("process.list").json()
        sleeping.kill()
    assert answer["success"], answer
    assert any(line.split()[0] == str(sleeping.pid) for line in answer["stdout"].splitlines()[1:])
    assert "31537.25" not in answer["stdout"]


def test_pytest_runs_the_tests_of_a_workspace(start, project, programs_for_all):
    broker = start(broker_path=str(programs_for_all))
    answer = broker.run("pytest.run").json()
    assert (answer["success"], "1 passed" in answer["stdout"], answer["hazard_class"]) == (True, True, "high"), answer
    (project / "test_bad.py").write_text("def test():\n    assert False\n")
    answer = broker.run("pytest.run", paths=["test_bad.py"], max_failures=1).json()
    assert (answer["success"], answer["exit_code"]) == (False, 1)


def test_pytest_takes_no_option_for_a_path(start, project, programs_for_all):
    (project / "evil.py").write_text("print('evil ran')\n")
    broker = start(broker_path=str(programs_for_all))
    for path in ("-pevil", "--pyargs", "--override-ini=x"):
        answer = broker.run("pytest.run", paths=[path])
        assert answer.json()["code"] == "bad_arguments", answer.text
