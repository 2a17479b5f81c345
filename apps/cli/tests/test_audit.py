"""`kitty-cli audit` becomes the program that reads the trail."""

import json
import subprocess
import sys

import pytest

WRITES = """
import os
from kitty_core.audit import Invocation, open_audit
audit = open_audit(os.environ)
audit.append(Invocation("r1", "coding.generate", "local", "allowed", "ok"), "write fib")
audit.close()
"""


@pytest.fixture
def trail(cli):
    """One row, written as a service writes it."""
    env = {**cli.env, "AUDIT_STORE_PROMPTS": "true"}
    subprocess.run([sys.executable, "-c", WRITES], env=env, check=True, timeout=60)
    return cli


def test_audit_lists_verifies_and_exports(trail):
    listed = trail.run("audit", "list", "--tool", "coding.generate", "--user", "local", "--limit", "5", "--json")
    assert [entry["request_id"] for entry in json.loads(listed.stdout)["entries"]] == ["r1"]
    none = ("--tool=broker.run", "--user=ann", "--since=2999-01-01")
    for words in none:
        assert json.loads(trail.run("audit", "list", words, "--json").stdout)["entries"] == []
    assert trail.run("audit", "verify").returncode == 0
    assert trail.run("audit", "export", "-x.jsonl").returncode == 2
    assert trail.run("audit", "export", "./-x.jsonl").returncode == 0
    assert json.loads(trail.run("audit", "verify", "--file", "./-x.jsonl", "--json").stdout)["whole"]


def test_prompts_that_were_kept_are_erased(trail):
    assert trail.run("audit", "prompts", "--erase", "--user=-nobody").stdout == "0 prompts were erased\n"
    assert trail.run("audit", "prompts", "--before=2999-01-01").stdout == "1 prompts are kept\n"
    assert trail.run("audit", "prompts", "--erase").stdout == "1 prompts were erased\n"
    assert trail.run("audit", "prompts", "--before", "yesterday").returncode == 2


def test_only_the_newest_so_many_rows_are_listed(trail):
    subprocess.run([sys.executable, "-c", WRITES.replace("r1", "r2")], env=trail.env, check=True, timeout=60)
    listed = trail.run("audit", "list", "--limit", "1", "--json")
    assert [entry["request_id"] for entry in json.loads(listed.stdout)["entries"]] == ["r2"]
    assert trail.run("audit", "list", "--limit", "0").returncode == 2


def test_a_broken_chain_has_exit_status_1(trail):
    (head,) = (trail.folder / "state" / "kitty" / "audit").glob("*/head.json")
    head.write_text("{}")
    broken = trail.run("audit", "verify")
    assert (broken.returncode, broken.stdout.startswith("BROKEN")) == (1, True)


def test_without_a_trail_audit_says_so_and_makes_none(cli):
    for words in (["list"], ["verify"], ["export"]):
        done = cli.run("audit", *words)
        assert (done.returncode, done.stdout, "no audit trail yet" in done.stderr) == (3, "", True)
    assert not (cli.folder / "state" / "kitty" / "audit.sqlite3").exists()


def test_help_names_what_audit_can_do(cli):
    shown = cli.run("audit", "--help")
    assert [shown.returncode, *(word in shown.stdout for word in ("list", "verify", "export"))] == [0, True, True, True]
