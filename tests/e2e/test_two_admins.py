"""A call that needs two persons, done by two of them with the command line, at a real gateway."""

import json
import subprocess
import sys

import pytest

from gateway.testing import Reply, running_gateway, running_service

PHRASE = "Sell it"
REGISTRY = f"""
tools:
  disk.sell:
    method: POST
    url: ${{BROKER_BASE}}/sell
    hazard_class: high
    confirmation_phrase: "{PHRASE}"
    dual_confirm: true
"""
SELL = {"arguments": {"what": "the disk"}}


@pytest.fixture
def sale(tmp_path):
    """A gateway where ann's call waits; (run as ann or eve, the call's id, what reached the service)."""
    with (
        running_service(Reply({"sold": 1})) as service,
        running_gateway(
            tmp_path, REGISTRY, broker_base=service.base_url, hazard_signing_key="0123456789abcdef"
        ) as gateway,
    ):
        keys = {name: gateway.key(name, "admin") for name in ("ann", "eve")}
        pending = gateway.post("/api/tools/disk.sell", SELL, **keys["ann"]).json()["pendingId"]

        def run(name, *words, stdin=""):
            key = keys[name]["authorization"].removeprefix("Bearer ")
            env = {"KITTY_API_BASE": gateway.base_url, "KITTY_API_KEY": key, "XDG_STATE_HOME": str(tmp_path)}
            command = [sys.executable, "-m", "kitty_cli.main", *words]
            options = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True}
            return subprocess.run(command, input=stdin, timeout=60, check=False, **options)

        yield run, pending, lambda: [seen.body for seen in service.seen]


def test_the_second_admin_approves_and_who_asked_runs_it(sale, tmp_path):
    run, pending, sold = sale
    shown = run("eve", "confirm").stdout
    assert f"To approve it, say exactly: {PHRASE}" in shown
    approved = run("eve", "confirm", pending, PHRASE, "--out", "approval.json")
    assert approved.returncode == 0, approved.stderr
    assert json.loads(approved.stdout) == json.loads((tmp_path / "approval.json").read_text())
    assert (tmp_path / "approval.json").stat().st_mode & 0o077 == 0
    assert "ann runs it: kitty-cli confirm" in approved.stderr
    assert sold() == []
    done = run("ann", "confirm", pending, PHRASE, "--approval", "-", stdin=approved.stdout)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sold": 1}), done.stderr
    assert [body["what"] for body in sold()] == ["the disk"]
    again = run("ann", "confirm", pending, PHRASE, "--approval", "approval.json")
    assert (again.returncode, len(sold())) == (2, 1)


def test_alone_nobody_runs_it_and_each_is_told_what_is_missing(sale, tmp_path):
    run, pending, sold = sale
    alone = run("ann", "confirm", pending, PHRASE)
    assert alone.returncode == 2
    assert f"A second admin approves it: kitty-cli confirm {pending} '{PHRASE}' > FILE" in alone.stderr
    assert "--approval FILE" in run("ann", "confirm").stdout
    other = run("eve", "confirm", pending, "sell")
    assert (other.returncode, other.stdout) == (2, "")
    assert "nothing was approved" in other.stderr
    (tmp_path / "text").write_text("yes, do")
    for place in ("text", "nowhere"):
        refused = run("ann", "confirm", pending, PHRASE, "--approval", place)
        assert (refused.returncode, f"--approval {place}:" in refused.stderr) == (2, True)
    forged = run("ann", "confirm", pending, PHRASE, "--approval", "-", stdin='{"signature": "0"}')
    assert forged.returncode == 2
    assert sold() == []
    assert run("ann", "confirm", pending, "no").returncode == 0
